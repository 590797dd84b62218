"""Whether the other end of a link is still there: a value and what time does to it. No clock, no socket.

Slow is not dead: whatever is heard makes the link well again, a late answer to a ping too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

PING_S = 5.0
SUSPECT_PINGS = 2
"""Pings in a row without an answer after which no new work is sent."""
ANSWER_S = 2.0
"""What the last of them is given to be answered: a busy board with a poor radio needs less."""
DOWN_S = 30.0
"""Silence after which the link is given up."""
FIRST_WAIT_S = 0.5
GROWTH = 1.5
LONGEST_WAIT_S = 60.0
RETURN_WAIT_S = 2.0
"""For a device that had a link lately: with the time that dialling takes, it is back within five seconds after the
network is, also where nothing tells this device that it was gone (a switch or an access point without power)."""


class Health(Enum):
    """What a link is good for."""

    UP = "up"
    SUSPECT = "suspect"
    """Send no new work there."""
    DOWN = "down"
    """Give it up and dial anew."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of the other end. Seconds of a clock that never jumps."""

    heard_s: float
    pinged_s: float
    unanswered: int = 0
    """Pings since anything was heard. A ping that this device was too stalled to send is not among them."""


def begun(now_s: float) -> Pulse:
    """Return the pulse of a link that was just made."""
    return Pulse(now_s, now_s)


def heard(pulse: Pulse, now_s: float) -> Pulse:
    """Return the pulse after anything came from the other end."""
    return replace(pulse, heard_s=now_s, unanswered=0)


def is_due(pulse: Pulse, now_s: float) -> bool:
    """Return whether it is time to ping."""
    return now_s - pulse.pinged_s >= PING_S


def pinged(pulse: Pulse, now_s: float) -> Pulse:
    """Return the pulse after a ping went out."""
    return Pulse(pulse.heard_s, now_s, pulse.unanswered + 1)


def health(pulse: Pulse, now_s: float) -> Health:
    """Return what the link is good for: suspect 12 s after the last word, down after 30 s."""
    if pulse.unanswered and now_s - pulse.heard_s >= DOWN_S:
        return Health.DOWN
    if pulse.unanswered >= SUSPECT_PINGS and now_s - pulse.pinged_s >= ANSWER_S:
        return Health.SUSPECT
    return Health.SUSPECT if pulse.unanswered > SUSPECT_PINGS else Health.UP


def wait_s(failures: int, longest_s: float = LONGEST_WAIT_S, *, chance: Callable[[], float] = random.random) -> float:
    """Return how long to wait before dialling again after so many failures: 0.5 s × 1.5 each, `longest_s` at most.

    Half of it is chance, so that two devices which dial each other do not do so in step for ever.
    """
    full = min(FIRST_WAIT_S * GROWTH ** min(max(0, failures - 1), 32), longest_s)
    return full * (0.5 + chance() / 2)
