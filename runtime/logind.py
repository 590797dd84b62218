"""Hears from the system that this device is about to sleep, has it wait for the last word, and hears that it woke.

Listens to logind on the system bus, and holds a delay lock of it (`systemd-inhibit --list` shows it). Where the bus
ends, or there is none yet, it is joined again. Whoever was told of a sleep is told of its end also when the bus, or
logind, ended in between: a device that takes nothing in because it is about to sleep must not stay so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from peers.upkeep import kept_up
from runtime import system_bus
from runtime.system_bus import Message, SystemBus, To

BUS = Path("/run/dbus/system_bus_socket")
THE_BUS = To("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
LOGIND = To("/org/freedesktop/login1", "org.freedesktop.login1.Manager", "org.freedesktop.login1")
SLEEPS = f"type='signal',sender='{LOGIND.destination}',member='PrepareForSleep'"
RESTARTS = f"type='signal',sender='{THE_BUS.destination}',member='NameOwnerChanged',arg0='{LOGIND.destination}'"
"""What the bus is asked to pass on. It also passes on whatever is sent to this process alone, by anybody."""
LOCK = "sleep", "Covey", "paired devices are told first", "delay"
"""What is locked, by whom, why, and how: the system waits until the lock is given back, five seconds at most."""
HANDSHAKE_S = 5.0
LAST_WORD_S = 2.0
"""How long the system is kept awake at most: what the links are given to say that this device is about to sleep."""
_SLEEP = {
    system_bus.PATH: LOGIND.path.encode(),
    system_bus.INTERFACE: LOGIND.interface.encode(),
    system_bus.MEMBER: b"PrepareForSleep",
    system_bus.SIGNATURE: b"b",
}
_RESTART = {system_bus.SENDER: system_bus.BUS, system_bus.MEMBER: b"NameOwnerChanged"}

Heard = Callable[[bool], Awaitable[None]]
"""Told True before this device sleeps, which waits for it, and False after it woke."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def listening(heard: Heard, bus: Path = BUS) -> AsyncIterator[None]:
    """Tell `heard` of each sleep and each wake, as long as the block lasts."""
    task = asyncio.create_task(kept_up("listening for sleep", partial(_listen, heard, bus)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _listen(heard: Heard, bus: Path) -> None:
    """Tell of sleep until the bus ends, and then that this device is awake if that was not said."""
    going = False
    try:
        async with contextlib.aclosing(_told(bus)) as told:
            async for going in told:
                await _tell(heard, going)
    except (OSError, EOFError, ValueError) as error:
        logger.debug("no system bus tells of sleep now: %s", error)
    if going:
        await heard(False)


async def _tell(heard: Heard, going: bool) -> None:
    try:
        async with asyncio.timeout(LAST_WORD_S if going else None):
            await heard(going)
    except TimeoutError:
        logger.debug("not all paired devices could be told before this device sleeps")


async def _told(path: Path) -> AsyncGenerator[bool, None]:
    """Yield True before a sleep, which waits until more is asked for, and False after it. Raises as `SystemBus`."""
    with contextlib.closing(SystemBus()) as bus:
        async with asyncio.timeout(HANDSHAKE_S):
            await bus.join(str(path))
        await bus.call("Hello", to=THE_BUS)
        for match in (SLEEPS, RESTARTS):
            await bus.call("AddMatch", match, to=THE_BUS)
        asked, logind, going = await bus.call("Inhibit", *LOCK, to=LOGIND), b"", False
        while True:
            message = await bus.message()
            if message.answers(asked):
                bus.hold()
                logind = message.sender
                continue
            restarted = message.signals(_RESTART)
            said = False if restarted else sleep_of(message, logind)
            if said is None:
                continue
            if going or not restarted:
                yield said
            going = said
            bus.let_go()
            if not going:
                asked = await bus.call("Inhibit", *LOCK, to=LOGIND)


def sleep_of(message: Message, logind: bytes) -> bool | None:
    """Return what a message says of sleep: True before, False after; None when it does not, or not by logind."""
    is_it = message.signals({**_SLEEP, system_bus.SENDER: logind}) and len(message.body) == 4
    return any(message.body) if is_it else None
