"""What the system says of changes of its interfaces: heard where it is said, and missed by nobody where it is not."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from peers import discovery, interface_changes
from peers.discovery import Discovery
from peers.interface_changes import MAX_READS, changes
from peers.interfaces import Interface
from peers.networks import Networks
from peers.state import open_state
from tests.peers.fake_multicast import Air
from tests.peers.test_discovery import lan, until


class Said:
    """Stands for the system's socket: what it holds, and how reading it ends."""

    def __init__(self, messages: int, ending: OSError) -> None:
        self.messages = messages
        self.ending = ending

    def recv(self, most: int) -> bytes:
        if not self.messages:
            raise self.ending
        self.messages -= 1
        return b"x"


@pytest.mark.parametrize(
    ("messages", "ending", "goes_on", "left"),
    [
        (3, BlockingIOError(), True, 0),
        (MAX_READS + 5, BlockingIOError(), True, 5),
        (0, OSError(errno.ENOBUFS, "some were lost"), True, 0),
        (2, OSError(errno.EBADF, "it is gone"), False, 0),
    ],
)
def test_a_burst_is_read_in_parts_and_only_a_broken_socket_ends_listening(
    messages: int, ending: OSError, goes_on: bool, left: int
) -> None:
    said = Said(messages, ending)
    assert interface_changes._emptied(said) is goes_on  # type: ignore[arg-type]  # it only reads
    assert said.messages == left


async def test_where_the_system_says_nothing_there_is_an_event_that_nobody_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK", raising=False)
    with changes() as stirred:
        await asyncio.sleep(0)
        assert not stirred.is_set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says so over a socket")
async def test_the_socket_is_open_as_long_as_the_block_lasts() -> None:
    before = _descriptors()
    with changes():
        assert len(_descriptors()) == len(before) + 1
    assert _descriptors() == before


def _descriptors() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()} - {"/proc/self/fd"}


async def test_what_the_system_says_is_looked_at_soon_and_a_burst_of_it_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "INTERFACES_S", 60.0)
    monkeypatch.setattr(discovery, "SETTLE_S", 0.1)
    stirred, air, around, looks = asyncio.Event(), Air(), [lan("10.0.0.1")], list[float]()
    state = open_state(tmp_path, machine="")
    Networks(state.folder).say(around, "home")

    def look() -> tuple[Interface, ...]:
        looks.append(time.monotonic())
        return tuple(around)

    running = Discovery(
        state,
        port=4489,
        boot="b",
        sighted=lambda node, at: None,
        opening=air.opening,
        look=look,
        stirring=lambda: nullcontext(stirred),
    )
    task = asyncio.create_task(running.run())
    try:
        await until(lambda: air.plates)
        around[:] = [lan("10.0.0.77")]
        stirred.set()
        await until(lambda: air.plates and air.plates[0].hosts == ("10.0.0.77",))
        looks.clear()
        for _ in range(500):
            stirred.set()
            await asyncio.sleep(0.001)
        await until(lambda: not stirred.is_set())
        assert 1 <= len(looks) <= (time.monotonic() - looks[0]) / 0.1 + 2
    finally:
        task.cancel()
        await asyncio.wait([task])
