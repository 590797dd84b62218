"""Says at once that something about this device's interfaces may be different now. Not what: whoever hears it looks.

Linux tells it over a socket, which needs no rights. Where a system does not, or refuses, nothing is ever said, and only
looking from time to time notices a change.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
"""Groups of messages (rtnetlink(7)): an interface comes, goes or changes; an address does."""
MAX_MESSAGE_BYTES = 2**16
"""What is read at once. Nothing is done with it, so what is longer may be cut."""
MAX_READS = 64
"""Messages at once, before others have their turn: a burst is one piece of news."""

logger = logging.getLogger(__name__)


@contextmanager
def changes() -> Iterator[asyncio.Event]:
    """Give an event that is set whenever interfaces or addresses may have changed, as long as the block lasts."""
    stirred, listening = asyncio.Event(), _listening()
    if listening is None:
        yield stirred
        return
    loop = asyncio.get_running_loop()

    def heard() -> None:
        stirred.set()
        if not _emptied(listening):
            loop.remove_reader(listening)

    with listening:
        loop.add_reader(listening, heard)
        try:
            yield stirred
        finally:
            loop.remove_reader(listening)


def _listening() -> socket.socket | None:
    """Return a socket on which the system says so; None where there is no such."""
    family, protocol = getattr(socket, "AF_NETLINK", None), getattr(socket, "NETLINK_ROUTE", None)
    if family is None or protocol is None:
        return None
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol))
            made.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        except OSError as error:  # a sandbox allows no such socket
            logger.debug("changes of the network are only looked for: %s", error)
            return None
        stack.pop_all()
    return made


def _emptied(listening: socket.socket) -> bool:
    """Read what was said; return False when nothing more will be. That some was lost is news as well."""
    for _ in range(MAX_READS):
        try:
            listening.recv(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                logger.warning("changes of the network are only looked for from now on: %s", error)
                return False
    return True
