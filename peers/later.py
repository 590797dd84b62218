"""Small writes that nobody waits for, done soon in a thread of their own; the process does not end before them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

logger = logging.getLogger(__name__)


class Later:
    """Does one job after the other."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="later")

    def do(self, job: Callable[[], None]) -> None:
        """Have a job done soon. What goes wrong in it is logged: nothing depended on it."""
        self._worker.submit(_done, job)

    def settle(self) -> None:
        """Wait until all jobs so far are done."""
        self._worker.submit(_nothing).result()


def _done(job: Callable[[], None]) -> None:
    try:
        job()
    except Exception as error:  # top of a thread: the next write is tried all the same
        logger.warning("a write that nobody waited for failed: %s", error)


def _nothing() -> None:
    return
