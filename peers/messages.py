"""The messages of a subtask: hello, the work itself, and what is streamed back. README.md has them as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from peers.wire import Count, DigestText, NodeIdText, Seconds, WireMessage

VERSION = 1
"""The version of the wire that this Covey speaks best."""
OLDEST_VERSION = 1
"""The oldest that it still speaks."""
MAX_HOPS = 8
"""Devices that a piece of work may pass; a household has fewer."""
MAX_CHUNK_TOKENS = 4096
MAX_NOTES = 32
MAX_EVIDENCE = 1024
MAX_SCORES = 4096
MAX_RESUME_TOKENS = 65_536
MAX_SENTENCE = 2000

Capability = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*\z", max_length=64)]
SubtaskId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}\z")]
"""128 random bits."""
Sentence = Annotated[str, StringConstraints(max_length=MAX_SENTENCE)]
Token = Annotated[int, Field(ge=0, lt=2**31)]
Tokens = Annotated[list[Token], Field(max_length=MAX_CHUNK_TOKENS)]
Share = Annotated[float, Field(ge=0, le=1)]
HUB_NAME = r"[a-z0-9][a-z0-9_-]{0,31}"
"""What an owner may call a hub."""
LabelName = Literal["public", "personal", "sensitive"]
"""`secret` is not a word of the wire."""
TierName = Literal["process", "device", "home", "hub"]


class Hello(WireMessage):
    """First on every connection, from both sides: which versions I speak, and what I can do besides."""

    kind: Literal["hello"] = "hello"
    min: Annotated[int, Field(ge=1, le=1000)] = OLDEST_VERSION
    max: Annotated[int, Field(ge=1, le=1000)] = VERSION
    features: Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=32)] = Field(default_factory=list)
    boot: Annotated[str, Field(max_length=32)] = ""
    """Differs after each start, so that a restarted device is noticed."""


class Subtask(WireMessage):
    """One request for one specialist."""

    kind: Literal["subtask"] = "subtask"
    id: SubtaskId
    capability: Capability
    input: dict[str, Any]
    """Its shape is the capability's input schema; the specialist checks it."""
    label: LabelName
    ceiling: TierName = "device"
    """How far the work may go, counted from the asker."""
    hops: Annotated[list[NodeIdText], Field(max_length=MAX_HOPS)]
    """Nodes that this has passed, the asker first, the sender last."""
    budget_tokens: Annotated[int, Field(ge=1, le=2**20)] | None = None
    deadline_s: Seconds | None = None
    """From when the receiver has read this; None means no bound."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    resume_tokens: Annotated[list[Token], Field(max_length=MAX_RESUME_TOKENS)] = Field(default_factory=list)
    """Tokens that another run has delivered already; the answer goes on behind them."""
    resume_artifacts: Annotated[list[DigestText], Field(max_length=16)] = Field(default_factory=list)
    """Digests of the weights that wrote them. Who has others refuses with `other_weights`."""
    idempotency_key: Annotated[str, Field(max_length=128)] = ""
    traceparent: Annotated[str, Field(max_length=64)] = ""
    """W3C trace context, or empty."""
    relay: Annotated[str, StringConstraints(pattern=rf"^({HUB_NAME})?\z")] = ""
    """Which of its hubs the receiver is to ask, in place of doing the work itself; empty: none."""


class Accepted(WireMessage):
    """The work will be done; it is the first answer."""

    kind: Literal["accepted"] = "accepted"
    queue: Count = 0
    """Tasks before this one."""


class Progress(WireMessage):
    """Still at it. Sent every second, so that silence means trouble."""

    kind: Literal["progress"] = "progress"
    tokens: Count = 0
    """Written so far."""


class Delta(WireMessage):
    """A piece of the answer."""

    kind: Literal["delta"] = "delta"
    index: Count
    """Place of its first token in the answer, so that none repeats or is lost."""
    text: str
    tokens: Tokens = Field(default_factory=list)


class WireUsage(WireMessage):
    """What it cost."""

    kind: Literal["usage"] = "usage"
    prompt_tokens: Count = 0
    cached_tokens: Count = 0
    completion_tokens: Count = 0
    seconds: Seconds = 0.0
    model_seconds: Seconds = 0.0
    energy_j: Seconds | None = None


class WireSignals(WireMessage):
    """What the producer says of its own answer."""

    kind: Literal["signals"] = "signals"
    mean_logprob: float | None = None
    min_margin: float | None = None
    mean_entropy: float | None = None
    feasible_mass: float | None = None
    tokens: Count = 0
    scores: Annotated[Mapping[str, float], Field(max_length=MAX_SCORES)] = Field(default_factory=dict)


class WireEvidence(WireMessage):
    """A place in the input that supports the answer."""

    kind: Literal["evidence"] = "evidence"
    source: Annotated[str, Field(max_length=512)]
    start: Count
    end: Count
    quote: str


class WireRefusal(WireMessage):
    """A typed 'I don't know'."""

    kind: Literal["refusal"] = "refusal"
    code: Annotated[str, Field(max_length=32)]
    reason: Sentence
    found: str = ""


class Done(WireMessage):
    """The answer's end: an output or a refusal, never both."""

    kind: Literal["done"] = "done"
    output: Any = None
    refusal: WireRefusal | None = None
    text: str = ""
    confidence: Share = 0.0
    calibrated: bool = False
    signals: WireSignals = WireSignals()
    usage: WireUsage = WireUsage()
    evidence: Annotated[list[WireEvidence], Field(max_length=MAX_EVIDENCE)] = Field(default_factory=list)
    specialist: Annotated[str, Field(max_length=64)] = ""
    model: Annotated[str, Field(max_length=64)] = ""
    artifacts: Annotated[list[DigestText], Field(max_length=16)] = Field(default_factory=list)
    notes: Annotated[list[Sentence], Field(max_length=MAX_NOTES)] = Field(default_factory=list)


class Failed(WireMessage):
    """The other end: it could not be done."""

    kind: Literal["error"] = "error"
    code: Annotated[str, Field(max_length=32)]
    message: Sentence
    """One sentence for the owner of the asking device."""
    retry_after_s: Seconds | None = None
    """When asking again makes sense; None: not by itself."""


Streamed = Accepted | Progress | Delta | Done | Failed
STREAMED: dict[str, type[Accepted] | type[Progress] | type[Delta] | type[Done] | type[Failed]] = {
    "accepted": Accepted,
    "progress": Progress,
    "delta": Delta,
    "done": Done,
    "error": Failed,
}
"""What may come back, by kind. Unknown kinds are skipped: a newer version may say more."""
