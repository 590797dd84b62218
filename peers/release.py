"""The only door: policy, then a ledger entry on the disk, then a value that the send functions take.

Every function that sends takes a `Released[...]`, and nothing but `Releaser.release` can make one, so
a fallback or a retry can't slip round the ledger: it would not type-check, and would raise when run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, NoReturn, TypeVar

from models.types import Digest, Label
from peers import policy
from peers.errors import NotReleased, ReleaseRefused
from peers.ledger import Leaving, Ledger
from peers.policy import Recipient

T_co = TypeVar("T_co", covariant=True)

_SEAL = object()
"""Known to this module alone; a test searches the whole tree for other uses."""
_live: ContextVar[frozenset[str]] = ContextVar("live", default=frozenset())


class Released(Generic[T_co]):
    """A value that may go to one recipient, because a ledger entry says so. Can't be built, copied or changed."""

    __slots__ = ("_value", "entry", "label", "recipient")

    _value: T_co
    recipient: Recipient
    label: Label
    entry: int
    """Number of the ledger entry."""

    def __init__(self, seal: object, value: T_co, recipient: Recipient, label: Label, entry: int) -> None:
        if seal is not _SEAL:
            raise NotReleased("Only a release makes a Released value: call Releaser.release.")
        put = object.__setattr__
        put(self, "_value", value)
        put(self, "recipient", recipient)
        put(self, "label", label)
        put(self, "entry", entry)

    def value_for(self, recipient_id: str) -> T_co:
        """Return the value, to the one who sends it to this very recipient. Raises NotReleased."""
        if recipient_id != self.recipient.id:
            raise NotReleased(f"Ledger entry {self.entry} is for {self.recipient.name}, not for {recipient_id}.")
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise NotReleased("A released value can't be changed: release the other one.")

    def __delattr__(self, name: str) -> NoReturn:
        raise NotReleased("A released value can't be changed: release the other one.")

    def __reduce__(self) -> NoReturn:
        raise NotReleased("A released value can't be copied: its ledger entry stands for one sending.")

    def __repr__(self) -> str:
        return f"Released(entry={self.entry}, to={self.recipient.name})"


class Releaser:
    """Lets values go, each with an entry in the ledger of this node."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def release(
        self,
        value: bytes,
        label: Label,
        *,
        capability: str,
        recipient: Recipient,
        reason: str,
        bytes_kept: bool = True,
    ) -> Released[bytes]:
        """Return the value as one that may be sent to the recipient.

        The call blocks for the disk: the entry is there before the first byte can go. Without `bytes_kept` it has
        their digest and number only: somebody else's words.
        Raises ReleaseRefused when the policy says no, RecordError when it can't be written down.
        """
        _check(label, capability, recipient)
        written = self._ledger.record(
            value, label, capability=capability, recipient=recipient, reason=reason, bytes_kept=bytes_kept
        )
        return Released(_SEAL, value, recipient, label, written.number)

    def release_artifact(
        self, digest: Digest, size_bytes: int, label: Label, *, capability: str, recipient: Recipient, reason: str
    ) -> Released[Digest]:
        """Return the digest of a file of the store as one whose bytes may be sent. Blocks and raises as `release`."""
        _check(label, capability, recipient)
        written = self._ledger.record_artifact(
            digest, size_bytes, label, capability=capability, recipient=recipient, reason=reason
        )
        return Released(_SEAL, digest, recipient, label, written.number)

    def open_stream(
        self, label: Label, *, capability: str, recipient: Recipient, reason: str, bytes_kept: bool = True
    ) -> Stream:
        """Begin an answer that leaves piece by piece. Blocks and raises as `release` does.

        Without `bytes_kept` the ledger has its digest and size only: the answer to somebody else's question.
        """
        _check(label, capability, recipient)
        opened = self._ledger.record_opened(label, capability=capability, recipient=recipient, reason=reason)
        return Stream(self._ledger, opened, recipient, bytes_kept=bytes_kept)


class Stream:
    """An answer that leaves piece by piece: one ledger entry before the first, one with all bytes after the last.

    When the process dies in between, the first entry stands alone and says that something was begun.
    """

    def __init__(self, ledger: Ledger, opened: Leaving, recipient: Recipient, *, bytes_kept: bool) -> None:
        self._ledger = ledger
        self._bytes_kept = bytes_kept
        self._opened = opened
        self._recipient = recipient
        self._said = bytearray()
        self._closed = False

    def piece(self, value: bytes) -> Released[bytes]:
        """Return the next bytes as ones that may be sent to the recipient."""
        self._said += value
        return Released(_SEAL, value, self._recipient, self._opened.label, self._opened.number)

    def close(self) -> None:
        """Write down all that went, once. The call blocks for the disk. Raises RecordError."""
        if not self._closed:
            self._closed = True
            self._ledger.record_streamed(
                bytes(self._said), self._opened, recipient=self._recipient, bytes_kept=self._bytes_kept
            )


@contextmanager
def sending(released: Released[object]) -> Iterator[None]:
    """Mark that, in this task, bytes for this recipient are on their way out; every send function does so."""
    token = _live.set(_live.get() | {released.recipient.id})
    try:
        yield
    finally:
        _live.reset(token)


def live_recipients() -> frozenset[str]:
    """Return the ids of those whom this task is sending a released value to."""
    return _live.get()


def _check(label: Label, capability: str, recipient: Recipient) -> None:
    verdict = policy.decide(label, capability, recipient)
    if isinstance(verdict, policy.Refuse):
        raise ReleaseRefused(f"Nothing was sent to {recipient.name}. {verdict.reason}")
