"""One paired device can't use up this device's connections or files: it loses its own idle ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from models.types import last
from peers import inside, membership, tls
from peers.codes import Address
from peers.grants import own_device
from peers.inside import MAX_PER_DEVICE, Inside
from peers.pairing import Paired
from peers.remote import RemoteSpecialist
from peers.state import NodeState, open_state
from tests.peers.nodes import Clock
from tests.peers.scripts import REQUEST, until, waiting_for
from tests.peers.swarm import pair, running

FILES = 256
"""What some systems allow a process by itself."""
MANY = 300


class Wire(asyncio.Transport):
    """A connection that notes that it was ended."""

    ended = False

    def abort(self) -> None:
        self.ended = True


def wires(number: int) -> list[Wire]:
    return [Wire() for _ in range(number)]


def test_of_one_device_the_connection_that_was_silent_for_longest_is_ended() -> None:
    clock = Clock()
    here = Inside(most=100, clock=clock.seconds)
    first, second, *others = wires(MAX_PER_DEVICE)
    kept = [here.admit(b"laptop", wire) for wire in (first, second, *others)]
    clock.pass_s(1)
    assert kept[0] is not None
    here.spoke(kept[0])
    assert here.admit(b"laptop", Wire()) is not None
    assert [wire.ended for wire in (first, second, *others)] == [False, True] + [False] * (MAX_PER_DEVICE - 2)


def test_what_is_in_use_gives_way_to_nobody() -> None:
    here = Inside(most=100)
    with contextlib.ExitStack() as used:
        for wire in wires(MAX_PER_DEVICE):
            here.admit(b"laptop", wire)
            used.enter_context(here.in_use(wire))
        assert here.admit(b"laptop", Wire()) is None
        assert here.admit(b"attic", Wire()) is not None


def test_where_all_is_full_the_device_with_most_gives_way() -> None:
    here = Inside(most=MAX_PER_DEVICE + 2)
    busy, quiet = wires(MAX_PER_DEVICE), wires(2)
    for wire in quiet:
        here.admit(b"attic", wire)
    for wire in busy:
        here.admit(b"laptop", wire)
    assert here.admit(b"phone", Wire()) is not None
    assert [wire.ended for wire in quiet] == [False, False]
    assert sum(wire.ended for wire in busy) == 1


@pytest.mark.parametrize(("files", "most"), [(-1, 512), (10**6, 512), (1024, 464), (FILES, 80), (64, MAX_PER_DEVICE)])
def test_half_of_the_files_are_left_for_everything_else(files: int, most: int) -> None:
    assert inside.most_allowed(files) == most


async def test_connections_beyond_their_number_end_and_what_runs_goes_on(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        go = asyncio.Event()
        kitchen.script = waiting_for(go)
        stream = laptop.specialist(kitchen).run(REQUEST)
        await anext(stream)
        opened = [await silent(laptop.state, kitchen.state, kitchen.address) for _ in range(MAX_PER_DEVICE + 4)]
        await until(lambda: sum(reader.at_eof() or reader.exception() is not None for reader, _ in opened) == 5)
        go.set()
        assert (await last(stream)).output == "one"
        for _, writer in opened:
            writer.transport.abort()


async def silent(
    asker: NodeState, other: NodeState, address: Address
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect with a certificate and say nothing."""
    context = tls.client_context(asker.identity, other.identity.certificate_der)
    return await asyncio.open_connection(address.host, address.port, ssl=context)


@asynccontextmanager
async def short_of_files(home: Path) -> AsyncIterator[int]:
    """A node in a process of its own that may open few files; gives its port."""
    command = f'ulimit -n {FILES}; exec "{sys.executable}" -m scripts.benches.peer_node "{home}"'
    process = await asyncio.create_subprocess_shell(
        command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    try:
        yield int(json.loads(await process.stdout.readline())["port"])
    finally:
        process.stdin.close()
        async with asyncio.timeout(10):
            await process.wait()


async def test_a_device_that_opens_connections_without_end_leaves_files_for_the_ledger_and_for_others(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "attic") as attic:
        kitchen = open_state(tmp_path / "kitchen", machine="")
        for node in (laptop, attic):
            membership.admit(kitchen, Paired(node.state.identity.public, node.name, (), 1), own_device())
        async with short_of_files(tmp_path / "kitchen") as port:
            at = Address("127.0.0.1", port)
            told = Paired(kitchen.identity.public, "kitchen", (str(at),), 1)
            membership.admit(attic.state, told, own_device())
            opened = [await silent(laptop.state, kitchen, at) for _ in range(MANY)]
            there = RemoteSpecialist(kitchen.identity.node_id, "generate", state=attic.state, client=attic.client)
            assert (await last(there.run(REQUEST))).output == "done"
            assert kitchen.ledger.entries()[0].recipient_name == "attic"
            for _, writer in opened:
                writer.transport.abort()
