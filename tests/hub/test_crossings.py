"""Crossings over every way to a hub: nothing that may not go goes, and all that goes is in the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

import pytest

from hub.book import Hub
from hub.briefs import Repair
from hub.budget import Budget
from hub.consent import Reply, Rule, Rules
from hub.door import Door
from models.errors import ModelsError
from models.types import Json, Label, Request, Specialist, last
from peers.book import Peer
from peers.grants import Limits
from peers.policy import RecipientKind
from runtime.asker import asked_by
from runtime.config import Settings
from runtime.own_hubs import OwnHubs
from runtime.task import TaskId
from tests.hub.crossings import TEXTS, Text, forbidden, may_go, seek
from tests.hub.fake_hub import FakeHub, Fault, running
from tests.hub.household import Household, household, request
from tests.runtime.lending import LENDS, lending, subtask_in

PLACES = (("home", Label.PERSONAL), ("away", Label.PUBLIC))
WAYS = ("direct", "retry", "repair", "standing yes", "fallback", "no", "never")
"""With 12 texts, 4 labels and 2 hubs each: 672 crossings."""


@dataclass(frozen=True, slots=True)
class Crossing:
    text: Text
    label: Label
    hub: Hub


def crossings(hub: FakeHub) -> Iterator[Crossing]:
    for text, label, (place, ceiling) in product(TEXTS, Label, PLACES):
        yield Crossing(text, label, hub.as_hub("far", place=place, ceiling=ceiling))  # type: ignore[arg-type]


async def cross(home: Household, way: str, crossing: Crossing) -> bool:
    """Try one crossing; return whether an answer came."""
    home.add(crossing.hub)
    home.client._breakers.clear()
    home.client._rates.clear()  # else only the first sixty of a minute would be tried at all
    draft = Repair(crossing.text.text, "a check failed") if way == "repair" else None
    asked = request("Put it right." if draft else crossing.text.text, label=crossing.label)
    try:
        await last(home.specialist(repair=draft).run(asked))
    except ModelsError:
        return False
    return True


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.timeout(180)
async def test_not_a_byte_goes_that_may_not_and_each_that_goes_is_in_the_ledger(tmp_path: Path, way: str) -> None:
    fault = {"retry": Fault.FAILS_ONCE, "fallback": Fault.FAILS}.get(way, Fault.NONE)
    async with running(fault, answer="Done.") as hub, household(tmp_path) as home:
        home.budget.limit(per_day=_free(), per_task=_free())
        home.door = Door(home.state.ledger, home.rules, home.budget, seek=seek)
        home.reply = Reply.NO if way == "no" else Reply.ONCE
        if way in ("standing yes", "never"):
            home.rules.add(Rule("allow" if way == "standing yes" else "never", _least(way), "", ""))
        seen = 0
        for crossing in crossings(hub):
            hub.bodies.clear()
            before = len(home.state.ledger.entries())
            answered = await cross(home, way, crossing)
            _check(home, hub, crossing, way, answered, before)
            seen += bool(hub.bodies)
        assert home.state.ledger.verify().ok
        assert (seen > 20) is (way != "never")


def _check(home: Household, hub: FakeHub, crossing: Crossing, way: str, answered: bool, before: int) -> None:
    text, label, ceiling, away = crossing.text, crossing.label, crossing.hub.ceiling, crossing.hub.place == "away"
    entries = home.state.ledger.entries()[: len(home.state.ledger.entries()) - before]
    released = [home.state.ledger.bytes_of(entry) for entry in reversed(entries) if entry.act == "release"]
    assert released == hub.bodies, crossing
    if way == "never" or not may_go(text, label, ceiling, away=away):
        assert hub.bodies == [] and not answered, crossing
    if way == "no" and (away or label > ceiling):
        assert hub.bodies == [], crossing
    for piece in forbidden(text, label, ceiling):
        assert piece not in hub.said, crossing


def _least(way: str) -> Label:
    return Label.PERSONAL if way == "standing yes" else Label.PUBLIC


def _free() -> dict[str, float | None]:
    return {"money": None, "tokens": None, "bytes": None, "requests": None}


async def test_a_crash_of_the_release_a_hub_added_later_and_one_removed_send_nothing_unwritten(tmp_path: Path) -> None:
    async with running(answer="Done.") as hub, household(tmp_path) as home:
        home.door = Door(home.state.ledger, Rules(home.home), Budget(home.home), seek=seek)
        plain = Crossing(TEXTS[0], Label.PERSONAL, hub.as_hub())
        with pytest.raises(ModelsError):  # before it was added
            await last(home.specialist().run(request(plain.text.text)))
        assert await cross(home, "direct", plain)
        home.hubs.remove("far")
        with pytest.raises(ModelsError):
            await last(home.specialist().run(request(plain.text.text)))
        ledger = home.state.folder / "ledger.jsonl"
        whole = ledger.read_bytes()
        for broken in (b"", whole[: len(whole) // 2], b"junk\n"):
            ledger.write_bytes(broken)
            assert not await cross(home, "direct", plain)
        assert len(hub.bodies) == 1
        ledger.write_bytes(whole.replace(b'"far"', b'"fat"', 1))
        assert not home.state.ledger.verify().ok


class Watched(OwnHubs):
    """A device's hubs, and what another device handed it for them."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, Settings(), lambda: None, seek=seek)
        self.given: list[Mapping[str, Json]] = []

    def lent(self, hub: str, request: Request, peer: Peer, *, task: TaskId) -> Specialist:
        self.given.append(request.input)
        return super().lent(hub, request, peer, task=task)


PATIENT = replace(LENDS, label=Label.SENSITIVE, limits=Limits(tasks_per_minute=10**6))
RELAYED = (("once", Reply.ONCE, ""), ("no", Reply.NO, ""), ("never there", Reply.ONCE, "never"))


@pytest.mark.parametrize(("reply", "rule"), [one[1:] for one in RELAYED], ids=[one[0] for one in RELAYED])
@pytest.mark.parametrize(("place", "ceiling"), PLACES, ids=[place for place, _ in PLACES])
@pytest.mark.timeout(180)
async def test_through_a_paired_device_not_a_byte_goes_that_may_not_and_both_ledgers_have_each(
    tmp_path: Path, place: Literal["home", "away"], ceiling: Label, reply: Reply, rule: str
) -> None:
    """48 crossings each, over real TLS: what the device is given, and what its hub is given by it."""
    async with lending(tmp_path, answer="Done.", place=place, ceiling=ceiling, grant=PATIENT, seek=seek) as house:
        house.reply = reply
        there = house.kitchen.node._far = Watched(house.kitchen.node.home)
        for home in (house.laptop.node.home, house.kitchen.node.home):
            Budget(home).limit(per_day=_free(), per_task=_free())
        if rule:
            Rules(house.kitchen.node.home).add(Rule("never", Label.PUBLIC, "", ""))
        (rung,) = await house.hubs.rungs("generate", Label.PERSONAL)
        seen = 0
        for text, label in product(TEXTS, Label):
            there._client._rates.clear()
            house.hub.bodies.clear()
            there.given.clear()
            before = len(house.released(house.laptop)), len(house.released(house.kitchen))
            with asked_by(house.owner):
                hub = house.hubs.specialist(rung, "generate", task=TaskId("t1"), reason="it is hard", rejected=None)
            with suppress(ModelsError):
                await last(hub.run(request(text.text, label=label)))
            sent, passed_on = house.released(house.laptop)[before[0] :], house.released(house.kitchen)[before[1] :]
            bodies = [house.laptop.state.ledger.bytes_of(entry) or b"" for entry in sent]
            assert [subtask_in(body).input for body in bodies] == there.given, (text, label)
            digests = [entry.digest for entry in passed_on if entry.recipient is RecipientKind.HUB]
            assert digests == [hashlib.sha256(body).hexdigest() for body in house.hub.bodies], (text, label)
            said = b"\n".join([*bodies, *house.hub.bodies]).decode(errors="backslashreplace")
            if not may_go(text, label, ceiling, away=place == "away"):
                assert said == "", (text, label)
            if reply is Reply.NO and (place == "away" or label > ceiling):
                assert said == "", (text, label)
            assert not any(piece in said for piece in forbidden(text, label, ceiling)), (text, label)
            assert not (rule and house.hub.bodies)
            seen += bool(house.hub.bodies)
        assert house.laptop.state.ledger.verify().ok and house.kitchen.state.ledger.verify().ok
        assert (seen > 10) is (not rule and (reply is Reply.ONCE or place == "home"))
