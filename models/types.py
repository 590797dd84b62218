"""The words every folder shares: the two marks, what is asked, what streams back, what it cost.

Everything here is a value. Nothing reads a clock, a file or a socket.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import NewType, Protocol

from typing_extensions import TypeAliasType

Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")
"""A value that JSON can carry. A named alias, so that pydantic can follow it into itself."""

Digest = NewType("Digest", str)
"""SHA-256 of an artifact, 64 lower-case hexadecimal digits."""
PROGRAMS = "programs"
"""Asker of requests that programs on this device make; no node id looks like it."""
ModelId = NewType("ModelId", str)
"""A model's name in the catalog, for example `smollm2-135m`."""


class Label(IntEnum):
    """Who may see a value. A result inherits the highest label of its inputs."""

    PUBLIC = 0
    """Anyone."""
    PERSONAL = 1
    """The owner's paired devices. Typed text, files and conversations start here."""
    SENSITIVE = 2
    """This device; others only when the owner says so."""
    SECRET = 3
    """Never leaves this device and is never journaled."""


class Trust(Enum):
    """Who wrote a value. Untrusted text may cause an effect only as a bool, an enum or a bounded number."""

    OWNER = "owner"
    UNTRUSTED = "untrusted"


class Tier(IntEnum):
    """Where a value may go, counted from the asker. A request's ceiling is the furthest tier allowed."""

    PROCESS = 0
    DEVICE = 1
    HOME = 2
    HUB = 3


class Effect(Enum):
    """What a step may do besides computing an answer."""

    READ_FILE = "read_file"
    WRITE_FILE = "write_file"
    RUN_CODE = "run_code"
    NETWORK = "network"
    ACT = "act"
    """Change something in the world: switch a light, send a message."""


@dataclass(frozen=True, slots=True)
class Authority:
    """What a call may do. It is only ever narrowed on the way down."""

    capabilities: frozenset[str] | None = None
    """Capabilities that may be used; None means all that this device has."""
    effects: frozenset[Effect] = frozenset()

    def narrow(self, other: Authority) -> Authority:
        """Return what both allow."""
        if self.capabilities is None:
            capabilities = other.capabilities
        elif other.capabilities is None:
            capabilities = self.capabilities
        else:
            capabilities = self.capabilities & other.capabilities
        return Authority(capabilities, self.effects & other.effects)

    def allows(self, capability: str) -> bool:
        return self.capabilities is None or capability in self.capabilities


@dataclass(frozen=True, slots=True)
class Request:
    """One subtask for one specialist, wherever that specialist runs."""

    capability: str
    """What is asked for, for example `extract` or `extract.event`."""
    input: Mapping[str, Json]
    """Typed input; its shape is the capability's input schema."""
    label: Label = Label.PERSONAL
    trust: Trust = Trust.OWNER
    authority: Authority = Authority()
    ceiling: Tier = Tier.DEVICE
    hops: tuple[str, ...] = ()
    """Node ids this request has passed, oldest first; a node that finds itself here refuses (loop)."""
    budget_tokens: int | None = None
    """Most tokens that may be generated; None leaves the specialist's own bound."""
    deadline_s: float | None = None
    """Seconds this request may take from its start on the node that runs it; None means no bound."""
    seed: int = 0
    """Key of the counter-based generator: draw = f(seed, token index), so a resumed answer draws alike."""
    resume_tokens: tuple[int, ...] = ()
    """Tokens already delivered by another run of the same request; the answer continues after them."""
    resume_artifacts: tuple[Digest, ...] = ()
    """Digests of the weights that wrote them; other weights can't go on and say so. Empty: not known."""
    idempotency_key: str = ""
    """Same key, same effect: a repeat within ten minutes returns the first outcome."""
    program: bool = False
    """Asked by a program on this device: it gets nothing of what models hold of the owner's own requests."""
    conversation: Path | None = None
    """Folder and id of the conversation this is a turn of, whose state may be kept there; never sent to a device."""
    traceparent: str = ""
    """W3C trace context, `00-<32 hex>-<16 hex>-<2 hex>`, or empty."""

    @property
    def asker(self) -> str:
        """Whose state in a model it may take over: the device's that handed it over, programs', or the owner's."""
        return self.hops[-1] if self.hops else PROGRAMS if self.program else ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an answer while it is being made."""

    index: int
    """Place of this chunk's first token in the answer, so that none repeats or is lost on resume."""
    text: str
    """Whole characters only; bytes of an unfinished character wait for the next chunk."""
    token_ids: tuple[int, ...] = ()
    """Empty where the producer has no tokens (a calculator, a span)."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What the producer can say about its own answer, gathered at no extra pass. None where unknown."""

    mean_logprob: float | None = None
    """Natural log, averaged over the answer's tokens; 0 is certain."""
    min_margin: float | None = None
    """Smallest difference between the best two log-probabilities, in nats."""
    mean_entropy: float | None = None
    """Nats, averaged over tokens, over the whole vocabulary."""
    feasible_mass: float | None = None
    """Smallest probability that fell on tokens which the constraint allows, 0..1."""
    tokens: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    """Named probabilities or similarities: of labels, of a span, of a nearest example."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Part of prompt_tokens whose state was already there."""
    completion_tokens: int = 0
    seconds: float = 0.0
    """Wall time in the specialist."""
    model_seconds: float = 0.0
    """Part of it spent inside a model."""
    energy_j: float | None = None

    def __add__(self, other: Usage) -> Usage:
        energy = None
        if self.energy_j is not None and other.energy_j is not None:
            energy = self.energy_j + other.energy_j
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
            self.model_seconds + other.model_seconds,
            energy,
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What in the input supports the answer."""

    source: str
    """`input`, or the name of the file it is from."""
    start: int
    """Character offset in that source; the quote is source[start:end]."""
    end: int
    quote: str


class RefusalCode(Enum):
    """Why a specialist gave no answer. A refusal is an outcome, not an error."""

    NOT_SURE = "not_sure"
    NOT_FOUND = "not_found"
    """The given text does not hold the answer."""
    NOT_CAPABLE = "not_capable"
    """No specialist here can do this."""
    INVALID_INPUT = "invalid_input"
    TOO_LONG = "too_long"
    TRUNCATED = "truncated"
    """The answer did not end inside its token budget."""
    MODEL_MISSING = "model_missing"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A typed 'I don't know', with the sentence that the user reads."""

    code: RefusalCode
    reason: str
    found: str = ""
    """The best that was found all the same; empty when nothing was."""


@dataclass(frozen=True, slots=True)
class Result:
    """How an answer ends: a typed output or a typed refusal, never both."""

    output: Json = None
    refusal: Refusal | None = None
    text: str = ""
    """The output as a person reads it."""
    confidence: float = 0.0
    """0..1. A probability only when `calibrated`."""
    calibrated: bool = False
    signals: Signals = Signals()
    usage: Usage = Usage()
    evidence: tuple[Evidence, ...] = ()
    specialist: str = ""
    model: str = ""
    """Catalog id of the model, empty for a deterministic specialist."""
    artifacts: tuple[Digest, ...] = ()
    """Digests of the weights that produced it."""
    notes: tuple[str, ...] = ()
    """Sentences the reader should know about how it was made: turns left out, parts read one by one."""

    @property
    def abstained(self) -> bool:
        return self.refusal is not None


class Specialist(Protocol):
    """Whatever answers a request: local, remote and scripted ones alike."""

    @property
    def name(self) -> str: ...

    @property
    def capability(self) -> str: ...

    def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        """Yield chunks, then exactly one Result, then stop.

        Closing the iterator early cancels the work. Raises `models.errors.ModelsError`.
        """
        ...


async def last(stream: AsyncIterator[Chunk | Result]) -> Result:
    """Run a stream to its end and return its result."""
    result: Result | None = None
    async for item in stream:
        if isinstance(item, Result):
            result = item
    if result is None:
        raise AssertionError("a specialist's stream ended without a Result")
    return result
