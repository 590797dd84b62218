"""Finds paired devices on the networks that the owner calls home, and lets them find this one. All of it is a hint.

It follows interfaces that come and go, the day's change of names, and pairing windows that open and
close. On a network that is not home it neither announces nor listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from peers import interface_changes, interfaces, mdns, nameplate, networks, offer
from peers.codes import Address
from peers.errors import DiscoveryError, PeersError
from peers.ground import NOWHERE, Ground, ground, loopback
from peers.interfaces import Interface
from peers.mdns import SERVICE, WINDOW, Multicast, Opening, Plate
from peers.networks import Networks, Surroundings
from peers.node_id import NodeId
from peers.sightings import REPEAT_S, Matcher, Pace, is_double, matcher, places
from peers.sleeps import Sleeps
from peers.state import NodeState

TICK_S = 0.5
"""How often windows and the day are looked at: who opened a window waits for it."""
INTERFACES_S = 2.0
"""How often the interfaces are, where the system does not say that they changed: a network that is back is noticed in
time to be linked again within five seconds."""
SETTLE_S = 0.2
"""After the system said so: an old address goes and a new one comes, which is one change; and a burst of such news
makes this device look five times a second at most."""
REFRESH_S = 60.0
"""How often all are asked again: announcements get lost, on poor radios most of all, and in a flood."""
RETRY_S = 5.0
"""After multicast could not be opened."""
MAX_STRANGERS = 256
"""Names of devices that are not paired; kept so that one is found at once after it is paired. Past this, the oldest
goes: a flood pushes out only these."""

logger = logging.getLogger(__name__)

Stirring = Callable[[], AbstractContextManager[asyncio.Event]]
"""Gives an event that is set when the interfaces may have changed."""

Sighted = Callable[[NodeId, Address], None]
"""Told that a paired device says it is at an address. It may be forged or stale: whoever answers there must
prove the key."""


class Discovery:
    """Runs as long as its `run` does. `surroundings` and `heard_s` tell how it stands, for the doctor."""

    def __init__(
        self,
        state: NodeState,
        *,
        port: int,
        boot: str,
        sighted: Sighted,
        doubled: Callable[[Address], None] = lambda address: None,
        changed: Callable[[], None] = lambda: None,
        local_only: bool = False,
        opening: Opening = mdns.multicast,
        look: Callable[[], Sequence[Interface]] = interfaces.snapshot,
        stirring: Stirring = interface_changes.changes,
        clock: Callable[[], float] = time.monotonic,
        clock_ns: Callable[[], int] = time.time_ns,
        sleeps: Sleeps | None = None,
    ) -> None:
        """`port`: where this node serves its peers; `boot`: what it says in its hello.

        `doubled` hears of a device that announces this node's own name; `changed` that the interfaces are others now.
        """
        self._state = state
        self._port = port
        self._boot = boot
        self._sighted = sighted
        self._doubled = doubled
        self._changed = changed
        self._local_only = local_only
        self._opening = opening
        self._look = look
        self._stirring = stirring
        self._clock = clock
        self._clock_ns = clock_ns  # not the latest time seen: a clock that was wrong once and was set back is right
        self._sleeps = sleeps or Sleeps()
        self._networks = Networks(state.folder)
        self._pace = Pace()
        self._heard_s: dict[NodeId, float] = {}
        self._waiting: dict[str, NodeId] = {}
        self._strangers: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._look_again = asyncio.Event()
        self._stirred = asyncio.Event()
        self._matcher = Matcher({}, state.identity.node_id)
        self._ground = NOWHERE
        self._window = 0, ""
        self.surroundings = Surroundings()
        """The networks around, as they were looked at last."""

    def heard_s(self, node: NodeId) -> float | None:
        """Return the seconds since a device was heard on the network; None when it never was."""
        at = self._heard_s.get(node)
        return None if at is None else self._clock() - at

    @property
    def listens(self) -> bool:
        """Whether this node listens on any network now."""
        return self._ground != NOWHERE

    def window_closed(self) -> None:
        """Take the window's announcement back at once: who pairs another device next must not find this one."""
        self._look_again.set()

    async def run(self) -> None:
        """Announce and listen until cancelled, wherever this device goes. Never raises by itself."""
        with self._stirring() as self._stirred:
            await self._roam()

    async def _roam(self) -> None:
        while True:
            self._ground = await self._here()
            try:
                if self._ground == NOWHERE:
                    await self._until_moved()
                else:
                    async with self._opening(self._ground.addresses, (SERVICE,), self._hear) as opened:
                        await self._on_the_air(opened)
            except DiscoveryError as error:
                logger.info("%s", error)
            except PeersError as error:
                logger.warning("devices are not looked for just now: %s", error)
            except Exception:  # top of the task: a defect here must not end discovery for good
                logger.exception("looking for devices failed in a way that it should not; it begins anew")
            else:
                continue
            await self._until_stirred(RETRY_S)
            self._changed()

    async def _on_the_air(self, opened: Multicast) -> None:
        """Announce, hear and resolve until the interfaces are others."""
        tasks = [asyncio.create_task(self._keep_announced(opened)), asyncio.create_task(self._resolve(opened))]
        try:
            moved = asyncio.create_task(self._until_moved())
            tasks.append(moved)
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_moved(self) -> None:
        """Wait until this device is elsewhere, or slept, and tell: then all is announced and asked anew."""
        while True:
            await self._until_stirred(INTERFACES_S)
            if await self._here() != self._ground or self._sleeps.noticed():
                self._changed()  # at once: to say goodbye on the air takes most of a second
                return

    async def _until_stirred(self, longest_s: float) -> None:
        """Wait so long at most, less when the system says that the interfaces changed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._stirred.wait()
                await asyncio.sleep(SETTLE_S)
        self._stirred.clear()  # before it is looked: what comes in the meantime is news again

    async def _here(self) -> Ground:
        """Return where to be on the air now."""
        try:
            found = await asyncio.to_thread(self._look)
            if self._local_only:
                return loopback(found)
            self.surroundings = networks.sort(found, await asyncio.to_thread(self._networks.said))
        except (OSError, PeersError) as error:
            logger.warning("the networks around can't be read: %s", error)
            return self._ground
        return ground(self.surroundings.home)

    async def _keep_announced(self, opened: Multicast) -> None:
        """Announce what is to be announced, and take back what is not any more."""
        announced: set[Plate] = set()
        asked_s = self._clock()
        while True:
            wanted, matching = await asyncio.to_thread(self._wanted)
            self._learn(matching)
            for plate in announced - wanted:
                await opened.withdraw(plate)
            for plate in wanted - announced:
                await opened.announce(plate)
            announced = wanted
            if self._clock() - asked_s >= REFRESH_S:
                asked_s = self._clock()
                await opened.ask(SERVICE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._look_again.wait()
            self._look_again.clear()

    def _wanted(self) -> tuple[set[Plate], Matcher]:
        """Return what to announce now, and today's names of the paired devices. Blocks for the disk."""
        own, day = self._state.identity.node_id, nameplate.day_of(self._clock_ns())
        matching = matcher(own, self._state.peers.book().peers, day)
        hosts = self._ground.hosts
        wanted = {Plate(SERVICE, nameplate.name_on(own, day), hosts, self._port, self._boot)}
        window = offer.load(self._state.folder)
        if window is not None:
            if self._window[0] != window.opened_ns:
                self._window = window.opened_ns, mdns.window_name(window.sign)
            wanted.add(Plate(WINDOW, self._window[1], hosts, self._port, self._boot))
        return wanted, matching

    def _learn(self, matching: Matcher) -> None:
        """Take note of new names, and look at those devices that were heard before their name was known."""
        if matching.names == self._matcher.names:
            return
        self._matcher = matching
        for name in [one for one in self._strangers if matching.whose(one)]:
            del self._strangers[name]
            self._hear(SERVICE, name)

    def _hear(self, service: str, name: str) -> None:
        """Note whom to look at. A name that nobody here knows costs one look into a table."""
        node = self._matcher.whose(name)
        if node is None:
            self._strangers[name] = None
            if len(self._strangers) > MAX_STRANGERS:
                del self._strangers[next(iter(self._strangers))]
            return
        self._heard_s[node] = self._clock()
        self._waiting[name] = node  # at most three names for each device are known
        self._wake.set()

    async def _resolve(self, opened: Multicast) -> None:
        """Find the addresses of those that were heard, all at once, each at most once a second."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            now_s = self._clock()
            due = [(name, node) for name, node in self._waiting.items() if self._pace.is_due(node, now_s)]
            for name, _ in due:
                del self._waiting[name]
            await asyncio.gather(*(self._resolve_one(opened, name, node) for name, node in due))
            if self._waiting:
                await asyncio.sleep(REPEAT_S / 4)
                self._wake.set()

    async def _resolve_one(self, opened: Multicast, name: str, node: NodeId) -> None:
        try:
            found = await opened.look(SERVICE, name)
        except DiscoveryError as error:
            logger.debug("a device that was heard can't be looked at: %s", error)
            return
        near = [network for one in self._ground.interfaces for network in one.networks]
        for announced in found:
            if node != self._matcher.own:
                for address in places(announced, near):
                    self._sighted(node, address)
            elif is_double(announced, self._boot, self._ground.hosts):
                for address in places(announced, near)[:1]:
                    self._doubled(address)
