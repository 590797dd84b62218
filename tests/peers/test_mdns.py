"""Multicast DNS as the library does it, on loopback: what a flood leaves behind, and when questions are asked."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
import tracemalloc
from asyncio import DatagramProtocol
from collections.abc import Iterator

from zeroconf import (  # type: ignore[attr-defined]  # some are missing from the library's list of names
    DNSIncoming,
    DNSOutgoing,
    DNSPointer,
    ServiceInfo,
)
from zeroconf.asyncio import AsyncZeroconf

from peers.mdns import SERVICE, multicast
from peers.sightings import Announcement

HERE = ("127.0.0.1",)
RESPONSE, PTR, IN = 0x8400, 12, 1
LONG_TTL_S = 30 * 86_400
"""Whoever announces chooses how long it is to be remembered."""
AT_ONCE = 1000


async def test_a_flood_of_names_that_are_to_be_remembered_for_a_month_takes_no_memory() -> None:
    heard = 0

    def hear(service: str, name: str) -> None:
        nonlocal heard
        heard += 1

    async with multicast(HERE, (SERVICE,), hear) as opened:
        library: AsyncZeroconf = opened._opened  # type: ignore[attr-defined]  # floods it as its socket would
        await _flood(library, range(20_000))  # the library's own table is full after 10,000
        tracemalloc.start()
        try:
            await _flood(library, range(20_000, 120_000))
            grown = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    assert heard >= 120_000  # other programs on this machine announce on loopback, too
    assert grown < 10_000_000, f"{grown:,} bytes more"


async def test_a_device_that_answers_in_the_middle_of_a_flood_is_found() -> None:
    """Its records are the first that a full table drops: those of the flood are to be remembered far longer."""
    answer = DNSOutgoing(RESPONSE)
    theirs = ServiceInfo(
        SERVICE, f"kitchen.{SERVICE}", port=4489, server="boot1.local.", parsed_addresses=["10.77.0.2"]
    )
    for record in (theirs.dns_service(), theirs.dns_text(), *theirs.dns_addresses()):
        answer.add_answer_at_time(record, 0)
    async with multicast(HERE, (SERVICE,), lambda service, name: None) as opened:
        library: AsyncZeroconf = opened._opened  # type: ignore[attr-defined]
        await _flood(library, range(20_000))
        looking = asyncio.create_task(opened.look(SERVICE, "kitchen"))
        await asyncio.sleep(0.05)
        for packet in [*answer.packets(), *_announcements(range(20_000, 20_100))]:
            library.zeroconf.record_manager.async_updates_from_response(DNSIncoming(packet))
        assert await looking == [Announcement("kitchen", ("10.77.0.2",), 4489, "boot1")]


async def test_who_is_there_is_asked_at_once_and_again_a_second_later_and_three() -> None:
    """One question may get lost."""
    own = f"_covey-{secrets.token_hex(4)}._tcp.local."  # other programs here may ask for the usual one just now
    asked: asyncio.Queue[float] = asyncio.Queue()

    class Noting(DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            message = DNSIncoming(data)
            if message.is_query() and [one.name for one in message.questions] == [own]:
                asked.put_nowait(time.monotonic())

    loop = asyncio.get_running_loop()
    listening, _ = await loop.create_datagram_endpoint(Noting, sock=_on_the_group())
    try:
        began = time.monotonic()
        async with multicast(HERE, (own,), lambda service, name: None), asyncio.timeout(10):
            first, second, third = [await asked.get() for _ in range(3)]
    finally:
        listening.close()
    assert first - began < 1.0
    assert second - began > 0.9
    assert third - began > 2.9


def _on_the_group() -> socket.socket:
    """Return a socket that hears multicast DNS on loopback."""
    hearing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hearing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    hearing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    hearing.bind(("", 5353))
    group = socket.inet_aton("224.0.0.251") + socket.inet_aton(HERE[0])
    hearing.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    hearing.setblocking(False)
    return hearing


async def _flood(library: AsyncZeroconf, numbers: range) -> None:
    for start in numbers[::AT_ONCE]:
        for packet in _announcements(range(start, start + AT_ONCE)):
            library.zeroconf.record_manager.async_updates_from_response(DNSIncoming(packet))
        await asyncio.sleep(0)


def _announcements(numbers: range) -> Iterator[bytes]:
    out = DNSOutgoing(RESPONSE)
    for number in numbers:
        out.add_answer_at_time(DNSPointer(SERVICE, PTR, IN, LONG_TTL_S, f"n{number:07d}.{SERVICE}"), 0)
    yield from out.packets()
