"""What nobody foresaw ends the request that brought it about; the worker and all other requests go on."""

from __future__ import annotations

import logging
import traceback

from models.errors import BackendError

logger = logging.getLogger(__name__)


def unforeseen(error: Exception) -> BackendError:
    """Return what the asker is told. The log says where it happened, without words that may be the asker's."""
    kind = type(error).__name__
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        logger.error("a request failed: %s at %s:%s", kind, frame.filename, frame.lineno)
    return BackendError(f"This request could not be computed ({kind}). Ask again, or ask for it in another form.")
