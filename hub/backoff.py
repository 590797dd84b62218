"""How long to wait before the same hub is tried once more. Pure: the chance is passed in."""

from __future__ import annotations

from hub.errors import HubBusy, HubUnusable

TRIES = 3
"""In all. Each is released, written down and paid for by itself."""
FIRST_S = 0.5
MOST_S = 8.0
"""A person waits; what asks for more patience than this is tried elsewhere."""


def pause_s(error: HubUnusable, tries: int, chance: float) -> float | None:
    """Return the seconds to wait after the `tries`-th failure; None when another try makes no sense.

    `chance` is 0..1: a random part keeps many askers from coming back at the same moment.

    >>> pause_s(HubBusy("busy", 2.0), 1, 0.0)
    2.0
    """
    if not error.retryable or tries >= TRIES:
        return None
    asked = error.retry_after_s if isinstance(error, HubBusy) else None
    wait = FIRST_S * 2 ** (tries - 1) * (0.5 + chance) if asked is None else asked * (1 + 0.1 * chance)
    return wait if wait <= MOST_S else None
