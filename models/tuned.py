"""What `covey models tune` found for a model on this device: the record that is kept beside its manifest.

The manifest itself stays as it was, so a pull, a peer or an undo never meets measured things in it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from models.errors import ManifestError
from models.manifest import Artifact, FileName, Manifest, Sha256

_STRICT = ConfigDict(extra="forbid")

AS_SHIPPED = "as shipped"
"""The layout of weights that stay as they came."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Speed:
    """How fast a model ran with some settings."""

    threads: int
    rows: int
    """Most tokens computed in one step."""
    prompt_tokens_s: float
    decode_tokens_s: float
    """Of one answer alone."""
    together_tokens_s: float | None = None
    """Of eight answers at once, all together; None in records of before it was measured."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Trial:
    """One layout as it was measured."""

    layout: str
    size_bytes: int
    perplexity: float | None
    """Over the sample text; None where this layout could not be made or run."""
    speed: Speed | None
    """At the settings under which layouts were compared; None as above."""
    failure: str = ""
    """Why it could not be measured."""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Tuned:
    """The settings chosen for one model, and the weights where they are not those that were shipped."""

    id: str
    source_sha256: Sha256
    """The weights that were measured; with others in the manifest the record says nothing."""
    layout: str
    sha256: Sha256 | None
    """The weights made here, in the store; None: as shipped."""
    size_bytes: Annotated[int, Field(gt=0)]
    threads: Annotated[int, Field(gt=0)]
    rows: Annotated[int, Field(gt=0)]
    bound: float
    """Share by which the perplexity was allowed to grow."""
    before: Trial
    after: Trial
    """The chosen layout at the chosen settings."""
    trials: tuple[Trial, ...]
    library: str
    """Version of the library that measured."""

    @property
    def artifact(self) -> Artifact | None:
        """The weights made here, as a file of the store."""
        if self.sha256 is None:
            return None
        file: FileName = f"{self.id}.{self.layout}.gguf"
        return Artifact(role="model", file=file, size_bytes=self.size_bytes, sha256=self.sha256)


def as_run(manifest: Manifest, tuned: Tuned | None) -> Manifest:
    """Return the manifest as the model is loaded: with the weights made here, and the memory that these take."""
    if tuned is None or tuned.artifact is None:
        return manifest
    shipped = manifest.artifact("model")
    artifacts = tuple(tuned.artifact if artifact is shipped else artifact for artifact in manifest.artifacts)
    memory = manifest.memory_bytes
    if memory is not None:
        memory = max(memory + tuned.size_bytes - (shipped.size_bytes or tuned.size_bytes), tuned.size_bytes)
    return replace(manifest, artifacts=artifacts, memory_bytes=memory)


_ADAPTER: TypeAdapter[Tuned] = TypeAdapter(Tuned)


def to_json(tuned: Tuned) -> bytes:
    """Return the record as JSON; `from_json` reads it back."""
    return _ADAPTER.dump_json(tuned, indent=1)


def from_json(text: bytes, origin: str) -> Tuned:
    """Raises ManifestError."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{origin} is damaged: {error.errors()[0]['msg']}. Tune the model again.") from error
