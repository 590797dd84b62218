"""What devices did with each other: who was paired, revoked, refused, and whose work ran where. Never content."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from models.types import Json, Label
from peers.chain import Chain
from peers.chain_entry import Entry, Signer, one_line
from peers.errors import RecordBroken
from peers.node_id import NodeId


class Act(Enum):
    """What is written down."""

    PAIRED = "paired"
    GRANTED = "granted"
    """The owner changed what a device may do."""
    REVOKED = "revoked"
    WARNED = "warned"
    """Another device says that its owner revoked one, which does not bind here."""
    TASK_IN = "task_in"
    TASK_OUT = "task_out"
    BLOB = "blob"
    """A part of a model was copied."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry. Sizes and names of kinds of work, nothing that was said."""

    act: Act
    peer: NodeId
    scope: str = ""
    """The capability, or which part of a grant."""
    size_bytes: int = 0
    label: Label = Label.PUBLIC
    note: str = ""
    """Why, as one of our own sentences."""
    time_ns: int = 0
    """Nanoseconds since 1970; the log sets it."""


class Audit:
    """The audit log of one node. Calls block for the disk. Every call raises RecordError."""

    def __init__(self, folder: Path, signer: Signer, *, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self.chain = Chain(folder / "audit.jsonl", signer, name="audit")
        self._clock_ns = clock_ns

    def record(self, happened: Happening) -> None:
        """Write down what happened."""
        body: dict[str, Json] = {
            "act": happened.act.value,
            "time_ns": self._clock_ns(),
            "peer": happened.peer,
            "scope": one_line(happened.scope),
            "bytes": happened.size_bytes,
            "label": happened.label.name.lower(),
            "note": one_line(happened.note),
        }
        self.chain.append(body)

    def newest(self, limit: int, peer: NodeId | None = None) -> list[Happening]:
        """Return the newest entries, newest first, of one peer or of all."""
        all_of_them = map(_happening, self.chain.entries())
        return list(reversed(deque((one for one in all_of_them if peer in (None, one.peer)), maxlen=limit)))


def _happening(entry: Entry) -> Happening:
    body = entry.body
    try:
        return Happening(
            act=Act(body["act"]),
            peer=NodeId(str(body["peer"])),
            scope=str(body["scope"]),
            size_bytes=int(body["bytes"]),
            label=Label[str(body["label"]).upper()],
            note=str(body["note"]),
            time_ns=int(body["time_ns"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RecordBroken(
            f"Entry {entry.number} of the audit log can't be read: a newer Covey wrote it, or it was changed. "
            "Update Covey, then run `covey ledger verify`."
        ) from error
