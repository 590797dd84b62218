"""Who can be asked whether something may leave: each request brings its own owner along, or nobody.

The one at the other end of the node's socket, or the one at this terminal. What asks for a program has nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a node without hubs imports nothing of theirs
    from hub.consent import Asker

_ASKER: ContextVar[Asker | None] = ContextVar("asker", default=None)
"""A context variable, because two requests at once must never ask each other's owner."""


@contextmanager
def asked_by(asker: Asker | None) -> Iterator[None]:
    """Let what is begun in this block ask this owner."""
    token = _ASKER.set(asker)
    try:
        yield
    finally:
        _ASKER.reset(token)


def asker_here() -> Asker | None:
    """Return who can be asked by the request at hand; None: nobody."""
    return _ASKER.get()
