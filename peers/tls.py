"""TLS between nodes: version 1.3, own certificates as the only trust anchors, no session tickets."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Iterable

from peers.identity import Identity

RECORD_BYTES = 16 * 1024
"""What a record of TLS holds at most, and so what one read gives."""
SHUTDOWN_S = 1.0


def server_context(own: Identity, trusted: Iterable[bytes]) -> ssl.SSLContext:
    """Return the context of the peers' port. `trusted`: DER certificates of those who are paired.

    A client without a certificate is let in, for pairing; one with an unknown certificate is not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # a resumed session would not show its certificate again
    context.load_cert_chain(own.certificate_file, own.key_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    # Each certificate is an anchor by itself: all have one name, and by name only the first of them is ever found.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for certificate in trusted:
        context.load_verify_locations(cadata=certificate)
    return context


class _Records(SSLProtocol):
    """Makes room for one record at a time.

    By itself asyncio makes room for 256 KiB at each read, of which a short message leaves a hole in the heap: under a
    flood of messages these add up to many times what they hold, and each open connection has 256 KiB more.
    """

    max_size = RECORD_BYTES


async def shake(
    accepted: socket.socket, protocol: asyncio.Protocol, context: ssl.SSLContext, *, timeout_s: float
) -> None:
    """Do the handshake of a socket that was accepted; from then on the protocol has the connection. Raises OSError."""
    loop = asyncio.get_running_loop()
    shaken = loop.create_future()
    records = _Records(
        loop,
        protocol,
        context,
        shaken,
        server_side=True,
        ssl_handshake_timeout=timeout_s,  # type: ignore[arg-type]  # seconds, also parts of them
        ssl_shutdown_timeout=SHUTDOWN_S,
    )
    transport, _ = await loop.connect_accepted_socket(lambda: records, accepted)
    try:
        await shaken
    except BaseException:
        transport.abort()
        raise


def client_context(own: Identity | None, pinned: bytes) -> ssl.SSLContext:
    """Return a context that speaks to the holder of the pinned certificate's key and to nobody else.

    Under another key the handshake fails before anything is sent. Without `own` the client stays
    nameless, as in pairing.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # a node is known by its key; names and addresses prove nothing
    context.load_verify_locations(cadata=pinned)
    if own is not None:
        context.load_cert_chain(own.certificate_file, own.key_file)
    return context


def probing_context() -> ssl.SSLContext:
    """Return a context that accepts any certificate, to look at it; nothing is sent over such a connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
