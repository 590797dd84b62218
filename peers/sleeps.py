"""Notices that this device slept: the clock that counts from its start went on meanwhile, the other one stood."""

from __future__ import annotations

import time
from collections.abc import Callable

JUMP_S = 2.0
"""Shorter jumps are the corrections of a clock."""
STALL_S = 10.0
"""When nothing here ran for so long (a suspended virtual machine, a stopped process), it is like a sleep."""


def boot_s() -> float:
    """Return the seconds since this device started, also those that it slept."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.time() if clock is None else time.clock_gettime(clock)  # elsewhere the time of day tells it as well


class Sleeps:
    """Asked about twice a second."""

    def __init__(self, awake: Callable[[], float] = time.monotonic, always: Callable[[], float] = boot_s) -> None:
        self._awake = awake
        self._always = always
        self._asked_s = awake()
        self._apart_s = always() - self._asked_s

    def noticed(self) -> bool:
        """Return whether this device slept, or stood still, since this was asked last."""
        now = self._awake()
        apart_s, stood_s = self._always() - now, now - self._asked_s
        slept = apart_s - self._apart_s > JUMP_S or stood_s > STALL_S
        self._asked_s, self._apart_s = now, apart_s
        return slept
