"""What a caller asks, what streams back, and the answer it ends with. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.types import Chunk, Json, Label, Result, Tier, Trust
from runtime.checks import Verdict
from runtime.history import Turn
from runtime.router import Routing
from runtime.task import Status, TaskId

THIS_DEVICE = "this device"
"""What a node is called in its own answers and traces."""
LEAST_SURE = 0.5
"""Confidence below which an answer is called a guess wherever it is shown."""


@dataclass(frozen=True, slots=True)
class Source:
    """A text that came along with a request: a file, a page, what was piped in."""

    name: str
    text: str
    label: Label = Label.PERSONAL
    trust: Trust = Trust.UNTRUSTED
    """Whoever wrote a document, it may hold instructions that are not the owner's."""
    notes: tuple[str, ...] = ()
    """What its reader should know, for example that the encoding was guessed."""
    raw: str = ""
    """The file as it is written, where `text` is another form of it: of a table, its rows."""

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "text": self.text}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request of one caller."""

    text: str
    files: tuple[Path, ...] = ()
    """Read when the task begins."""
    sources: tuple[Source, ...] = ()
    """Texts that are already at hand."""
    label: Label = Label.PERSONAL
    trust: Trust = Trust.OWNER
    ceiling: Tier = Tier.HOME
    """Furthest tier that may be used."""
    capability: str = ""
    """The caller's own choice; empty: the router chooses."""
    given: Mapping[str, Json] = field(default_factory=dict)
    """Inputs that the caller filled in by name; they win over what is read from the text."""
    schema: Mapping[str, Json] | None = None
    """JSON Schema that the answer must have."""
    functions: tuple[Mapping[str, Json], ...] = ()
    """Functions that the answer may call."""
    history: tuple[Turn, ...] = ()
    """Earlier turns of a conversation, oldest first."""
    conversation: bool = False
    """A turn of a conversation: what nobody else claims is for `generate`."""
    program: bool = False
    """Asked by a program over the API, not by the owner."""
    conversation_id: str = ""
    """Which one, 32 hexadecimal digits drawn by the caller: what models hold of its turns may be kept for the next."""
    risk: float | None = None
    """Share of unnoticed errors (0..1) that is accepted; None sets no bound."""
    deadline_s: float | None = None
    budget_tokens: int | None = None
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all that came along."""
        return (*(path.name for path in self.files), *(source.name for source in self.sources))


@dataclass(frozen=True, slots=True)
class Restarted:
    """What was streamed so far is void: the step runs again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How a task ended: with a result, which may be a refusal."""

    task_id: TaskId
    """Also the id of its trace."""
    status: Status
    result: Result
    routing: Routing
    verdicts: tuple[Verdict, ...]
    tier: Tier
    """The furthest tier that was used."""
    node: str
    specialists: tuple[str, ...]
    """In the order in which they ran."""
    seconds: float
    """Wall time of the whole task."""
    bytes_out: int = 0
    """Bytes that left this device for it."""
    notes: tuple[str, ...] = ()
    """What the owner should know beside the answer, one sentence each."""

    @property
    def is_guess(self) -> bool:
        """Whether a model gave it with so little confidence that it is as likely wrong as right."""
        result = self.result
        return bool(result.model) and not result.abstained and result.confidence < LEAST_SURE


StreamItem = Chunk | Restarted | Answer
