"""An append-only file whose every line is bound to the one before it and signed; ledger and audit log are such files.

A line is one JSON object: number `n`, the hash before it `prev`, what happened `body`, its own `hash`,
and the node's signature `sig` over name, number and hash. The head (number, hash, signature of the
last line) is kept in a file of its own. So an edited line breaks its hash, a removed or moved one the
numbers and links, a chain that was built anew the signatures, and a cut tail the head. Whoever has
the key *and* puts both files back can't be found here: heads that other devices remember find that.

A line is on the disk when `append` returns; its head follows within moments. A head that is behind
the lines means that it did not come to that: the lines carry signatures of their own, and the next
append brings the head up to them. Lines of threads that append at the same moment are synced together.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.types import Json
from peers.chain_check import Verdict, check
from peers.chain_entry import NO_HASH, Entry, Head, Signer, canonical, decode, encode, hash_of, is_signed, signed
from peers.errors import RecordBroken, RecordBusy, RecordError, RecordFull
from peers.later import Later
from peers.private_files import NO_ROOM, alone, append_synced, write_whole

MAX_LINE_BYTES = 64 * 1024
"""An entry holds figures and names, a few hundred bytes; a longer line is damage, and is not read into memory."""


@dataclass(eq=False, slots=True)
class _Slot:
    """One entry that a thread waits for."""

    body: Mapping[str, Json]
    entry: Entry | None = None
    error: RecordError | None = None


class Chain:
    """The file and its head. Several processes and threads may append; calls block for the disk."""

    def __init__(self, path: Path, signer: Signer, *, name: str) -> None:
        """`name` (`ledger`, `audit`) is part of every hash, so that no line fits into another chain."""
        self.path = path
        self.head_path = path.with_suffix(".head")
        self._signer = signer
        self._name = name
        self._waiting: list[_Slot] = []
        self._turn = threading.Lock()
        self._later = Later()
        self._newest: Head | None = None

    def create(self) -> None:
        """Write the head of an empty chain. From here on a missing head is a sign of tampering."""
        with errors_of(self.path):
            self._write_head(signed(self._name, 0, NO_HASH, self._signer))

    def append(self, body: Mapping[str, Json]) -> Entry:
        """Add one entry; when this returns it outlives a power cut. Raises RecordError and adds nothing."""
        slot = _Slot(body)
        self._waiting.append(slot)
        with self._turn:
            if slot.entry is None and slot.error is None:  # else another thread took it along
                together, self._waiting = self._waiting, []
                self._append(together)
        if slot.error is not None:
            raise slot.error
        assert slot.entry is not None
        return slot.entry

    def settle(self) -> None:
        """Wait until the head is up to what was appended here."""
        self._later.settle()

    def _append(self, slots: Sequence[_Slot]) -> None:
        """Write the entries of all these slots at once; each gets its entry, or the error."""
        try:
            with errors_of(self.path), alone(self.path):
                before, end = self._last(self._signed_head())
                entries, lines = [], []
                for slot in slots:
                    entry = self._next(before, slot.body)
                    line = encode(entry)
                    if len(line) > MAX_LINE_BYTES:
                        slot.error = RecordError(
                            f"An entry for {self.path} is longer than {MAX_LINE_BYTES} bytes. Shorten its names."
                        )
                        continue
                    entries.append((slot, entry))
                    lines.append(line)
                    before = entry.head
                if lines:
                    append_synced(self.path, b"".join(lines), end)
        except RecordError as error:
            for slot in slots:
                slot.error = slot.error or error
            return
        for slot, entry in entries:
            slot.entry = entry
        if entries:
            self._newest = before
            self._later.do(partial(self._bring_head_to, before))

    def _next(self, before: Head, body: Mapping[str, Json]) -> Entry:
        number = before.number + 1
        digest = hash_of(self._name, number, before.hash, body)
        return Entry(signed(self._name, number, digest, self._signer), before.hash, body)

    def _bring_head_to(self, head: Head) -> None:
        """Write the head of what was appended, unless a later one is due or there already."""
        if head is not self._newest:
            return
        with errors_of(self.path), alone(self.path):
            written = _read_head(self.head_path)
            if written is None or not self.path.exists():
                return  # it was taken away, or begun anew: both must stay as they are
            if written.number < head.number:
                self._write_head(head)

    def begin_anew(self) -> Path | None:
        """Put the file and its head aside, begin an empty chain, and return where the old file is."""
        self.settle()
        with errors_of(self.path), alone(self.path):
            aside = self.path.with_name(f"{self.path.stem}.until-{time.time_ns()}{self.path.suffix}")
            kept = self.path.exists()
            if kept:
                self.path.rename(aside)
            if self.head_path.exists():
                self.head_path.rename(aside.with_suffix(".head"))
            self._write_head(signed(self._name, 0, NO_HASH, self._signer))
        return aside if kept else None

    def head(self) -> Head:
        """Return the signed head. Raises RecordBroken when it is missing or not signed by this node."""
        self.settle()
        return self._signed_head()

    def entries(self) -> Iterator[Entry]:
        """Yield the entries, oldest first. Raises RecordBroken at a line that can't be read."""
        for line in self._lines():
            entry = decode(line)
            if entry is None:
                raise self._broken()
            yield entry

    def verify(self, witnesses: Sequence[Head] = ()) -> Verdict:
        """Read the whole chain and return what is wrong. `witnesses`: heads that other devices remember."""
        self.settle()
        with errors_of(self.path):
            head = _read_head(self.head_path)
            return check(self._name, self._lines(), head, self._signer, witnesses, torn=self._torn())

    def _signed_head(self) -> Head:
        with errors_of(self.path):
            head = _read_head(self.head_path)
        if head is None or not is_signed(self._name, head, self._signer):
            raise self._broken()
        return head

    def denies(self, head: Head) -> bool:
        """Return whether an entry that this node once signed is not where it should be, as far as the newest tell."""
        self.settle()
        with errors_of(self.path):
            newest = [entry for entry in map(decode, _newest_lines(self.path)) if entry is not None]
        if not newest or head.number > newest[-1].number:
            return True
        return any(entry.number == head.number and entry.head.hash != head.hash for entry in newest)

    def was_put_aside(self, head: Head) -> bool:
        """Return whether an entry is in a file that was put aside when the chain was begun anew."""
        for aside in self.path.parent.glob(f"{self.path.stem}.until-*{self.path.suffix}"):
            with errors_of(aside), aside.open("rb") as file:
                entries = (decode(line) for line in iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""))
                if any(
                    entry is not None and (entry.number, entry.head.hash) == (head.number, head.hash)
                    for entry in entries
                ):
                    return True
        return False

    def _last(self, head: Head) -> tuple[Head, int]:
        """Return the head to follow and where to write."""
        line, end = _last_line(self.path)
        if line is None:
            if head.number:
                raise self._broken()
            return head, end
        last = decode(line)
        if last is None or last.head.hash != hash_of(self._name, last.number, last.previous, last.body):
            raise self._broken()
        if last.head == head:
            return head, end
        if last.number <= head.number or not is_signed(self._name, last.head, self._signer):
            raise self._broken()
        return last.head, end

    def _write_head(self, head: Head) -> None:
        content = {"n": head.number, "hash": head.hash, "sig": head.signature}
        write_whole(self.head_path, canonical(content) + b"\n", folder_synced=False)  # an older head does no harm

    def _lines(self) -> Iterator[bytes]:
        with errors_of(self.path):
            if not self.path.exists():
                return
            with self.path.open("rb") as file:
                while line := file.readline(MAX_LINE_BYTES + 1):
                    if line.endswith(b"\n") or len(line) > MAX_LINE_BYTES:
                        yield line

    def _torn(self) -> bool:
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - 1))
                return size > 0 and file.read(1) != b"\n"
        except FileNotFoundError:
            return False

    def _broken(self) -> RecordBroken:
        return RecordBroken(
            f"The {self._name} {self.path} is not as it was written, so nothing is added and nothing leaves. "
            "Run `covey ledger verify` to see what is wrong, then `covey ledger verify --begin-anew` to go on "
            "(the old file is kept)."
        )


def _newest_lines(path: Path) -> list[bytes]:
    """Return the finished lines at the end of the file, some hundred of them."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, 2) - 2 * MAX_LINE_BYTES)
            file.seek(start)
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return lines[1:] if start else lines


def _last_line(path: Path) -> tuple[bytes | None, int]:
    """Return the last finished line and where it ends."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = max(0, size - 2 * MAX_LINE_BYTES)
            file.seek(start)
            tail = file.read()
    except FileNotFoundError:
        return None, 0
    end = tail.rfind(b"\n") + 1
    if not end:
        return (None, 0) if start == 0 else (tail, size)
    return tail[tail.rfind(b"\n", 0, end - 1) + 1 : end], start + end


def _read_head(path: Path) -> Head | None:
    try:
        with path.open("rb") as file:
            data = json.loads(file.read(MAX_LINE_BYTES))
        head = Head(data["n"], data["hash"], data["sig"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    fits = isinstance(head.number, int) and isinstance(head.hash, str) and isinstance(head.signature, str)
    return head if fits else None


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn the system's errors about this file into ours."""
    try:
        yield
    except TimeoutError as error:
        raise RecordBusy(f"Another program holds {path}. Try again in a moment.") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise RecordFull(f"The disk that holds {path} is full, so nothing leaves. Free some space.") from error
        raise RecordError(
            f"{path} can't be used ({error.strerror}). Make it writable; until then nothing leaves."
        ) from error
