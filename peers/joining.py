"""The side on which the code is typed: finds the other device, speaks the pairing with it, and writes it down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import aiohttp

from models.types import Label
from peers import membership, tls
from peers.book import Peer
from peers.client import whole
from peers.codes import Address, Invitation, Pin
from peers.errors import PairingFailed, PeerUnreachable
from peers.grants import Grant
from peers.identity import PublicIdentity
from peers.node_id import short
from peers.pairing import Joining, Me, Paired
from peers.pairing_messages import MAX_PAIRING_BYTES
from peers.policy import Place, Recipient, RecipientKind
from peers.release import Releaser, sending
from peers.state import NodeState

CONNECT_S = 5.0
REASON = "the code that it shows was typed here"
STEP_S = 10.0
"""One message and its answer: a slow board needs a second for the mathematics."""


async def join(state: NodeState, me: Me, code: Pin | Invitation, addresses: Sequence[Address], grant: Grant) -> Peer:
    """Pair with the device that shows the code and answers at one of the addresses.

    `grant`: what that device may do here. Raises PairingFailed, PeerUnreachable, RecordError.
    """
    for address in addresses:
        try:
            certificate = await _look(address)
        except (OSError, TimeoutError):
            continue
        joining = Joining(me, code, certificate)
        paired = await _speak(state, joining, certificate, address)
        found = str(address)
        known = (found, *(place for place in paired.addresses if place != found))
        return await asyncio.to_thread(membership.admit, state, replace(paired, addresses=known), grant)
    shown = ", ".join(map(str, addresses)) or "no address is known"
    raise PeerUnreachable(
        f"The other device was not found ({shown}). Check that `covey pair` still waits there, or say where it is "
        "with `--at HOST:PORT`."
    )


async def _look(address: Address) -> bytes:
    """Return the certificate that is shown at an address; nothing is said there."""
    async with asyncio.timeout(CONNECT_S):
        _, writer = await asyncio.open_connection(address.host, address.port, ssl=tls.probing_context())
    try:
        secured = writer.get_extra_info("ssl_object")
        return secured.getpeercert(True) or b""
    finally:
        writer.transport.abort()


async def _speak(state: NodeState, joining: Joining, certificate: bytes, address: Address) -> Paired:
    """Carry the messages; every connection is pinned to the certificate that was looked at."""
    node = PublicIdentity(certificate).node_id
    to = Recipient(RecipientKind.UNPAIRED, node, f"{short(node)}, being paired", Place.HOME, Label.PUBLIC)
    releaser = Releaser(state.ledger)
    connector = aiohttp.TCPConnector(ssl=tls.client_context(None, certificate), force_close=True)
    timeout = aiohttp.ClientTimeout(total=STEP_S, sock_connect=CONNECT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as http:

        async def said(message: bytes) -> bytes:
            released = await asyncio.to_thread(
                releaser.release,
                message,
                Label.PUBLIC,
                capability="peer.pair",
                recipient=to,
                reason=REASON,
            )
            try:
                with sending(released):
                    async with http.post(f"https://{address}/pair/1", data=released.value_for(node)) as response:
                        return await whole(response, MAX_PAIRING_BYTES)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise PairingFailed(
                    f"The connection to {address} broke while pairing. Run `covey pair` on the other device again."
                ) from error

        confirm = await asyncio.to_thread(joining.confirm, await said(joining.hello()))
        return joining.done(await said(joining.finish(await said(confirm))))
