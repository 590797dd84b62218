"""Work over slow ways that lose what they carry: handed over, or gone on with elsewhere, every word comes once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from models.types import Chunk
from peers import membership
from peers.codes import Address
from peers.grants import own_device
from peers.pairing import Paired
from runtime.asking import Answer, Restarted
from scripts.swarms.proxy import Proxy, proxy
from tests.peers.fake_multicast import Air
from tests.runtime.devices import STORY, Device, device, story, writer
from tests.runtime.test_moving import in_order, text_of

DELAY_S, LOST_SHARE = 0.05, 0.2
"""One way, and of the pieces; a lost one comes 0.3 s later, and all behind it."""
TOKEN_S = 0.15
"""So slow that what comes late, and all at once, is not the whole answer."""
LOSSES: dict[str, Callable[[Proxy], None]] = {
    "cut": Proxy.cut,
    "silent": partial(Proxy.turn, blocked=True),
}


@dataclass
class Home:
    """A laptop without a model, and two devices that can write, each behind a poor way."""

    laptop: Device
    writers: dict[str, Device]
    ways: dict[str, Proxy]

    @property
    def writing(self) -> str:
        """The device that has been given work."""
        (name,) = [name for name, one in self.writers.items() if one.model is not None and one.model.calls]
        return name


@asynccontextmanager
async def home(tmp_path: Path, *, linked: bool) -> AsyncIterator[Home]:
    """Over links, or over connections made for each piece of work; the laptop is the one that dials.

    Nobody hears of the others: a writer that found the laptop by itself would have a way beside the poor one.
    """
    async with contextlib.AsyncExitStack() as stack:
        laptop = await stack.enter_async_context(device(tmp_path, "laptop", linked=linked, opening=Air().opening))
        writers, ways = {}, {}
        for name in ("kitchen", "desktop"):
            one = writers[name] = await stack.enter_async_context(
                device(tmp_path, name, writer(token_s=TOKEN_S), linked=linked, opening=Air().opening)
            )
            way = ways[name] = await stack.enter_async_context(proxy(one.place.port))
            way.turn(delay_s=DELAY_S, stall_share=LOST_SHARE)
            one.place = Address("127.0.0.1", way.port)
            if linked:
                there = Paired(one.state.identity.public, name, (str(one.place),), 1)
                membership.admit(laptop.state, there, own_device())
                membership.admit(one.state, Paired(laptop.state.identity.public, "laptop", (), 1), own_device())
                await laptop.until_linked(one)
            else:
                await laptop.knows(one)
        yield Home(laptop, writers, ways)


@pytest.mark.parametrize("linked", [False, True], ids=["dialled", "linked"])
async def test_an_answer_comes_whole_over_a_way_that_is_slow_and_loses(tmp_path: Path, linked: bool) -> None:
    async with home(tmp_path, linked=linked) as made:
        pieces, answer = await made.laptop.told(story())
        assert (text_of(pieces), answer.result.text, answer.node) == (STORY, STORY, made.writing)
        assert in_order(pieces)
        assert answer.notes == ()
        assert made.ways[made.writing].passed_bytes > 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("linked", [False, True], ids=["dialled", "linked"])
async def test_an_answer_goes_on_elsewhere_over_such_ways_and_no_word_is_lost_or_repeated(
    tmp_path: Path, loss: str, linked: bool
) -> None:
    async with home(tmp_path, linked=linked) as made:
        pieces: list[Chunk | Restarted] = []
        first = ""
        async with contextlib.aclosing(made.laptop.node.stream(story())) as items:
            async for item in items:
                if isinstance(item, Answer):
                    answer = item
                    break
                pieces.append(item)
                if len(pieces) == 3:
                    first = made.writing
                    LOSSES[loss](made.ways[first])
        (other,) = made.writers.keys() - {first}
        assert (text_of(pieces), answer.result.text) == (STORY, STORY)
        assert in_order(pieces)
        assert not any(isinstance(piece, Restarted) for piece in pieces)
        if linked and loss == "cut" and answer.node == first:
            return  # the link was made anew at once, and the answer went on over it
        assert answer.node == other
        (note,) = answer.notes
        assert note.startswith(f"{first} was lost after ")
