"""`covey pair`: on one device it shows a code, on the other the code is typed."""

from __future__ import annotations

import asyncio
import errno
import json
import platform
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, suppress
from typing import Annotated

import typer

from models.errors import NotInstalled
from models.types import Chunk, Json, Request, Result
from peers import membership, offer
from peers.book import Peer
from peers.codes import (
    MAX_ADDRESSES,
    Address,
    Invitation,
    Pin,
    new_invitation,
    new_pin,
    parse_address,
    parse_code,
    terminal,
)
from peers.door import listen
from peers.errors import DiscoveryError, PeerUnreachable, WindowClosed
from peers.grants import Grant, guest_device, own_device
from peers.ground import NOWHERE
from peers.node_id import readable
from peers.offer import Offer
from peers.pairing import WINDOW_S
from peers.served import serving_at
from peers.state import NodeState
from peers.wire import MAX_NAME
from runtime.addresses import texts_of
from runtime.cli import granting, peer_view
from runtime.cli.networks import ask_once
from runtime.cli.node_state import opened
from runtime.errors import UsageError
from runtime.home_network import ground
from runtime.reach import HOSTS, PEER_PORT, reach

LOOK_S = 0.2
"""How often the waiting command looks whether somebody was paired."""

app = typer.Typer(help="Pair this device with another one.")


@app.command()
def pair(
    code: Annotated[
        str, typer.Option(help="What the other device shows: its six digits, or the text of its QR code.")
    ] = "",
    at: Annotated[str, typer.Option(help="Where the other device is, like 192.168.1.20:4489.")] = "",
    qr: Annotated[bool, typer.Option("--qr", help="Show a QR code as well, and its text.")] = False,
    guest: Annotated[str, typer.Option(help="It is a guest's device, paired for so long, like 2h.")] = "",
    own: Annotated[bool, typer.Option("--own", help="It is my own device: do not ask.")] = False,
    name: Annotated[str, typer.Option(help="What the other device should call this one.")] = "",
    host: Annotated[str, typer.Option(help="Address to wait at; all of this device's by default.")] = "",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to wait at; that of the running node by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Pair two devices. Example: covey pair, and on the other: covey pair --code 482913

    With --qr any reader of QR codes will do, a phone's too: covey pair --code COVEY/1/... with the text that it reads.
    """
    if own and guest:
        raise UsageError("Say either --own or --guest: a device is one or the other.")
    if len(name) > MAX_NAME or not name.isprintable():
        raise UsageError(f"--name is one line of up to {MAX_NAME} characters, for example --name kitchen.")
    known = parse_code(code) if code else None
    places = [parse_address(at)] if at else list(known.addresses) if isinstance(known, Invitation) else []
    if known is None and at:
        raise UsageError("`--at` goes with the code of the other device: `covey pair --code C --at HOST:PORT`.")
    state = opened()
    ask_once(state.folder, reach(), may_ask=not as_json)
    called = name or platform.node() or "a Covey device"
    whose = _granted(state, guest, ask=not (own or guest or as_json or not (sys.stdin and sys.stdin.isatty())))
    place = _place(state, host, port)
    if known is None:
        _show(state, called, whose, place, name, qr=qr, as_json=as_json)
    else:
        _join(state, called, known, places or _found(state), whose, place, as_json=as_json)


def _place(state: NodeState, host: str, port: int | None) -> Address:
    """Return where this device waits for others: as said, else where its running node does, else the usual place."""
    served = serving_at(state.folder)
    if served is not None and port in (None, served.port) and host in ("", served.host):
        return served
    return Address(host or HOSTS[reach()], port or PEER_PORT)


def _granted(state: NodeState, guest: str, *, ask: bool) -> Grant:
    """Return what the other device may do: the one question of pairing."""
    if ask:
        said = typer.prompt("Is it your own device, or a guest's? Type `own`, or how long the guest stays, like 2h")
        guest = "" if said.strip().lower() == "own" else said
    if not guest:
        return own_device()
    return guest_device(state.peers.now_ns() + granting.parse_length_s(guest) * 10**9)


def _show(state: NodeState, called: str, grant: Grant, place: Address, sign: str, *, qr: bool, as_json: bool) -> None:
    """Open the window, show the code, and wait, unless a running node does. `sign`: announced at home."""
    served = serving_at(state.folder) == place
    if as_json and not served:
        raise UsageError("No node runs here that could wait for the other device. Start one first: `covey up`.")
    if not served:
        _check_free(place)
    places = tuple(parse_address(text) for text in texts_of(place.host, place.port)[:MAX_ADDRESSES])
    pin, invitation = new_pin(), new_invitation(state.identity.node_id, places)
    offer.write(state.folder, Offer((pin, invitation), grant, state.peers.now_ns(), called, sign))
    if as_json:
        _print_json(
            {
                "code": pin.digits.reveal(),
                "qr": invitation.text,
                "expires_s": int(WINDOW_S),
                "node_id": readable(state.identity.node_id),
                "addresses": [str(place) for place in places],
            }
        )
        return
    _print_window(pin, invitation, places, qr=qr)
    before = {node: peer.counter for node, peer in state.peers.book().peers.items()}
    try:
        asyncio.run(_wait(state, called, place, sign, served=served))
    finally:
        offer.close(state.folder)
    paired = [peer for node, peer in state.peers.book().peers.items() if before.get(node) != peer.counter]
    if not paired:
        raise WindowClosed("The window is closed and no device was paired. Run `covey pair` again for a new code.")
    _print_paired(paired[0])


def _check_free(place: Address) -> None:
    """Raise UsageError where this device can't wait."""
    try:
        listen(place.host, place.port).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"Port {place.port} is in use by another program. Choose another: `covey pair --port 4500`."
        else:
            why = (
                f"This device can't wait at {place} ({error.strerror}). Leave --host and --port out, or choose others."
            )
        raise UsageError(why) from error


async def _wait(state: NodeState, called: str, place: Address, sign: str, *, served: bool) -> None:
    """Wait until the window closes: by a pairing, by five wrong codes, or by time."""
    if served:
        await _until_closed(state)
        return
    from peers import windows  # heavy (aiohttp, zeroconf), and only where devices really talk
    from peers.pairing_host import PairingHost
    from peers.server import PeerServer

    me = membership.me(state, called, texts_of(place.host, place.port))
    server = PeerServer(state, _only_pairing, pairing=PairingHost(state, me).answer)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server.serving(place.host, place.port))
        here = ground(state.folder, reach())
        if here != NOWHERE:
            with suppress(DiscoveryError):  # the screen shows the address too
                await stack.enter_async_context(windows.shown(here, sign, server.port, secrets.token_hex(8)))
        await _until_closed(state)
        await asyncio.sleep(LOOK_S)  # the last answer is on its way


async def _until_closed(state: NodeState) -> None:
    """Wait for the end of the window; the process that serves it removes its file."""
    for _ in range(int(WINDOW_S / LOOK_S)):
        if not offer.path_in(state.folder).exists():
            return
        await asyncio.sleep(LOOK_S)


async def _only_pairing(request: Request, peer: Peer) -> AsyncGenerator[Chunk | Result, None]:
    raise NotInstalled("This device is only pairing now. Run `covey up` on it, and ask again.")
    yield  # makes this a stream


def _join(
    state: NodeState,
    called: str,
    code: Pin | Invitation,
    places: list[Address],
    grant: Grant,
    place: Address,
    *,
    as_json: bool,
) -> None:
    from peers.joining import join  # heavy (aiohttp), and only where devices really talk

    me = membership.me(state, called, texts_of(place.host, place.port))
    peer = asyncio.run(join(state, me, code, places, grant))
    if as_json:
        _print_json({"paired": peer_view.peer_json(peer, state.peers.now_ns())})
    else:
        _print_paired(peer)


def _found(state: NodeState) -> list[Address]:
    """Return where the one device is that waits on the home network. Raises UsageError, PeerUnreachable."""
    say_where = "Say where it is, as its screen shows: `covey pair --code C --at HOST:PORT`."
    far = reach()
    here = ground(state.folder, far)
    if here == NOWHERE:
        why = "Looking for devices is off" if far == "off" else "Devices are looked for only on your home network"
        raise UsageError(f"{why}. {say_where}")
    from peers import windows  # heavy (zeroconf), and only where devices really talk

    open_now = asyncio.run(windows.found(here))
    if not open_now:
        raise PeerUnreachable(f"No device that waits was found at home. {say_where}")
    if len(open_now) > 1:
        listed = ", ".join(f"{one.name} ({one.addresses[0]})" for one in open_now)
        raise UsageError(f"Several devices wait: {listed}. {say_where}")
    return list(open_now[0].addresses)


def _print_window(pin: Pin, invitation: Invitation, places: tuple[Address, ...], *, qr: bool) -> None:
    if qr:
        print(terminal(invitation.text))
        print("Have it read by anything that reads QR codes, and give the text to the other device:")
        print(f"  covey pair --code {invitation.text}")
    print(f"Code  {pin.shown}")
    print(f"Type it on the other device within {WINDOW_S / 60:g} minutes (at home also without --at):")
    for place in places or (Address("HOST", PEER_PORT),):
        print(f"  covey pair --code {pin.digits.reveal()} --at {place}", flush=True)


def _print_paired(peer: Peer) -> None:
    print(f"Paired with {peer.name}: {peer_view.grant_words(peer.grant)}.")
    print(f"Its id is {readable(peer.node_id)}. Change what it may do with `covey peers grant {peer.name}`.")


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value, ensure_ascii=False))
