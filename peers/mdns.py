"""Multicast DNS, by the `zeroconf` library: announce a service on chosen interfaces, and hear others'.

Nothing here knows who is paired. No host, user or model name goes out: a service's host is called like
the service. Errors of the library and of sockets stop here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import random
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from zeroconf import (  # type: ignore[attr-defined]  # some are missing from the library's list of names
    DNSAddress,
    DNSOutgoing,
    DNSPointer,
    DNSQuestion,
    DNSService,
    Error,
    RecordUpdate,
    RecordUpdateListener,
    ServiceInfo,
    Zeroconf,
    current_time_millis,
)
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from peers.errors import DiscoveryError
from peers.sightings import Announcement

SERVICE = "_covey._tcp.local."
WINDOW = "_covey-pair._tcp.local."
"""Announced only while a pairing window is open."""
TXT_VERSION = "1"
LOOK_S = 1.5
"""For the answer to a question about one service; who is there answers within 0.1 s."""
ASK_S = 0.5
"""For all answers to a question that several devices may answer."""
FIRST_ASK_S = 0.02, 0.12
"""Between these, by chance, the first question is asked: devices that start together do not ask in step."""
ASK_AGAIN_S = 1.0, 2.0, 4.0
"""Between the questions after it, as one may get lost (RFC 6762, 5.2). Who goes on listening asks again later."""
OPEN_S = 5.0
MAX_NAME = 40
"""Bytes of an owner's name; DNS takes 63 with what is put behind it."""
MAX_BOOT = 32
"""Letters of it that are read."""
MAX_ANNOUNCERS = 3
"""Devices that announce one name: the one that it is of, a copy, a forger. More are not looked at."""
MAX_ADDRESSES = 16
"""Of one device; what is made of them is bounded further."""
_SRV, _PTR, _A, _AAAA, _IN, _QUERY = 33, 12, 1, 28, 1, 0
"""Record types, class and flags of DNS (RFC 1035, 3.2.2; RFC 2782; RFC 3596)."""
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
"""Linux: without them a socket also hears groups that other programs joined on other interfaces."""

logger = logging.getLogger(__name__)

Heard = Callable[[str, str], None]
"""Told the service type and the name of whatever was announced, again at each announcement."""


@dataclass(frozen=True, slots=True)
class Plate:
    """One service that this node announces."""

    service: str
    """SERVICE or WINDOW."""
    name: str
    hosts: tuple[str, ...]
    port: int
    boot: str


class Multicast(Protocol):
    """Multicast DNS on some interfaces."""

    async def announce(self, plate: Plate) -> None: ...

    async def withdraw(self, plate: Plate) -> None: ...

    async def look(self, service: str, name: str) -> Sequence[Announcement]:
        """Return what is announced under a name, the newest first: by several devices if one is a copy, or forged."""
        ...

    async def ask(self, service: str, name: str = "") -> None:
        """Have every device that announces a name (or any) say so again, and give it time for that."""
        ...


Opening = Callable[[Sequence[str], Sequence[str], Heard], AbstractAsyncContextManager[Multicast]]
"""Opens multicast on the interfaces that have these addresses, and hears these service types."""


@asynccontextmanager
async def multicast(addresses: Sequence[str], services: Sequence[str], heard: Heard) -> AsyncIterator[Multicast]:
    """Announce and listen on the interfaces that have these addresses. Raises DiscoveryError."""
    with _mapped():
        opened = AsyncZeroconf(interfaces=[address.partition("%")[0] for address in addresses])
    try:
        with _mapped():
            await opened.zeroconf.async_wait_for_start(OPEN_S)
        _hear_only_own_groups(opened.zeroconf)
        made = _Multicast(opened)
        async with contextlib.AsyncExitStack() as stack:
            if services:
                ear = _Ear(services, heard)
                opened.zeroconf.async_add_listener(ear, None)
                stack.callback(opened.zeroconf.async_remove_listener, ear)
                await stack.enter_async_context(_asking(made, services))
            yield made
    finally:
        with contextlib.suppress(Error, OSError, TimeoutError):
            async with asyncio.timeout(OPEN_S):
                await opened.async_close()


class _Multicast:
    """The real one."""

    def __init__(self, opened: AsyncZeroconf) -> None:
        self._opened = opened
        self._announced: dict[Plate, ServiceInfo] = {}

    async def announce(self, plate: Plate) -> None:
        """Announce a service now, and answer for it from now on. Raises DiscoveryError."""
        info = _info(plate)
        with _mapped():
            # Who else has this name is nobody's business but the key's: no probing, which takes a second and
            # would let anybody on the network take the name away.
            sent = await self._opened.async_register_service(info, cooperating_responders=True)
            self._announced[plate] = info
            await sent

    async def withdraw(self, plate: Plate) -> None:
        """Say goodbye for a service."""
        info = self._announced.pop(plate, None)
        if info is not None:
            with _mapped():
                await (await self._opened.async_unregister_service(info))

    async def look(self, service: str, name: str) -> Sequence[Announcement]:
        """Return what is announced under a name, from what was heard or by asking. Raises DiscoveryError.

        In a flood the library forgets at once what it has just heard; then there is the one that answered.
        """
        with _mapped():
            info = AsyncServiceInfo(service, f"{name}.{service}")
            if not await info.async_request(self._opened.zeroconf, LOOK_S * 1000):
                return ()
            records = self._opened.zeroconf.cache.get_all_by_details(info.name, _SRV, _IN)
        places = [one for one in records if isinstance(one, DNSService) and not one.is_expired(current_time_millis())]
        newest = sorted(places, key=lambda one: one.created, reverse=True)[:MAX_ANNOUNCERS]
        found = [self._announced_at(name, one) for one in newest]
        return [one for one in found if one.hosts] or [_answered(name, info)]

    async def ask(self, service: str, name: str = "") -> None:
        """Have every device that announces a name say so again: what one has said, others with that name leave out."""
        self.send(DNSQuestion(f"{name}.{service}", _SRV, _IN) if name else DNSQuestion(service, _PTR, _IN))
        await asyncio.sleep(ASK_S)

    def send(self, *questions: DNSQuestion) -> None:
        """Ask, and name no answers that are known: after a flood they would fill hundreds of packets."""
        asked = DNSOutgoing(_QUERY)
        for question in questions:
            asked.add_question(question)
        with _mapped():
            self._opened.zeroconf.async_send(asked)

    def _announced_at(self, name: str, place: DNSService) -> Announcement:
        """Return one device's announcement. Its host is called by its boot, as each service's is."""
        cache = self._opened.zeroconf.cache
        found = [
            record
            for kind in (_A, _AAAA)
            for record in cache.get_all_by_details(place.server, kind, _IN)
            if isinstance(record, DNSAddress) and not record.is_expired(current_time_millis())
        ]
        hosts = tuple(_host(record) for record in found[:MAX_ADDRESSES])
        return Announcement(name, hosts, place.port, _boot(place.server))


@asynccontextmanager
async def _asking(made: _Multicast, services: Sequence[str]) -> AsyncIterator[None]:
    """Ask who is there, soon and a few times, while the block lasts.

    The library's browser would do so too, but it keeps each name that anybody announces, for as long as the
    announcer says, and asks for each again.
    """
    asking = asyncio.create_task(_ask_early(made, services))
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.wait([asking])


async def _ask_early(made: _Multicast, services: Sequence[str]) -> None:
    try:
        for number, pause_s in enumerate((random.uniform(*FIRST_ASK_S), *ASK_AGAIN_S)):
            await asyncio.sleep(pause_s)
            questions = [DNSQuestion(service, _PTR, _IN) for service in services]
            for question in questions:
                question.unicast = number == 0  # answered at once, to this device alone (RFC 6762, 5.4)
            made.send(*questions)
    except DiscoveryError as error:
        logger.debug("who is there can't be asked: %s", error)


class _Ear(RecordUpdateListener):
    """Hears each announcement, also one that says nothing new: its device is there."""

    def __init__(self, services: Sequence[str], heard: Heard) -> None:
        self._services = set(services)
        self._heard = heard
        self._names: list[tuple[str, str]] = []

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        for update in records:
            record = update.new
            if isinstance(record, DNSPointer) and record.name in self._services and not record.is_expired(now):
                name = record.alias[: -len(record.name) - 1]
                if record.alias.endswith(f".{record.name}") and name:
                    self._names.append((record.name, name))

    def async_update_records_complete(self) -> None:
        names, self._names = self._names, []
        for service, name in names:
            self._heard(service, name)


def window_name(owners: str, mark: Callable[[], str] = lambda: secrets.token_hex(1)) -> str:
    """Return the name of a pairing window: the owner's word for the device, and a mark that makes it unlike others.

    >>> window_name("Anna's laptop", lambda: "3f")
    "Anna's laptop 3f"
    """
    plain = re.sub(r"[\x00-\x1f\x7f.\s]+", " ", owners).strip()
    return f"{plain.encode()[:MAX_NAME].decode(errors='ignore').strip() or 'covey'} {mark()}"


def _info(plate: Plate) -> ServiceInfo:
    txt = {"v": TXT_VERSION, "port": str(plate.port), "boot": plate.boot}
    return ServiceInfo(
        plate.service,
        f"{plate.name}.{plate.service}",
        port=plate.port,
        properties=txt,
        server=f"{plate.boot or 'covey'}.local.",
        parsed_addresses=[host.partition("%")[0] for host in plate.hosts],
    )


def _answered(name: str, info: ServiceInfo) -> Announcement:
    hosts = tuple(info.parsed_scoped_addresses()[:MAX_ADDRESSES])
    return Announcement(name, hosts, info.port or 0, _boot(info.server or ""))


def _boot(server: str) -> str:
    return server.removesuffix(".").removesuffix(".local")[:MAX_BOOT]


def _host(record: DNSAddress) -> str:
    """Return an address as text, with its interface where it is valid only there."""
    address = ipaddress.ip_address(record.address)
    return f"{address}%{record.scope_id}" if address.is_link_local and record.scope_id else str(address)


def _hear_only_own_groups(opened: Zeroconf) -> None:
    if sys.platform != "linux":
        return
    for reader in opened.engine.readers:
        listening = reader.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            listening.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        if listening.family == socket.AF_INET6:
            with contextlib.suppress(OSError):
                listening.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)


@contextmanager
def _mapped() -> Iterator[None]:
    """Turn what the library and the sockets raise into our error."""
    try:
        yield
    except (Error, OSError, RuntimeError, ValueError) as error:
        raise DiscoveryError(
            f"Devices can't be looked for on this network ({error or type(error).__name__}). Run `covey doctor`, or "
            "name the other device's address: `covey pair --code C --at HOST:PORT`."
        ) from error
