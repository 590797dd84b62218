"""Errors and the words for them on the wire, in one table: both directions change together.

What went wrong with the request is told in its own words. What went wrong inside this device is not: its sentences
name folders and models, which are no asker's concern. They are in this device's log.
"""

from __future__ import annotations

import logging

from models.errors import (
    BackendError,
    BadArtifact,
    ConstraintError,
    DeadlineExceeded,
    ExtraMissing,
    InputError,
    ModelsError,
    NotInstalled,
    OtherWeights,
    WorkerDied,
)
from peers.errors import (
    GrantRefused,
    LinkError,
    PeerBusy,
    PeersError,
    RecordError,
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
    ("failed", 500, ConstraintError),
    ("failed", 500, ExtraMissing),
    ("failed", 500, BackendError),
)
"""Word, HTTP status (before the work is accepted) and error. On the way out the first match wins, on the way in the
last."""
FALLBACK = "failed"
UNTOLD = (BadArtifact, WorkerDied)
"""In the table, and yet with words of the system in their sentences."""
NO_RECORD = "It can't write down what it does, so it does nothing for others. On it, `covey doctor` says why."
INSIDE = "Something is wrong on it. On it, its log and `covey doctor` say what; ask another device meanwhile."

logger = logging.getLogger(__name__)


def failed_of(error: ModelsError | PeersError) -> tuple[int, Failed]:
    """Return the status and the message for an error that the asking device should be told."""
    known = [(word, status) for word, status, kind in TABLE if isinstance(error, kind)]
    word, status = known[0] if known else (FALLBACK, 500)
    retry = error.retry_after_s if isinstance(error, PeerBusy) else None
    if known and not isinstance(error, UNTOLD):
        return status, Failed(code=word, message=str(error)[:MAX_SENTENCE], retry_after_s=retry)
    logger.warning("work for another device failed: %s", error)
    return status, Failed(code=word, message=NO_RECORD if isinstance(error, RecordError) else INSIDE)


def error_of(failed: Failed, name: str) -> ModelsError:
    """Return what the device of that name said went wrong, as an error of ours."""
    said = f"{name}: {failed.message}"
    kinds = {word: kind for word, _, kind in TABLE}
    kind = kinds.get(failed.code, BackendError)
    if kind is PeerBusy:
        return PeerBusy(said, failed.retry_after_s or 1.0)
    return kind(said) if issubclass(kind, ModelsError) else LinkError(said)
