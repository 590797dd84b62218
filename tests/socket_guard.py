"""Notices every attempt to send something off this machine, from the test process itself.

The interpreter's own audit events are read, so nothing in Covey can go round it; what is written on a connection that
is open already has none, so that the writing itself is watched. Child processes have an interpreter of their own and
are not seen.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NoReturn

from tests.transport_watch import watch_writes

_SENDS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname"}


_played: ContextVar[bool] = ContextVar("played", default=False)


@contextmanager
def playing() -> Iterator[None]:
    """What this task writes is said by a test that plays another device, and is not Covey's to release."""
    token = _played.set(True)
    try:
        yield
    finally:
        _played.reset(token)


class ForbiddenSend(BaseException):
    """Something tried to leave this machine in a test.

    Not an Exception: code under test that survives a failed connection must not swallow it.
    """


class SocketGuard:
    """Refuses and remembers sends to anything but loopback and Unix sockets.

    A test may declare a loopback address to be another device's: then a connection is made there only while a
    release is live, just as in real life. It may also name words of a task: these are written on no connection at
    all but while a release is live.
    """

    def __init__(self, live: Callable[[], bool] = lambda: False) -> None:
        """`live`: whether the code that is running now sends a released value."""
        self.attempts: list[str] = []
        """Since the last `take`, oldest first."""
        self._released: list[object] = []
        self._elsewhere: list[object] = []
        self._words: tuple[bytes, ...] = ()
        self._live = live

    def install(self) -> None:
        """Start watching; an audit hook stays until the process ends."""
        sys.addaudithook(self.watch)
        watch_writes(self.look)

    @contextmanager
    def released(self, address: object) -> Iterator[None]:
        """Let sends to this very address pass: a live release stands behind them."""
        self._released.append(address)
        try:
            yield
        finally:
            self._released.remove(address)

    @contextmanager
    def elsewhere(self, address: object) -> Iterator[None]:
        """Treat this loopback address as another device's: only a live release may send to it."""
        self._elsewhere.append(address)
        try:
            yield
        finally:
            self._elsewhere.remove(address)

    @contextmanager
    def content(self, *words: bytes) -> Iterator[None]:
        """Let these words be written by nobody but while a release is live."""
        before, self._words = self._words, (*self._words, *words)
        try:
            yield
        finally:
            self._words = before

    def take(self) -> list[str]:
        """Return the attempts so far and forget them."""
        attempts, self.attempts = self.attempts, []
        return attempts

    def watch(self, event: str, arguments: tuple[object, ...]) -> None:
        """Look at one audit event; raises ForbiddenSend."""
        if event in _SENDS:
            sender, address = arguments[0], arguments[1]
            family = getattr(sender, "family", None)
            if family not in (socket.AF_INET, socket.AF_INET6) or address is None or address in self._released:
                return
            host = address[0] if isinstance(address, tuple) and address else ""
            if address in self._elsewhere and not self._live():
                self._refuse(f"{event} {address!r}", "no release stands behind what is sent there")
        elif event in _LOOKUPS:
            host = arguments[0]
        else:
            return
        if not (is_local(host) or (event in _SENDS and stays_on_loopback(sender, host))):
            self._refuse(f"{event} {host!r}", "tests send nothing off this machine")

    def look(self, data: bytes) -> None:
        """Look at what is about to be written on an open connection; raises ForbiddenSend."""
        found = next((word for word in self._words if word in data), None)
        if found is not None and not (self._live() or _played.get()):
            self._refuse(f"write {found!r}", "no release stands behind it")

    def _refuse(self, attempt: str, why: str) -> NoReturn:
        self.attempts.append(attempt)
        raise ForbiddenSend(f"{attempt}: {why}")


def stays_on_loopback(sender: object, host: object) -> bool:
    """Return whether this is multicast out of a socket that is bound to loopback: it never leaves that interface."""
    try:
        if not (isinstance(sender, socket.socket) and ipaddress.ip_address(str(host)).is_multicast):
            return False
        return is_local(sender.getsockname()[0])
    except (OSError, ValueError):
        return False


def is_local(host: object) -> bool:
    """Return whether a host is this machine's loopback."""
    if isinstance(host, bytes | bytearray):
        host = host.decode("ascii", "replace")
    if host is None or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False
