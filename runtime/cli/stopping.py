"""How a command that stays up is told to end: Ctrl-C, SIGTERM, or its terminal being closed (SIGHUP).

The first of these lets the requests at hand end, within a bound; a second Ctrl-C or SIGTERM ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from runtime.cli.paper import aside

STOP_S = 20.0
"""Seconds that requests at hand may take to end: some hundred tokens. systemd kills after 90."""
POLITE = signal.SIGINT, signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Stop:
    """What a command was told."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Wait until it is to end, and say so."""
        await self.asked.wait()
        say("Stopping: the requests at hand may end. Once more stops at once.")


@contextmanager
def told_to_stop() -> Iterator[Stop]:
    """Take note of the signals as long as the block lasts. One that is ignored (`nohup`) stays so."""
    stop = Stop()
    loop = asyncio.get_running_loop()

    def polite() -> None:
        (stop.hurry if stop.asked.is_set() else stop.asked).set()

    taken = {number: polite for number in POLITE}
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        taken[signal.SIGHUP] = stop.asked.set  # a closed terminal says it twice: by its shell and by the system
    for number, heard in taken.items():
        loop.add_signal_handler(number, heard)
    try:
        yield stop
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


def say(line: str) -> None:
    """Write a line to stderr, if there is still a terminal behind it."""
    with contextlib.suppress(OSError):
        aside(line)
