"""What left this device: to whom, why, under which label, how much, and for some days the exact bytes.

The entries stay for good, in a chain (chain.py). The bytes lie beside it under their digest, in a
folder per day, so that a day's bytes go at once when its time is over. They are written before the
entry, and the entry is on the disk before anything is sent; the bytes are there a moment later. Should
the power go in that moment, the entry has their number and digest.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from models.types import Digest, Json, Label
from peers.chain import Chain, errors_of
from peers.chain_check import MAX_PROBLEMS, Problem, Verdict
from peers.chain_entry import Entry, Head, Signer, one_line
from peers.errors import RecordBroken
from peers.later import Later
from peers.policy import Place, Recipient, RecipientKind
from peers.private_files import make_folder, sync_file, write_whole

KEEP_DAYS = 30
DAY_NS = 24 * 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Leaving:
    """One entry as it is read back."""

    number: int
    time_ns: int
    """Nanoseconds since 1970."""
    act: str
    """`release`: bytes were given to the recipient. `opened`: an answer began to go, its bytes are in a later entry.
    `lowered`: the owner let a label come down."""
    recipient: RecipientKind
    recipient_id: str
    recipient_name: str
    place: Place
    label: Label
    capability: str
    reason: str
    size_bytes: int
    digest: Digest
    hash: str

    def to_json(self) -> dict[str, Json]:
        return {
            "number": self.number,
            "act": self.act,
            "words": self.place.words,
            "recipient": {"kind": self.recipient.value, "id": self.recipient_id, "name": self.recipient_name},
            "label": self.label.name.lower(),
            "capability": self.capability,
            "reason": self.reason,
            "bytes": self.size_bytes,
            "digest": self.digest,
            "hash": self.hash,
        }


class Ledger:
    """The ledger of one node. Calls block for the disk. Every call raises RecordError."""

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        *,
        keep_days: int = KEEP_DAYS,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`keep_days`: how long the exact bytes are kept; 0 keeps none."""
        self.chain = Chain(folder / "ledger.jsonl", signer, name="ledger")
        self._bytes = folder / "ledger-bytes"
        self._keep_days = keep_days
        self._later = Later()
        self._clock_ns = clock_ns

    def record(
        self,
        value: bytes,
        label: Label,
        *,
        capability: str,
        recipient: Recipient,
        reason: str,
        bytes_kept: bool = True,
    ) -> Leaving:
        """Write down that these bytes are about to go, and unless told not to keep them.

        When this returns the entry is on the disk.
        """
        if bytes_kept:
            return self._append("release", value, label, capability=capability, recipient=recipient, reason=reason)
        digest = Digest(hashlib.sha256(value).hexdigest())
        return self._write(
            "release", digest, len(value), label, capability=capability, recipient=recipient, reason=reason
        )

    def record_artifact(
        self, digest: Digest, size_bytes: int, label: Label, *, capability: str, recipient: Recipient, reason: str
    ) -> Leaving:
        """Write down that a file of the store is about to go; its bytes stay there and are not kept twice."""
        return self._write(
            "release", digest, size_bytes, label, capability=capability, recipient=recipient, reason=reason
        )

    def record_opened(self, label: Label, *, capability: str, recipient: Recipient, reason: str) -> Leaving:
        """Write down that an answer is about to go piece by piece."""
        return self._append("opened", b"", label, capability=capability, recipient=recipient, reason=reason)

    def record_streamed(
        self, value: bytes, opened: Leaving, *, recipient: Recipient, bytes_kept: bool = True
    ) -> Leaving:
        """Write down all that went since entry `opened`: its digest and, unless told not to, the bytes."""
        reason = f"all of the answer that was begun in entry {opened.number}"
        return self.record(
            value,
            opened.label,
            capability=opened.capability,
            recipient=recipient,
            reason=reason,
            bytes_kept=bytes_kept,
        )

    def record_lowered(self, value: bytes, label: Label, *, recipient: Recipient, reason: str) -> Leaving:
        """Write down that the owner let a value's label come down to `label` for this recipient."""
        return self._append("lowered", value, label, capability="", recipient=recipient, reason=reason)

    def entries(self, limit: int | None = None) -> list[Leaving]:
        """Return the newest entries, newest first; all of them without a limit."""
        return [_leaving(entry) for entry in reversed(deque(self.chain.entries(), maxlen=limit))]

    def find(self, number: int) -> Leaving | None:
        """Return one entry; None when there is none of that number."""
        return next((_leaving(entry) for entry in self.chain.entries() if entry.number == number), None)

    def bytes_of(self, leaving: Leaving) -> bytes | None:
        """Return exactly what left; None when its days are over or it was not kept whole. Raises RecordBroken."""
        path = self._path(leaving.digest, leaving.time_ns)
        with errors_of(path):
            if not path.exists():
                return None
            value = path.read_bytes()
        if len(value) < leaving.size_bytes:
            return None  # the power went before they were on the disk
        if hashlib.sha256(value).hexdigest() != leaving.digest:
            raise RecordBroken(
                f"The kept bytes of entry {leaving.number} are not those that left: the file {path} was changed. "
                "The entry itself still says how many there were and their digest."
            )
        return value

    def settle(self) -> None:
        """Wait until the bytes and the head of what was recorded are on the disk."""
        self._later.settle()
        self.chain.settle()

    def expire(self) -> int:
        """Remove the bytes whose days are over and return of how many days."""
        first = (self._clock_ns() // DAY_NS) - self._keep_days
        old = [path for path in _children(self._bytes) if path.name.isdecimal() and int(path.name) < first]
        for path in old:
            with errors_of(path):
                shutil.rmtree(path)
        return len(old)

    def verify(self, witnesses: Sequence[Head] = ()) -> Verdict:
        """Read everything and return what is not as it was written. `witnesses`: heads that paired devices remember."""
        verdict = self.chain.verify([head for head in witnesses if not self.chain.was_put_aside(head)])
        if not verdict.ok:
            return verdict
        wrong = [
            Problem("edited", entry.number, f"The kept bytes of entry {entry.number} were changed.")
            for entry in map(_leaving, self.chain.entries())
            if not self._intact(entry)
        ]
        return replace(verdict, problems=tuple(wrong[:MAX_PROBLEMS]))

    def _intact(self, leaving: Leaving) -> bool:
        try:
            self.bytes_of(leaving)
        except RecordBroken:
            return False
        return True

    def _append(
        self, act: str, value: bytes, label: Label, *, capability: str, recipient: Recipient, reason: str
    ) -> Leaving:
        now, digest = self._clock_ns(), Digest(hashlib.sha256(value).hexdigest())
        if self._keep_days and act == "release":
            self._keep(self._path(digest, now), value)
        return self._write(
            act, digest, len(value), label, capability=capability, recipient=recipient, reason=reason, time_ns=now
        )

    def _write(
        self,
        act: str,
        digest: Digest,
        size_bytes: int,
        label: Label,
        *,
        capability: str,
        recipient: Recipient,
        reason: str,
        time_ns: int | None = None,
    ) -> Leaving:
        body: dict[str, Json] = {
            "act": act,
            "time_ns": self._clock_ns() if time_ns is None else time_ns,
            "kind": recipient.kind.value,
            "id": one_line(recipient.id),
            "name": one_line(recipient.name),
            "place": recipient.place.value,
            "label": label.name.lower(),
            "capability": one_line(capability),
            "reason": one_line(reason),
            "bytes": size_bytes,
            "digest": digest,
        }
        return _leaving(self.chain.append(body))

    def _keep(self, path: Path, value: bytes) -> None:
        with errors_of(path):
            if not path.parent.is_dir():  # the first of a day: a good moment to let old days go
                make_folder(path.parent)
                self.expire()
            write_whole(path, value, synced=False)
        self._later.do(partial(sync_file, path))

    def _path(self, digest: Digest, time_ns: int) -> Path:
        return self._bytes / str(time_ns // DAY_NS) / digest


def _children(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except FileNotFoundError:
        return


def _leaving(entry: Entry) -> Leaving:
    body = entry.body
    try:
        return Leaving(
            number=entry.number,
            time_ns=int(body["time_ns"]),
            act=str(body["act"]),
            recipient=RecipientKind(body["kind"]),
            recipient_id=str(body["id"]),
            recipient_name=str(body["name"]),
            place=Place(body["place"]),
            label=Label[str(body["label"]).upper()],
            capability=str(body["capability"]),
            reason=str(body["reason"]),
            size_bytes=int(body["bytes"]),
            digest=Digest(str(body["digest"])),
            hash=entry.head.hash,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RecordBroken(
            f"Entry {entry.number} of the ledger can't be read: a newer Covey wrote it, or it was changed. "
            "Update Covey, then run `covey ledger verify`."
        ) from error
