"""Accepts connections on the peers' port, with a bound on everything that a stranger can hold open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Collection
from typing import Any

from peers import tls
from peers.handshakes import MAX_UNPAIRED, Waiting, gives_way
from peers.inside import Connection, Inside

HANDSHAKE_S = 10.0
"""A slow board with a poor radio needs two seconds; a socket that says nothing is given up."""
UNPAIRED_S = 30.0
"""How long such a connection lives: longer than a pairing's messages take, too short to hold a place by dribbling."""
EVERYWHERE = "0.0.0.0"
"""The host that stands for all addresses of this device, IPv6 among them."""
BACKLOG = 64
"""Connections that wait to be accepted; a flood is dropped by the system."""
_PAUSE_S = 0.1
"""After a socket could not be accepted (no descriptor left, its sender gone already): it may be better in a moment."""

logger = logging.getLogger(__name__)

Protocols = Callable[[], asyncio.Protocol]


class Door:
    """One listening socket. It serves until it is closed."""

    def __init__(
        self,
        protocols: Protocols,
        context: Callable[[], ssl.SSLContext],
        inside: Inside,
        *,
        known: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """`protocols` makes what handles one connection; `context` is asked anew for each, as pairings change.

        `inside` keeps those of paired devices. `known`: the addresses at which paired devices were found; those keep
        their places among strangers.
        """
        self.inside = inside
        self._protocols = protocols
        self._context = context
        self._known = known
        self._handshakes: dict[Waiting, tuple[socket.socket, asyncio.Task[None]]] = {}
        self._accepted = 0
        self._strangers: dict[Waiting, asyncio.Transport] = {}
        self._limits: dict[Waiting, asyncio.TimerHandle] = {}
        """When each of them has to go."""

    async def serve(self, listening: socket.socket) -> None:
        """Accept until cancelled. `listening` is bound, listening, non-blocking. Raises OSError when it is closed."""
        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    try:
                        accepted, address = listening.accept()
                    except BlockingIOError:
                        await _readable(listening)
                        continue
                    except OSError as error:
                        if error.errno == errno.EBADF:
                            raise
                        logger.debug("a connection could not be accepted: %s", error)
                        await asyncio.sleep(_PAUSE_S)
                        continue
                    self._begin(group, accepted, host_at(address))
                    await asyncio.sleep(0)  # a flood of sockets leaves the others their turn
            finally:
                await self._hang_up()

    def _begin(self, group: asyncio.TaskGroup, accepted: socket.socket, host: str) -> None:
        """Let a socket into the handshake, in the place of another where there is no room."""
        accepted.setblocking(False)
        waiting = self._from(host)
        leaving = gives_way(self._handshakes.keys(), waiting)
        if leaving is waiting:
            accepted.close()
            return
        if leaving is not None:
            _end(self._handshakes.pop(leaving)[0])
        shaking = group.create_task(self._shake(accepted))
        self._handshakes[waiting] = accepted, shaking
        shaking.add_done_callback(lambda _: self._handshakes.pop(waiting, None))

    async def _hang_up(self) -> None:
        """End the handshakes under way and wait for that, for a moment."""
        for accepted, _ in self._handshakes.values():
            _end(accepted)
        if self._handshakes:
            await asyncio.wait([shaking for _, shaking in self._handshakes.values()], timeout=1.0)

    async def _shake(self, accepted: socket.socket) -> None:
        try:
            await tls.shake(accepted, _Guest(self._protocols(), self), self._context(), timeout_s=HANDSHAKE_S)
        except Exception as error:  # top of a task: what one connection does must not close the door for all
            logger.debug("a connection ended in its handshake: %s", error)
            error.__traceback__ = (
                None  # its frames hold the buffers of the connection, and they hold it: a flood's worth
            )
            accepted.close()

    def enter(self, transport: asyncio.Transport) -> Waiting | None:
        """Let a connection without a certificate in for a while; None when there is no place for it."""
        stranger = self._from(host_of(transport))
        leaving = gives_way(self._strangers.keys(), stranger, most=MAX_UNPAIRED)
        if leaving is stranger:
            return None
        if leaving is not None:
            self._strangers[leaving].abort()
            self.leave(leaving)
        self._strangers[stranger] = transport
        self._limits[stranger] = asyncio.get_running_loop().call_later(UNPAIRED_S, transport.abort)
        return stranger

    def leave(self, stranger: Waiting) -> None:
        """Forget a connection without a certificate."""
        if self._strangers.pop(stranger, None) is not None:
            self._limits.pop(stranger).cancel()  # or a flood would be remembered for as long as it might have stayed

    def _from(self, host: str) -> Waiting:
        self._accepted += 1
        return Waiting(self._accepted, host, host.partition("%")[0] in self._known())


class _Guest(asyncio.Protocol):
    """Stands before the protocol of one connection and turns strangers away when there are too many."""

    def __init__(self, inside: asyncio.Protocol, door: Door) -> None:
        self._inside = inside
        self._door = door
        self._stranger: Waiting | None = None
        self._entered = False
        self._admitted: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        certificate = peer_certificate(transport)
        if certificate:
            self._admitted = self._door.inside.admit(certificate, transport)
            if self._admitted is None:
                transport.abort()
                return
        else:
            self._stranger = self._door.enter(transport)
            if self._stranger is None:
                transport.abort()
                return
        self._entered = True
        self._inside.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._admitted is not None:
            self._door.inside.spoke(self._admitted)
        if self._entered:
            self._inside.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inside.eof_received() if self._entered else None

    def pause_writing(self) -> None:
        if self._entered:
            self._inside.pause_writing()

    def resume_writing(self) -> None:
        if self._entered:
            self._inside.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if self._stranger is not None:
            self._door.leave(self._stranger)
        if self._admitted is not None:
            self._door.inside.dismiss(self._admitted)
        if self._entered:
            self._inside.connection_lost(error)


def _end(accepted: socket.socket) -> None:
    """Make a handshake fail by itself, and its transport close the socket.

    Were its task cancelled, the socket could stay open, or be closed under its transport: then nobody would hear the
    next connection with its number.
    """
    with contextlib.suppress(OSError):  # it has ended already
        accepted.shutdown(socket.SHUT_RDWR)


async def _readable(listening: socket.socket) -> None:
    """Wait for a connection. The loop's own `sock_accept` loses one that comes at the moment when it is cancelled."""
    loop, come = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listening.fileno(), come.set)
    try:
        await come.wait()
    finally:
        loop.remove_reader(listening.fileno())


def peer_certificate(transport: asyncio.BaseTransport | None) -> bytes:
    """Return the DER certificate that the other side showed, or nothing."""
    secured = transport.get_extra_info("ssl_object") if transport is not None else None
    return (secured.getpeercert(True) or b"") if secured is not None else b""


def host_of(transport: asyncio.BaseTransport | None) -> str:
    """Return the address of the other side as it can be dialled; empty when it is gone."""
    name = transport.get_extra_info("peername") if transport is not None else None
    return host_at(name) if name else ""


def host_at(address: tuple[Any, ...]) -> str:
    """Return the host of a socket's address as it can be dialled."""
    host = str(address[0]).removeprefix("::ffff:")
    return f"{host}%{address[3]}" if len(address) > 3 and address[3] and "%" not in host else host


def listen(host: str, port: int) -> socket.socket:
    """Return a socket for the door. Raises OSError. All of IPv4 is all of IPv6 too, where the device has that."""
    listening = _listen_everywhere(port) if host == EVERYWHERE else None
    if listening is None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening


def _listen_everywhere(port: int) -> socket.socket | None:
    """Return a socket for both families; None where IPv6 is turned off. Raises OSError when the port is taken."""
    if not socket.has_dualstack_ipv6():
        return None
    try:
        return socket.create_server(("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise
        return None
