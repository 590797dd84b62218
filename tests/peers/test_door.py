"""Strangers can hold only so much open, for so long; afterwards the owner's devices are served as before."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import ssl
import struct
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from models.types import last
from peers import codec, door, handshakes, membership, server, tls
from peers.arrivals import MAX_BODY_BYTES
from peers.inside import MAX_PER_DEVICE, Inside
from tests.peers.scripts import REQUEST, WORDS, until
from tests.peers.swarm import Node, pair, running
from tests.socket_guard import playing

many_addresses = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def stranger(node: Node, host: str = "127.0.0.1") -> Connection:
    context = tls.probing_context()
    return await asyncio.open_connection("127.0.0.1", node.server.port, ssl=context, local_addr=(host, 0))


async def is_cut(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(3):
            return await reader.read(1) == b""
    except TimeoutError:  # an OSError too
        return False
    except OSError:
        return True


async def is_served(node: Node) -> bool:
    """Return whether one more stranger is heard."""
    reader, writer = await stranger(node)
    try:
        writer.write(b"POST /pair/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        return b"200" in await reader.readline()
    except ConnectionError:
        return False
    finally:
        writer.transport.abort()


@many_addresses
async def test_strangers_beyond_their_number_give_way_and_paired_devices_do_not(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        inside = [await stranger(kitchen, f"127.0.1.{1 + number}") for number in range(handshakes.MAX_UNPAIRED)]
        one_more = await stranger(kitchen, "127.0.2.1")
        assert await is_cut(inside[0][0])
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS
        assert not any(reader.at_eof() for reader, _ in [*inside[1:], one_more])
        for _, held in [*inside, one_more]:
            held.transport.abort()
        async with asyncio.timeout(3):
            while not await is_served(kitchen):  # until the door has noticed that the others left
                pass


@many_addresses
async def test_one_host_can_not_take_all_places_of_strangers_so_a_device_can_still_be_paired(tmp_path: Path) -> None:
    async with running(tmp_path, "kitchen") as kitchen:
        held = [await stranger(kitchen, "127.0.0.2") for _ in range(handshakes.MAX_UNPAIRED)]
        assert await is_served(kitchen)
        assert sum(reader.at_eof() or reader.exception() is not None for reader, _ in held) == 1
        for _, writer in held:
            writer.transport.abort()


async def test_a_stranger_who_dribbles_loses_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "UNPAIRED_S", 0.3)
    async with running(tmp_path, "kitchen") as kitchen:
        reader, writer = await stranger(kitchen)
        writer.write(b"POST /pair/1 HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert await is_cut(reader)
        writer.transport.abort()


async def silent(node: Node, host: str) -> Connection:
    """Connect from an address and say nothing."""
    return await asyncio.open_connection("127.0.0.1", node.server.port, local_addr=(host, 0))


@many_addresses
async def test_sockets_that_say_nothing_are_bounded_and_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "HANDSHAKE_S", 1.0)
    async with pair(tmp_path) as (laptop, kitchen):
        held = [await silent(kitchen, f"127.0.1.{1 + number}") for number in range(handshakes.MAX_HANDSHAKES)]
        held.append(await silent(kitchen, "127.0.2.1"))
        assert await is_cut(held[0][0]), "the oldest gives way, not the newcomer"
        assert not held[-1][0].at_eof()
        for reader, _ in held:
            assert await is_cut(reader)
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS
        for _, writer in held:
            writer.transport.abort()


@asynccontextmanager
async def kept_silent(node: Node, *hosts: str, number: int = 40) -> AsyncIterator[list[str]]:
    """Hold so many silent sockets open from these addresses, each made anew when it is cut; give who was cut so far."""
    cut: list[str] = []

    async def hold(host: str) -> None:
        while True:
            reader, writer = await silent(node, host)
            try:
                await reader.read(1)
            except OSError:
                pass
            finally:
                writer.transport.abort()
            cut.append(host)
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(hold(hosts[count % len(hosts)])) for count in range(number)]
        await asyncio.sleep(0.5)
        yield cut
        for task in tasks:
            task.cancel()


@many_addresses
async def test_one_host_whose_sockets_say_nothing_keeps_no_paired_device_out(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), kept_silent(kitchen, "127.0.0.2") as cut:
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS
        assert cut, "it was the host itself that lost its places"


@many_addresses
async def test_a_hundred_hosts_keep_no_paired_device_out_that_is_where_it_was(tmp_path: Path) -> None:
    hosts = [f"127.0.1.{1 + number}" for number in range(100)]
    async with pair(tmp_path) as (laptop, kitchen), kept_silent(kitchen, *hosts, number=100):
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


async def test_a_device_that_makes_many_connections_at_once_loses_none(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        context = tls.client_context(laptop.state.identity, kitchen.state.identity.certificate_der)
        dial = partial(asyncio.open_connection, "127.0.0.1", kitchen.server.port, ssl=context)
        opened = await asyncio.gather(*(dial() for _ in range(MAX_PER_DEVICE)))
        for reader, writer in opened:
            writer.write(b"DELETE /peer/1/subtasks/x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"204" in await reader.readline()
            writer.transport.abort()


class Unlucky(socket.socket):
    """A listening socket of which the first connections can't be accepted."""

    errors: ClassVar[list[int]] = []

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            raise OSError(self.errors.pop(0), "it can't be accepted")
        return super().accept()


async def test_a_connection_that_can_not_be_accepted_does_not_close_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender left (macOS), a firewall said no, the network is down, no descriptor is left."""
    monkeypatch.setattr(server, "listen", lambda host, port: Unlucky(fileno=door.listen(host, port).detach()))
    Unlucky.errors[:] = [errno.ECONNABORTED, errno.EPERM, errno.ENETDOWN, errno.EMFILE, errno.EPROTO]
    async with pair(tmp_path) as (laptop, kitchen):
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS
        assert Unlucky.errors == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not show descriptors")
async def test_a_flood_of_sockets_leaves_memory_and_descriptors_as_they_were(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    async with pair(tmp_path) as (laptop, kitchen):
        await last(laptop.specialist(kitchen).run(REQUEST))
        before, memory = descriptors(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(10):
            flood = [await asyncio.open_connection("127.0.0.1", kitchen.server.port) for _ in range(50)]
            for _, writer in flood:
                writer.transport.abort()
        await asyncio.sleep(0.3)
        await until(lambda: descriptors() <= before + 4)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 50 * 1024
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


async def send(laptop: Node, kitchen: Node, head: bytes, body: bytes) -> bytes:
    """Speak HTTP by hand with the laptop's certificate and return the status line."""
    context = tls.client_context(laptop.state.identity, kitchen.state.identity.certificate_der)
    reader, writer = await asyncio.open_connection("127.0.0.1", kitchen.server.port, ssl=context)
    try:
        with playing():
            writer.write(b"POST /peer/1/subtasks HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n" + body)
        return await reader.readline()
    finally:
        writer.transport.abort()


async def test_a_paired_device_that_announces_too_much_is_refused_unread(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        assert b"413" in await send(laptop, kitchen, b"Content-Length: %d\r\n" % (MAX_BODY_BYTES + 1), b"")


async def test_a_paired_device_that_sends_too_much_unannounced_is_stopped(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        size = 2**20
        chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
        assert b"413" in await send(laptop, kitchen, b"Transfer-Encoding: chunked\r\n", chunk * 18)
        assert kitchen.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x00\x00\x05hello",
        struct.pack(">I", codec.MAX_FRAME_BYTES + 1),
        codec.frames(codec.encode({"kind": "hello"})),
        codec.frames(codec.encode({"kind": "hello"})) * 3,
        codec.frames(codec.encode({"kind": "hello"})) + codec.frames(codec.encode({"kind": "subtask"})),
    ],
    ids=["nothing", "no map", "oversize frame", "a hello alone", "three hellos", "an empty subtask"],
)
async def test_a_paired_device_that_talks_nonsense_is_told_so(tmp_path: Path, body: bytes) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        assert b"400" in await send(laptop, kitchen, b"Content-Length: %d\r\n" % len(body), body)
        assert kitchen.asked == []
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


async def test_no_session_can_be_resumed_so_the_certificate_is_shown_each_time(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        context = tls.client_context(laptop.state.identity, kitchen.state.identity.certificate_der)
        reader, writer = await asyncio.open_connection("127.0.0.1", kitchen.server.port, ssl=context)
        writer.write(b"DELETE /peer/1/subtasks/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"204" in await reader.readuntil(b"\r\n\r\n")  # a ticket would have come before it
        session = writer.get_extra_info("ssl_object").session
        assert session is None or not session.has_ticket
        writer.transport.abort()


async def test_a_kept_connection_of_a_revoked_device_is_hung_up_within_a_second(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        context = tls.client_context(laptop.state.identity, kitchen.state.identity.certificate_der)
        reader, writer = await asyncio.open_connection("127.0.0.1", kitchen.server.port, ssl=context)
        writer.write(b"DELETE /peer/1/subtasks/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"204" in await reader.readuntil(b"\r\n\r\n")
        membership.revoke(kitchen.state, "laptop")
        async with asyncio.timeout(1.0):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.transport.abort()


async def test_a_socket_that_gives_way_as_its_handshake_ends_takes_no_newcomer_with_it(tmp_path: Path) -> None:
    """Were it closed under its transport, the next one with its number would be heard by nobody for ten seconds."""
    async with running(tmp_path, "kitchen") as kitchen:
        listening = door.listen("127.0.0.1", 0)
        evicting = [True]

        class Evicted(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                if evicting.pop() if evicting else False:
                    door._end(next(iter(one._handshakes.values()))[0])

        context = tls.server_context(kitchen.state.identity, [])
        one = door.Door(Evicted, lambda: context, Inside())
        serving = asyncio.create_task(one.serve(listening))
        held: list[asyncio.StreamWriter] = []
        calling = [socket.socket() for _ in range(4)]  # so that what is freed below is the next number to be accepted
        try:
            async with asyncio.timeout(3):
                for sock in calling:
                    sock.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(sock, listening.getsockname())
                    _, writer = await asyncio.open_connection(sock=sock, ssl=tls.probing_context(), server_hostname="")
                    while evicting or one._handshakes:  # noqa: ASYNC110  # the door has no event for it
                        await asyncio.sleep(0.01)
                    held.append(writer)
        finally:
            for writer in held:
                writer.transport.abort()
            serving.cancel()
            await asyncio.wait([serving])
            listening.close()


async def test_an_open_connection_takes_little_memory_and_a_short_message_no_more_than_a_record(tmp_path: Path) -> None:
    """Its buffers are as long as a record, not 256 KiB, of which short messages would leave the heap full of holes."""
    async with pair(tmp_path) as (laptop, kitchen):
        context = tls.client_context(laptop.state.identity, kitchen.state.identity.certificate_der)

        def opened() -> ssl.SSLSocket:
            one = context.wrap_socket(socket.create_connection(("127.0.0.1", kitchen.server.port)))
            one.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"404" in one.recv(1024)
            return one

        with await asyncio.to_thread(opened):
            tracemalloc.start()
            try:
                several = [await asyncio.to_thread(opened) for _ in range(8)]
                held, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            for one in several:
                one.close()
            assert held < 8 * 64 * 1024
            assert most - held < 192 * 1024
