"""What is known of the devices around, and waiting for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from peers.link_messages import Beat, SkillCard
from peers.neighbourhood import Neighbour, Neighbourhood
from peers.node_id import of_key

KITCHEN, GARAGE = of_key(b"kitchen"), of_key(b"garage")


async def test_a_device_is_known_when_it_has_said_how_it_is_and_what_it_can() -> None:
    around = Neighbourhood()
    waiting = asyncio.create_task(around.until_known([KITCHEN, GARAGE]))
    kitchen = Neighbour(KITCHEN, beat=Beat(running=1))
    around.note(kitchen)
    around.note(Neighbour(GARAGE, beat=Beat(), cards=()))
    await asyncio.sleep(0)
    assert not waiting.done()
    around.note(replace(kitchen, cards=[SkillCard(capability="generate")]))
    await asyncio.wait_for(waiting, 1.0)


async def test_what_a_device_said_goes_with_its_link() -> None:
    around = Neighbourhood()
    around.note(Neighbour(KITCHEN, beat=Beat(), cards=()))
    before = around.neighbours
    around.forget(KITCHEN)
    around.forget(KITCHEN)
    assert (list(before), list(around.neighbours)) == ([KITCHEN], [])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(around.until_known([KITCHEN]), 0.05)


async def test_a_change_wakes_those_who_wait_for_one() -> None:
    around = Neighbourhood()
    waiting = asyncio.create_task(around.changed())
    await asyncio.sleep(0)
    around.note(Neighbour(KITCHEN))
    await asyncio.wait_for(waiting, 1.0)
