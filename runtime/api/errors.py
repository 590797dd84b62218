"""What a client reads when a request fails: status and body as OpenAI documents them. One table decides."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hub.errors import HubError
from models.errors import (
    ConstraintError,
    ContextOverflow,
    DeadlineExceeded,
    InputError,
    ModelsError,
    NotInstalled,
    OutOfMemory,
    UnknownModel,
    WorkerDied,
)
from models.types import Json
from peers.errors import PeersError
from runtime.errors import CoveyError, DocumentError, JournalError, UsageError

WRONG = "invalid_request_error"
"""OpenAI's type for whatever the client can put right."""
BROKEN = "server_error"
TOO_MUCH = "rate_limit_error"
NOT_IN_ORDER = (
    "This device's own files are not in order, so nothing is given out. On it, run `covey ledger verify` and "
    "`covey hub tokens` to see what is wrong."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """One error as it goes over the wire."""

    status: int
    type: str
    code: str | None
    message: str
    param: str | None = None
    """Field of the request that is to blame."""
    retry_after_s: int | None = None

    def body(self) -> dict[str, Json]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class Refused(CoveyError):
    """The API turned a request down; the fault says how."""

    code = "refused"

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def wrong(message: str, *, param: str | None = None, code: str | None = None) -> Refused:
    """Return the error of a request that the client must change."""
    return Refused(Fault(400, WRONG, code, message, param))


_TABLE: tuple[tuple[type[Exception], int, str, str | None, str | None], ...] = (
    (UnknownModel, 404, WRONG, "model_not_found", "model"),
    (NotInstalled, 404, WRONG, "model_not_found", "model"),
    (ContextOverflow, 400, WRONG, "context_length_exceeded", "messages"),
    (ConstraintError, 400, WRONG, "invalid_json_schema", "response_format"),
    (InputError, 400, WRONG, None, "messages"),
    (DocumentError, 400, WRONG, None, None),
    (UsageError, 400, WRONG, None, "messages"),
    (DeadlineExceeded, 503, BROKEN, None, None),
    (OutOfMemory, 503, BROKEN, None, None),
    (WorkerDied, 503, BROKEN, None, None),
    (JournalError, 503, BROKEN, None, None),
)
"""Error, status, type, code (None: the error's own), param. First match wins."""


def fault_of(error: Exception) -> Fault:
    """Return what the client reads. Of an error that nobody foresaw it reads nothing of the inside; the log has it."""
    if isinstance(error, Refused):
        return error.fault
    for kind, status, of_type, code, param in _TABLE:
        if isinstance(error, kind):
            return Fault(status, of_type, code or getattr(error, "code", None), str(error), param)
    if isinstance(error, CoveyError | ModelsError):
        return Fault(500, BROKEN, error.code, str(error))
    if isinstance(error, HubError | PeersError):  # tokens, ledger or peers: what they say names this device's files
        logger.warning("a request was not served: %s", error)
        return Fault(503, BROKEN, error.code, NOT_IN_ORDER)
    logger.error("a request failed in a way that it should not", exc_info=error)
    return Fault(500, BROKEN, "internal", "Covey failed in a way that it should not; its log says where.")
