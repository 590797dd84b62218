"""Accepts connections on the peers' port, with a bound on everything that a stranger can hold open."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Collection

HANDSHAKE_S = 10.0
"""A slow board with a poor radio needs two seconds; a socket that says nothing is given up."""
MAX_HANDSHAKES = 32
"""Sockets that are in the TLS handshake at once. More come from a flood, and each costs a file descriptor."""
MAX_UNPAIRED = 16
"""Connections without a client certificate at once: the owner's other device, and room for those who lost their way."""
UNPAIRED_S = 30.0
"""How long such a connection lives: longer than a pairing's messages take, too short to hold a place by dribbling."""
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
EVERYWHERE = "0.0.0.0"
"""The host that stands for all addresses of this device, IPv6 among them."""
BACKLOG = 64
"""Connections that wait to be accepted; a flood is dropped by the system."""
_PAUSE_S = 0.1
"""After running out of descriptors; connections end in the meantime."""

logger = logging.getLogger(__name__)

Protocols = Callable[[], asyncio.Protocol]


class Door:
    """One listening socket. It serves until it is closed."""

    def __init__(self, protocols: Protocols, context: Callable[[], ssl.SSLContext]) -> None:
        """`protocols` makes what handles one connection; `context` is asked anew for each, as pairings change."""
        self._protocols = protocols
        self._context = context
        self._handshakes: set[asyncio.Task[None]] = set()
        self._unpaired = 0
        self._inside: dict[bytes, set[asyncio.Transport]] = {}

    def keep_only(self, trusted: Collection[bytes]) -> None:
        """End the connections of those whose certificate (DER) is not among these any more."""
        for certificate in self._inside.keys() - set(trusted):
            for transport in tuple(self._inside[certificate]):
                transport.abort()

    async def serve(self, listening: socket.socket) -> None:
        """Accept until cancelled. `listening` is bound, listening and non-blocking."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    try:
                        accepted, _ = await loop.sock_accept(listening)
                    except OSError as error:
                        if error.errno not in _NO_DESCRIPTORS:
                            raise
                        await asyncio.sleep(_PAUSE_S)
                        continue
                    if len(self._handshakes) >= MAX_HANDSHAKES:
                        accepted.close()
                        continue
                    task = group.create_task(self._shake(accepted))
                    self._handshakes.add(task)
                    task.add_done_callback(self._handshakes.discard)
        finally:
            listening.close()

    async def _shake(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: _Guest(self._protocols(), self),
                accepted,
                ssl=self._context(),
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=1.0,
            )
        except Exception as error:  # top of a task: what one connection does must not close the door for all
            logger.debug("a connection ended in its handshake: %s", error)
            error.__traceback__ = (
                None  # its frames hold the buffers of the connection, and they hold it: a flood's worth
            )
            accepted.close()

    def admit(self, certificate: bytes, transport: asyncio.Transport) -> None:
        """Remember a connection under the certificate that was shown on it."""
        self._inside.setdefault(certificate, set()).add(transport)

    def dismiss(self, certificate: bytes, transport: asyncio.Transport) -> None:
        """Forget a connection that ended."""
        self._inside[certificate].discard(transport)
        if not self._inside[certificate]:
            del self._inside[certificate]

    def enter(self, transport: asyncio.Transport) -> bool:
        """Count a connection without a certificate; False when there is no place for it."""
        if self._unpaired >= MAX_UNPAIRED:
            return False
        self._unpaired += 1
        asyncio.get_running_loop().call_later(UNPAIRED_S, transport.abort)
        return True

    def leave(self) -> None:
        """Count the end of a connection without a certificate."""
        self._unpaired -= 1


class _Guest(asyncio.Protocol):
    """Stands before the protocol of one connection and turns strangers away when there are too many."""

    def __init__(self, inside: asyncio.Protocol, door: Door) -> None:
        self._inside = inside
        self._door = door
        self._counted = False
        self._entered = False
        self._admitted: tuple[bytes, asyncio.Transport] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        certificate = peer_certificate(transport)
        if certificate:
            self._admitted = certificate, transport
            self._door.admit(certificate, transport)
        else:
            if not self._door.enter(transport):
                transport.abort()
                return
            self._counted = True
        self._entered = True
        self._inside.connection_made(transport)

    def data_received(self, data: bytes) -> None:
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
        if self._counted:
            self._door.leave()
        if self._admitted is not None:
            self._door.dismiss(*self._admitted)
        if self._entered:
            self._inside.connection_lost(error)


def peer_certificate(transport: asyncio.BaseTransport | None) -> bytes:
    """Return the DER certificate that the other side showed, or nothing."""
    secured = transport.get_extra_info("ssl_object") if transport is not None else None
    return (secured.getpeercert(True) or b"") if secured is not None else b""


def host_of(transport: asyncio.BaseTransport | None) -> str:
    """Return the address of the other side as it can be dialled; empty when it is gone."""
    name = transport.get_extra_info("peername") if transport is not None else None
    if not name:
        return ""
    host = str(name[0]).removeprefix("::ffff:")
    return f"{host}%{name[3]}" if len(name) > 3 and name[3] and "%" not in host else host


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
