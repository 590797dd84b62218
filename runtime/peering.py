"""This node's side towards other devices while it stays up: the peers' port, pairing, and their work done here."""

from __future__ import annotations

import asyncio
import os
import platform
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from models.store import Store
from peers import mdns, membership
from peers.checkup import CheckUp
from peers.client import PeerClient
from peers.codes import Address
from peers.dialer import Dialer
from peers.discovery import Discovery
from peers.links import Links
from peers.mdns import Opening
from peers.pace import Pace
from peers.pairing_host import PairingHost
from peers.release import Released
from peers.served import announced
from peers.server import PeerServer
from peers.shelf import Shelf
from peers.state import NodeState
from runtime import logind
from runtime.addresses import texts_of
from runtime.errors import CoveyError
from runtime.facts import OwnFacts
from runtime.finding import finding
from runtime.hosting import Hosting
from runtime.node import NAME, Node
from runtime.own_state import own_state
from runtime.paired import PairedDevices
from runtime.paths import models_dir
from runtime.reach import HOSTS, Reach


class PeerPortInUse(CoveyError):
    """Another program listens on the peers' port; the message says how to choose another."""

    code = "port_in_use"


def own_name() -> str:
    """Return what other devices call this one until its owner says otherwise."""
    return platform.node() or "a Covey device"


@asynccontextmanager
async def peering(
    node: Node, port: int, far: Reach, *, opening: Opening = mdns.multicast
) -> AsyncIterator[Address | None]:
    """Serve other devices as long as the block lasts, and give where; nothing where `far` is off.

    `opening` opens multicast, by which others are found. Raises PeerPortInUse, IdentityError.
    """
    if far == "off":
        yield None
        return
    state = await asyncio.to_thread(own_state, node.home, node.settings)
    hosting = Hosting(
        node.registry,
        build=node.surroundings.own,
        far=lambda: node.far,
        journal=node.journal,
        thread=node.thread,
        node=NAME,
    )
    hosts: list[PairingHost] = []

    async def pair(data: bytes) -> Released[bytes] | None:
        return await hosts[0].answer(data) if hosts else None

    host, boot = HOSTS[far], secrets.token_hex(8)
    shelf = Shelf(Store(models_dir(node.home)))
    most = node.settings.copy_mb_per_s
    pace = Pace(None if most is None else most * 1e6)
    facts = OwnFacts(node, addresses=lambda: texts_of(host, server.port), running=node.workload.running)
    found: list[Discovery] = []
    checkup = CheckUp(
        state,
        boot,
        heard_s=lambda peer: found[0].heard_s(peer) if found else None,
        listens=lambda: bool(found) and found[0].listens,
    )
    server = PeerServer(
        state,
        hosting.run,
        relay=hosting.relay,
        pairing=pair,
        facts=facts,
        shelf=shelf,
        pace=pace,
        checks=checkup.answer,
        boot=boot,
    )
    await facts.look()
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server.serving(host, port))
        except OSError as error:
            raise PeerPortInUse(
                f"Port {port} for other devices can't be used ({os.strerror(error.errno or 0)}). Stop the program "
                "that holds it, or choose another: covey up --peer-port 4500"
            ) from error
        place = Address(host, server.port)
        me = membership.me(state, own_name(), texts_of(host, server.port))
        loop = asyncio.get_running_loop()

        def closed() -> None:
            if found:
                loop.call_soon_threadsafe(found[0].window_closed)

        hosts.append(PairingHost(state, me, closed=closed))
        stack.enter_context(announced(state.folder, place))
        await stack.enter_async_context(in_background(facts.watch()))
        dialer = await stack.enter_async_context(linking(node, state, server, boot))
        finder = finding(state, server.port, far, boot, dialer.sighted, dialer.woken, opening)
        found.append(await stack.enter_async_context(finder))
        if far == "auto":
            await stack.enter_async_context(logind.listening(partial(_sleep, server.links, dialer)))
        node.links = server.links
        stack.callback(setattr, node, "links", None)
        yield place


@asynccontextmanager
async def linking(node: Node, state: NodeState, server: PeerServer, boot: str) -> AsyncIterator[Dialer]:
    """Keep a link with every paired device that can be reached, and give them work, as long as the block lasts."""
    async with PeerClient(state.identity, state.peers, linked=server.links.get, boot=boot) as client:
        dialer, before = Dialer(server.links, client), node.others
        node.others = PairedDevices(state, client, server.links.around)
        tell, node.workload.on_change = node.workload.on_change, server.links.poke
        try:
            async with in_background(dialer.run()):
                yield dialer
        finally:
            node.others, node.workload.on_change = before, tell


async def _sleep(links: Links, dialer: Dialer, going: bool) -> None:
    """Tell the paired devices before this one sleeps; afterwards make sure of every link."""
    if going:
        await links.pause()
    else:
        links.resume()
        dialer.woken()


@asynccontextmanager
async def in_background(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Do something without an end as long as the block lasts."""
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])
