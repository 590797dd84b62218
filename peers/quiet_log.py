"""What a caller put so wrongly that no handler saw it: it was answered, and is no news to the owner."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError


class _Answered(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_ANSWERED = _Answered()


def log_no_nonsense() -> None:
    """Keep callers' broken HTTP out of the log and the owner's terminal, on every port of this process."""
    logging.getLogger("aiohttp.server").addFilter(_ANSWERED)
