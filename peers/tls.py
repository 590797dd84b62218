"""TLS between nodes: version 1.3, own certificates as the only trust anchors, no session tickets."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from peers.identity import Identity


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
