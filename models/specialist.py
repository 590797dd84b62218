"""A specialist as data: a spec names what it does, on which models, with which prompt and checks.

A *runner* is the little code that a kind of specialist needs; specs choose one by name from a lazy
table, so that a node without an optional library still starts. Specs come from three places: the
files in `models/specialists/`, the user's folder, and Python entry points (group `covey.specialists`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass as plain_dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from models.backend import Classifier, Encoder, Reranker, Tagger, TextModel
from models.errors import ManifestError
from models.types import Digest, Specialist

RUNNERS = {
    "answer": "models.specialists.answer:Answer",
    "calculate": "models.specialists.calculate:Calculate",
    "call": "models.specialists.call:Call",
    "classify": "models.specialists.classify:Classify",
    "code": "models.specialists.code:Code",
    "convert": "models.specialists.convert:Convert",
    "embed": "models.specialists.embed:Embed",
    "extract": "models.specialists.extract:Extract",
    "filetype": "models.specialists.filetype:FileType",
    "find": "models.specialists.find:Find",
    "generate": "models.specialists.generate:Generate",
    "names": "models.specialists.names:Names",
    "rerank": "models.specialists.rerank:Rerank",
    "summarize": "models.specialists.summarize:Summarize",
    "table": "models.specialists.table:TableQuestion",
    "tag": "models.specialists.tag:TagWords",
    "when": "models.specialists.when:When",
}
"""Runner name to `module:class`. A class takes (spec, pool) and is a `models.types.Specialist`."""

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, config=_STRICT)
class Example:
    """One worked example of a specialist, shown to the model."""

    input: str
    output: str


@dataclass(frozen=True, slots=True, config=_STRICT)
class SpecialistSpec:
    """All that distinguishes one specialist from another of the same runner."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
    runner: str
    summary: str
    """One sentence for people: what it does."""
    capability: str = ""
    """What requests ask for; empty means the name."""
    models: tuple[str, ...] = ()
    """Catalog ids, best first: the first that is installed and fits into memory is used."""
    system: str = ""
    """System prompt."""
    examples: tuple[Example, ...] = ()
    max_tokens: Annotated[int, Field(gt=0, le=8192)] = 256
    draft_tokens: Annotated[int, Field(ge=0, le=2048)] = 0
    """Tokens that the model may first write freely before an answer whose form is fixed; 0 for none. Helps where the
    answer must be worked out, costs the draft's time everywhere."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    presence_penalty: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Nats off for a token that the answer holds already; keeps a small model from looping."""
    frequency_penalty: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Nats off for each time that the answer holds it."""
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """An answer whose confidence is below this is given as 'not sure'."""
    schema: dict[str, Any] | None = None
    """JSON Schema of the output, where it is fixed."""
    labels: tuple[str, ...] = ()
    """Closed choices, for a classifier."""
    head: str = ""
    """Fitted head in `models/heads/` or beside an owner's spec, for a classifier; empty means the one named like the
    capability, if any."""
    postconditions: tuple[str, ...] = ()
    """Names of deterministic checks in `runtime/checks.py` that the output must pass."""
    requests: tuple[str, ...] = ()
    """Requests that people would type for it; the router learns from them."""


@plain_dataclass(frozen=True, slots=True)
class AtHand:
    """A model on this device."""

    model: str
    artifacts: tuple[Digest, ...]
    """Digests of the weights as they would run."""
    context_tokens: int
    memory_bytes: int
    """What it takes when loaded."""
    loaded: bool


class Pool(Protocol):
    """Loads models on demand under a memory budget (models/pool.py)."""

    def text(self, models: Sequence[str]) -> AbstractAsyncContextManager[TextModel]:
        """Lease the first installed model that fits. Raises NotInstalled, OutOfMemory, BadArtifact."""
        ...

    def encoder(self, models: Sequence[str]) -> AbstractAsyncContextManager[Encoder]: ...

    def reranker(self, models: Sequence[str]) -> AbstractAsyncContextManager[Reranker]: ...

    def classifier(self, models: Sequence[str]) -> AbstractAsyncContextManager[Classifier]: ...

    def tagger(self, models: Sequence[str]) -> AbstractAsyncContextManager[Tagger]: ...

    def installed(self, models: Sequence[str], kind: str = "") -> list[str]:
        """Return those of the models (of one kind, if given) whose files are on this device, in the given order."""
        ...

    def at_hand(self, models: Sequence[str]) -> AtHand | None:
        """Return what is known, without loading it, of the first of the models that is on this device."""
        ...


@runtime_checkable
class Queues(Protocol):
    """A pool that knows who waits."""

    def waiting(self) -> int:
        """Return how many requests wait: for a model to be loaded, for room to load it, for a place in it."""
        ...


_ADAPTER: TypeAdapter[SpecialistSpec] = TypeAdapter(SpecialistSpec)


def read_spec(path: Path) -> SpecialistSpec:
    """Return the spec in a TOML file. Raises ManifestError naming the file and the field."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"{path}: {error}. Correct the file and try again.") from error
    try:
        spec = _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "(top)"
        raise ManifestError(f"{path}: field {field}: {first['msg']}. Correct the field and try again.") from error
    if spec.runner not in RUNNERS:
        raise ManifestError(
            f"{path}: field runner: {spec.runner!r} is not one of {', '.join(sorted(RUNNERS))}. Choose one of these."
        )
    return spec


def build(spec: SpecialistSpec, pool: Pool) -> Specialist:
    """Return the specialist that a spec describes; its runner's module is imported here."""
    module_name, _, class_name = RUNNERS[spec.runner].partition(":")
    specialist: Specialist = getattr(import_module(module_name), class_name)(spec, pool)
    return specialist
