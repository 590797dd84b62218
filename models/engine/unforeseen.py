"""What nobody foresaw ends the request that brought it about; the worker and all other requests go on."""

from __future__ import annotations

import logging
import traceback

from models.errors import BackendError

logger = logging.getLogger(__name__)


def unforeseen(error: Exception) -> BackendError:
    """Return what the asker is told. The log says where it happened, without words that may be the asker's."""
    logger.error("a request failed: %s", place(error))
    kind = type(error).__name__
    return BackendError(f"This request could not be computed ({kind}). Ask again, or ask for it in another form.")


def place(error: Exception) -> str:
    """Return what kind of error it is and where it was raised."""
    at = traceback.extract_tb(error.__traceback__)[-1:]
    return " ".join([type(error).__name__, *(f"at {frame.filename}:{frame.lineno}" for frame in at)])
