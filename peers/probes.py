"""Tries the network between this device and its paired ones, for an owner who asks what is wrong with it.

Every probe has a time limit. Nothing but a check goes to a device, and only to one that proved its key.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import ssl
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import aiohttp

from models.types import Label
from peers import codec, interfaces, mdns, nameplate, networks, tls
from peers.book import Peer
from peers.check_messages import Check, Checked
from peers.client import addresses_of, whole
from peers.codes import Address
from peers.errors import DiscoveryError, PeersError
from peers.findings import About, Attempt, Dial, Here, Report
from peers.ground import NOWHERE, Ground, ground, loopback
from peers.identity import PublicIdentity
from peers.interfaces import Interface
from peers.mdns import SERVICE, Opening
from peers.messages import Hello
from peers.networks import Networks
from peers.node_id import NodeId
from peers.release import Releaser, sending
from peers.served import serving_at
from peers.sightings import matcher, places
from peers.state import NodeState
from peers.wire import read

DIAL_S = 4.5
"""Linux needs three seconds to find that nobody has an address."""
DOUBT_S = 8.5
"""From a first packet: Linux then knows whether a neighbour that it remembers is there (arp(7): 5 s, 3 questions)."""
CHECK_S = 12.0
"""For an answer to a check: the other side dials back in the meantime."""
LISTEN_S = 2.0
"""For announcements; who is there answers within 0.2 s."""
_ERRORS = {
    errno.ECONNREFUSED: Dial.REFUSED,
    errno.ECONNRESET: Dial.REFUSED,
    errno.EHOSTUNREACH: Dial.NO_HOST,
    errno.EHOSTDOWN: Dial.NO_HOST,
    errno.ENETUNREACH: Dial.NO_ROUTE,
    errno.EADDRNOTAVAIL: Dial.NO_ROUTE,
    errno.EACCES: Dial.NO_ROUTE,
}
REASON = "the owner asked what is wrong with the network"


async def examine(
    state: NodeState,
    looks: str,
    *,
    awake: Collection[str] = (),
    opening: Opening = mdns.multicast,
    look: Callable[[], Sequence[Interface]] = interfaces.snapshot,
) -> tuple[Here, list[About]]:
    """Try everything and return what was found, as `doctor.diagnose` takes it. Raises PeerBookError.

    `looks`: COVEY_DISCOVERY, `lo` or `auto`. `awake`: names of devices of which the owner says that they are on.
    """
    found = await asyncio.to_thread(look)
    around = networks.sort(found, await asyncio.to_thread(Networks(state.folder).said))
    here_on = loopback(found) if looks == "lo" else ground(around.home)
    served = await asyncio.to_thread(serving_at, state.folder)
    peers = list(state.peers.book().peers.values())
    heard, trouble = await _listened(state, peers, here_on, opening)
    own = {host.partition("%")[0] for one in found for host in one.addresses}
    here = Here(
        networks=tuple(networks.shown(one) for one in found if one.is_home_like),
        not_home=tuple(networks.shown(one) for one in (*around.unknown, *around.away)),
        looks="lo" if looks == "lo" else "auto",
        port=served.port if served else 0,
        router=_router(found),
        multicast=trouble,
        double=await _double(state, heard, own),
    )
    tried = await asyncio.gather(*(_tried(state, peer, heard, found, own, here, looks == "lo") for peer in peers))
    return here, [replace(one, awake=True) if one.name in awake else one for one in tried]


async def knock(address: Address, node: NodeId, own: NodeId) -> Dial:
    """Dial an address and return whether that node answers there. Nothing is said."""
    try:
        async with asyncio.timeout(DIAL_S):
            _, writer = await asyncio.open_connection(address.host, address.port, ssl=tls.probing_context())
    except TimeoutError:
        return Dial.SILENT
    except ssl.SSLError:
        return Dial.STRANGER
    except OSError as error:
        return _ERRORS.get(error.errno or 0, Dial.SILENT if isinstance(error, ConnectionError) else Dial.NO_ROUTE)
    try:
        certificate = writer.get_extra_info("ssl_object").getpeercert(True) or b""
        answered = PublicIdentity(certificate).node_id
    except PeersError:
        return Dial.STRANGER
    finally:
        writer.transport.abort()
    return Dial.REACHED if answered == node else Dial.OURSELVES if answered == own else Dial.STRANGER


async def dial(address: Address, node: NodeId, own: NodeId, found: Sequence[Interface]) -> Attempt:
    """Dial an address and return all that it tells."""
    near, began = _is_near(address.host, found), time.monotonic()
    ended = await knock(address, node, own)
    if ended is Dial.SILENT and near and await _has_left(address.host, began + DOUBT_S):
        began = time.monotonic()
        ended = await knock(address, node, own)
    seconds = time.monotonic() - began
    return Attempt(
        address,
        ended,
        near=near,
        tunnel=_tunnel(address.host, found),
        present=ended is not Dial.NO_HOST and _is_present(address.host),
        seconds=seconds,
    )


async def check(state: NodeState, peer: Peer, address: Address, port: int) -> tuple[Checked, float] | str:
    """Ask a device that was reached what it sees; returns its answer and how far its clock is ahead, in seconds.

    A text is why it did not say: `version`, `unknown`, or nothing.
    """
    hello, sent_ns = Hello(), time.time_ns()
    body = codec.frames(hello.pack()) + codec.frames(Check(port=port, time_ns=sent_ns).pack())
    to = replace(peer.recipient(), capabilities=None)
    released = await asyncio.to_thread(
        Releaser(state.ledger).release, body, Label.PUBLIC, capability="peer.check", recipient=to, reason=REASON
    )
    connector = aiohttp.TCPConnector(ssl=tls.client_context(state.identity, peer.certificate), force_close=True)
    timeout = aiohttp.ClientTimeout(total=CHECK_S, sock_connect=DIAL_S)
    try:
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
            with sending(released):
                sent_ns = time.time_ns()
                url = f"https://{address}/peer/1/check"
                async with http.post(url, data=released.value_for(peer.node_id)) as response:
                    if response.status != 200:
                        return {403: "unknown", 426: "version"}.get(response.status, "")
                    _, packed = codec.FrameReader().feed(await whole(response, 4096))
                    checked = read(packed, Checked)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        return "unknown"  # it answered a moment ago without our certificate: it hangs up at the sight of that
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, PeersError):
        return ""
    between_ns = (sent_ns + time.time_ns()) // 2
    took_s = (time.time_ns() - sent_ns) / 1e9
    ahead_s = (checked.time_ns - between_ns) / 1e9
    return checked, 0.0 if abs(ahead_s) <= took_s else ahead_s


async def _tried(
    state: NodeState,
    peer: Peer,
    heard: Mapping[NodeId, tuple[Address, ...]] | None,
    found: Sequence[Interface],
    own: Collection[str],
    here: Here,
    local: bool,
) -> About:
    """Return what is found out about one device."""
    announced = heard.get(peer.node_id, ()) if heard is not None else ()
    known = [one for one in dict.fromkeys((*addresses_of(peer), *announced)) if local or one.host not in own]
    me = state.identity.node_id
    attempts = await asyncio.gather(*(dial(one, peer.node_id, me, found) for one in known))
    about = About(peer.name, tuple(attempts), heard=None if heard is None else peer.node_id in heard)
    if about.reached is None:
        return about
    asked = await check(state, peer, about.reached.address, here.port)
    match asked:
        case "version":
            return replace(about, refusal="version")
        case "unknown":
            return replace(about, refusal="unknown")
        case (checked, ahead_s):
            hears = (checked.heard_s is not None) if checked.listens and here.port else None
            return replace(about, report=Report(_dial_of(checked.dialled), hears, ahead_s))
        case _:
            return about


async def _listened(
    state: NodeState, peers: Iterable[Peer], here: Ground, opening: Opening
) -> tuple[dict[NodeId, tuple[Address, ...]] | None, str]:
    """Return who was heard in two seconds, and where they say they are; None, and why, where nobody can be."""
    if here == NOWHERE:
        return None, ""
    names: dict[str, None] = {}
    own, day = state.identity.node_id, nameplate.day_of(time.time_ns())
    known = matcher(own, [peer.node_id for peer in peers], day)

    def hear(service: str, name: str) -> None:
        if known.whose(name) is not None:
            names[name] = None

    near = [network for one in here.interfaces for network in one.networks]
    heard: dict[NodeId, tuple[Address, ...]] = {}
    try:
        async with opening(here.addresses, (SERVICE,), hear) as opened:
            await asyncio.sleep(LISTEN_S)
            for name in list(names):
                node = known.whose(name)
                if node == own:
                    await opened.ask(SERVICE, name)  # this node answers too
                if node is not None:
                    said = [place for one in await opened.look(SERVICE, name) for place in places(one, near)]
                    heard[node] = (*heard.get(node, ()), *said)
    except DiscoveryError as error:
        return None, str(error.__cause__ or error)
    return heard, ""


async def _double(
    state: NodeState, heard: Mapping[NodeId, tuple[Address, ...]] | None, own: Collection[str]
) -> Address | None:
    """Return where a copy of this node is: it announces this one's name, and answers with this one's key."""
    me = state.identity.node_id
    for address in (heard or {}).get(me, ()):
        if address.host.partition("%")[0] not in own and await knock(address, me, me) is Dial.REACHED:
            return address
    return None


def _router(found: Iterable[Interface]) -> bool | None:
    gateways = [one for one in found if one.is_home_like and one.gateway]
    return any(one.router for one in gateways) if gateways else None


def _dial_of(text: str) -> Dial | None:
    try:
        return Dial(text)
    except ValueError:  # empty, or a newer version's word
        return None


def _is_near(host: str, found: Sequence[Interface]) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True  # a name: the resolver knows
    return any(address in network for one in found for network in one.networks if network.version == address.version)


def _tunnel(host: str, found: Sequence[Interface]) -> str:
    """Return the VPN's interface that what is sent to a host goes into; empty when it goes elsewhere."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((host, 9))  # asks the system for the way; nothing is sent
        local = asking.getsockname()[0].partition("%")[0]
        for one in found:
            if one.is_tunnel and local in {address.partition("%")[0] for address in one.addresses}:
                return one.name
    return ""


async def _has_left(host: str, until: float) -> bool:
    """Return whether the device that the system remembers at an address proves to be gone before a time (monotonic)."""
    while is_there := _is_present(host):
        if time.monotonic() > until or sys.platform != "linux":
            break
        await asyncio.sleep(0.2)
    return not is_there


def _is_present(host: str) -> bool:
    """Return whether somebody on the network has said that it has this address, as far as the system knows."""
    if sys.platform != "linux":
        return True  # who has no address there ends in NO_HOST
    return host in interfaces.neighbours()
