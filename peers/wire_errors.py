"""Errors and the words for them on the wire, in one table: both directions change together."""

from __future__ import annotations

from models.errors import BackendError, DeadlineExceeded, InputError, ModelsError, NotInstalled, OtherWeights
from peers.errors import (
    GrantRefused,
    LinkError,
    PeerBusy,
    PeersError,
    RemoteProtocolError,
    VersionMismatch,
    WorkLoops,
)
from peers.messages import MAX_SENTENCE, Failed

TABLE: tuple[tuple[str, int, type[ModelsError | PeersError]], ...] = (
    ("busy", 429, PeerBusy),
    ("version", 426, VersionMismatch),
    ("bad_message", 400, RemoteProtocolError),
    ("not_granted", 403, GrantRefused),
    ("loop", 508, WorkLoops),
    ("bad_input", 422, InputError),
    ("deadline_exceeded", 504, DeadlineExceeded),
    ("not_capable", 404, NotInstalled),
    ("other_weights", 409, OtherWeights),
    ("failed", 500, BackendError),
)
"""Word, HTTP status (before the work is accepted) and error. On the way out the first match wins."""
FALLBACK = "failed"


def failed_of(error: ModelsError | PeersError) -> tuple[int, Failed]:
    """Return the status and the message for an error that the asking device should be told."""
    word, status = next(((word, status) for word, status, kind in TABLE if isinstance(error, kind)), (FALLBACK, 500))
    retry = error.retry_after_s if isinstance(error, PeerBusy) else None
    return status, Failed(code=word, message=str(error)[:MAX_SENTENCE], retry_after_s=retry)


def error_of(failed: Failed, name: str) -> ModelsError:
    """Return what the device of that name said went wrong, as an error of ours."""
    said = f"{name}: {failed.message}"
    kinds = {word: kind for word, _, kind in TABLE}
    kind = kinds.get(failed.code, BackendError)
    if kind is PeerBusy:
        return PeerBusy(said, failed.retry_after_s or 1.0)
    return kind(said) if issubclass(kind, ModelsError) else LinkError(said)
