"""What never reaches a hub through a paired device; and no failure on the way is a hang, or goes unwritten."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from hub.budget import Budget
from hub.consent import Question, Reply, Rule, Rules
from hub.hubs import Hubs
from hub.lending import LentOut
from models.errors import ModelsError
from models.types import Label, Tier, last
from peers import membership
from peers.errors import GrantRefused
from peers.grants import own_device
from peers.link_messages import HubCard
from peers.node_id import of_key
from peers.policy import RecipientKind
from runtime.asker import asked_by
from runtime.asking import Ask
from runtime.config import Settings
from runtime.own_hubs import OwnHubs
from runtime.task import TaskId
from tests.hub.fake_hub import Fault
from tests.hub.household import request
from tests.peers.scripts import until
from tests.runtime.devices import Device, device, writer
from tests.runtime.lending import LENDS, QUESTION, UNSURE, asked_directly, lending, no_names

MAIL = "Write to ada.lovelace@example.org and thank her."
CARD = HubCard(name="far", place="home", label="personal", capabilities=["generate"], model="big")
"""What a device might say, whatever is so."""


async def test_without_the_grant_no_hub_is_told_of_and_nothing_is_sent(tmp_path: Path) -> None:
    async with lending(tmp_path, grant=own_device()) as house:
        assert (await house.ask()).result.abstained
        assert (house.hub.bodies, house.questions, house.released(house.laptop)) == ([], [], [])


async def test_without_the_grant_nothing_reaches_the_hub_whatever_the_asker_believes(tmp_path: Path) -> None:
    async with lending(tmp_path, grant=own_device(), told=[CARD]) as house:
        answer = await house.ask()
        assert answer.result.abstained and any("not granted 'relay'" in note for note in answer.notes)
        assert house.hub.bodies == [] and house.released(house.kitchen) == []
        assert house.kitchen.model is not None and house.kitchen.model.calls == []


END: dict[str, Callable[[Device], object]] = {
    "withdrawn": lambda kitchen: membership.set_grant(kitchen.state, "laptop", own_device()),
    "expired": lambda kitchen: membership.set_grant(kitchen.state, "laptop", replace(LENDS, expires_ns=1)),
    "revoked": lambda kitchen: membership.revoke(kitchen.state, "laptop"),
}


@pytest.mark.parametrize("end", END)
async def test_a_grant_that_ends_in_the_middle_ends_the_work_at_the_hub(tmp_path: Path, end: str) -> None:
    async with lending(tmp_path, Fault.SLOW_MIDDLE, answer="one two three") as house, asyncio.timeout(15):
        asking = asyncio.create_task(house.ask())
        await until(lambda: house.hub.bodies)
        END[end](house.kitchen)
        assert (await asking).result.abstained
        await until(lambda: house.hub.left == 1)
        assert len(house.hub.bodies) == 1


@pytest.mark.parametrize("end", END)
async def test_a_grant_that_ends_between_two_tries_lets_no_second_one_go(tmp_path: Path, end: str) -> None:
    async with lending(tmp_path, Fault.FAILS) as house:
        lent = house.lent.lent("far", request("Why?", label=Label.PUBLIC), house.asker, task=TaskId("t1"))
        assert isinstance(lent, LentOut)

        async def ends(seconds: float) -> None:
            END[end](house.kitchen)

        lent._remote._sleep = ends
        with pytest.raises(GrantRefused, match="not lent for this"):
            await last(lent.run(request("Why?", label=Label.PUBLIC)))
        assert len(house.hub.bodies) == 1


async def test_a_grant_that_ends_while_the_owner_reads_sends_nothing(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:

        async def owner(question: Question) -> Reply:
            membership.revoke(house.laptop.state, "kitchen")
            return Reply.ONCE

        with asked_by(owner):
            answer = await house.laptop.ask(Ask(QUESTION, capability="generate", ceiling=Tier.HUB))
        assert answer.result.abstained and (house.hub.bodies, house.released(house.laptop)) == ([], [])


async def test_a_device_that_may_see_less_while_the_owner_reads_is_sent_nothing(tmp_path: Path) -> None:
    told = CARD.model_copy(update={"place": "away"})
    async with lending(tmp_path, told=[told]) as house:

        async def owner(question: Question) -> Reply:
            assert MAIL in question.after
            membership.set_grant(house.laptop.state, "kitchen", replace(own_device(), label=Label.PUBLIC))
            return Reply.ONCE

        with asked_by(owner):
            answer = await house.laptop.ask(Ask(MAIL, capability="generate", ceiling=Tier.HUB))
        assert answer.result.abstained and any("under other terms" in note for note in answer.notes)
        assert house.released(house.laptop) == []


@pytest.mark.parametrize("label", [Label.PERSONAL, Label.SENSITIVE])
@pytest.mark.parametrize(("above", "ceiling", "granted"), [("grant", 2, 0), ("hub", 0, 2)])
async def test_a_label_above_the_grant_or_above_what_the_hub_takes_is_refused(
    tmp_path: Path, label: Label, above: Literal["grant", "hub"], ceiling: int, granted: int
) -> None:
    grant = replace(LENDS, label=Label(granted))
    async with lending(tmp_path, place="home", ceiling=Label(ceiling), grant=grant) as house:
        there = house.kitchen.node
        Rules(there.home).add(Rule("allow", Label.PERSONAL, "", "far"))  # of its own it would go redacted
        there._far = OwnHubs(there.home, Settings(), lambda: None, seek=no_names)
        with pytest.raises(ModelsError, match="only public things were granted" if above == "grant" else "not lent"):
            await asked_directly(house, request(QUESTION, label=label))
        assert house.hub.bodies == []
        assert await asked_directly(house, request(QUESTION, label=Label.PUBLIC)) == "Rayleigh."


async def test_what_is_above_the_grant_there_is_redacted_here_first(tmp_path: Path) -> None:
    grant = replace(LENDS, label=Label.PUBLIC)
    async with lending(tmp_path, place="home", ceiling=Label.PERSONAL, grant=grant) as house:
        assert (await house.ask(MAIL)).node == "far@kitchen"
        assert len(house.questions) == 1 and "ada.lovelace" not in house.hub.said


@pytest.mark.parametrize("place", ["home", "away"])
async def test_never_there_is_never_whatever_was_granted(tmp_path: Path, place: Literal["home", "away"]) -> None:
    async with lending(tmp_path, place=place) as house:
        Rules(house.kitchen.node.home).add(Rule("never", Label.PUBLIC, "generate", "far"))
        assert "generate" not in house.lent.offers()[0].capabilities
        answer = await house.ask()  # it was told so before the rule was made
        assert answer.result.abstained and any("did not say that this kind of work" in note for note in answer.notes)
        assert house.hub.bodies == []


async def test_a_hub_away_without_a_standing_yes_is_neither_told_of_nor_given_anything(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        Rules(house.kitchen.node.home).forget("far")
        assert house.lent.offers() == []
        assert (await house.ask()).result.abstained and house.hub.bodies == []


async def test_an_exhausted_budget_there_sends_nothing_and_its_figures_are_not_told(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        Budget(house.kitchen.node.home).limit(per_day={"money": 0.0}, per_task={})
        answer = await house.ask()
        assert answer.result.abstained and any("its budget does not allow it" in note for note in answer.notes)
        assert house.hub.bodies == [] and not any("0.00" in note for note in answer.notes)


async def test_an_exhausted_budget_here_sends_nothing_to_the_device(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        Budget(house.laptop.node.home).limit(per_day={"requests": 0}, per_task={})
        assert (await house.ask()).result.abstained
        assert (house.released(house.laptop), house.hub.bodies, house.questions) == ([], [], [])


async def test_never_here_is_never_for_that_device_and_no_other_of_its_name(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        rules, other = Rules(house.laptop.node.home), of_key(b"another")
        rules.add(Rule("allow", Label.PERSONAL, "", "far@kitchen", other))
        rules.add(Rule("allow", Label.PERSONAL, "", ""))
        (rung,) = await house.hubs.rungs("generate", Label.PERSONAL)
        assert rung.permission == "ask"
        house.reply = Reply.NEVER
        assert (await house.ask()).result.abstained and house.hub.bodies == []
        (rung,) = await house.hubs.rungs("generate", Label.PERSONAL)
        assert rung.permission == "never"
        assert (await house.ask()).result.abstained and len(house.questions) == 1


@pytest.mark.parametrize("fault", [Fault.KEY, Fault.GARBAGE, Fault.HALF, Fault.INVENTS, Fault.ENDLESS, Fault.FAILS])
async def test_a_hub_that_misbehaves_there_leaves_the_answer_from_here(tmp_path: Path, fault: Fault) -> None:
    async with lending(tmp_path, fault) as house, asyncio.timeout(20):
        answer = await house.ask()
        assert answer.result.abstained and answer.notes
        assert not any(house.hub.url in note or "stack trace" in note for note in answer.notes)
        assert [entry.digest for entry in house.released(house.kitchen) if entry.recipient is RecipientKind.HUB] == [
            hashlib.sha256(body).hexdigest() for body in house.hub.bodies
        ]


async def test_a_hub_that_is_down_there_is_no_hang_here(tmp_path: Path) -> None:
    async with lending(tmp_path) as house, asyncio.timeout(15):
        Hubs(house.kitchen.node.home).add(replace(house.hub.as_hub(), url="http://127.0.0.1:9/v1"), None)
        answer = await house.ask()
        assert answer.result.abstained and any("gave no answer (hub_unreachable)" in note for note in answer.notes)


async def test_a_lending_device_that_is_gone_is_no_hang_here(tmp_path: Path) -> None:
    async with lending(tmp_path) as house, asyncio.timeout(15):
        await house.kitchen.gone()
        answer = await house.ask()
        assert answer.result.abstained and answer.bytes_out == 0


async def test_a_hub_is_lent_to_the_device_that_asks_and_to_no_other(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        given = replace(request(QUESTION, label=Label.PUBLIC), hops=(of_key(b"attic"),))
        with pytest.raises(ModelsError, match="not to others through it"):
            await asked_directly(house, given)
        assert house.hub.bodies == []


async def test_a_hub_that_is_lent_to_a_device_is_not_lent_on(tmp_path: Path) -> None:
    """The attic lends the kitchen a hub; the kitchen has none of its own to lend the laptop."""
    async with lending(tmp_path) as house, device(tmp_path, "attic", writer(UNSURE)) as attic:
        await attic.knows(house.laptop, theirs=LENDS)
        assert attic.node.others.lenders() == []
        attic.around.note(replace(attic.around.neighbours[house.laptop.id], hubs=(CARD,)))
        answer = await attic.ask(Ask(QUESTION, capability="generate"))
        assert answer.result.abstained and house.hub.bodies == [] and house.released(house.laptop)[:-1] == []


@pytest.mark.parametrize("relay", ["near", "big"])
async def test_a_hub_that_is_not_there_is_refused_and_the_device_does_not_do_it_itself(
    tmp_path: Path, relay: str
) -> None:
    async with lending(tmp_path) as house:
        with pytest.raises(ModelsError, match="not lent for this") as raised:
            await asked_directly(house, request(QUESTION, label=Label.PUBLIC), relay=relay)
        assert "There are" not in str(raised.value)  # what else this owner has is told to nobody
        assert house.kitchen.model is not None and house.kitchen.model.calls == []


async def test_a_device_answers_the_same_request_itself_and_by_its_hub_apart(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        given = replace(request(QUESTION, label=Label.PUBLIC), idempotency_key="key")
        assert await asked_directly(house, given, relay="") == "From the kitchen itself."
        assert await asked_directly(house, given) == "Rayleigh."
        assert await asked_directly(house, given) == "Rayleigh." and len(house.hub.bodies) == 2  # no answer was kept


@pytest.mark.parametrize("ceiling", [Tier.DEVICE, Tier.HOME])
async def test_a_hub_away_is_not_asked_through_a_device_below_its_tier(tmp_path: Path, ceiling: Tier) -> None:
    async with lending(tmp_path) as house:
        assert (await house.ask(ceiling=ceiling)).result.abstained
        assert (house.hub.bodies, house.questions, house.released(house.laptop)) == ([], [], [])


async def test_what_a_device_says_of_its_hub_gets_it_no_more_than_its_own_grant(tmp_path: Path) -> None:
    boast = CARD.model_copy(update={"label": "sensitive"})
    async with lending(tmp_path, told=[boast]) as house:
        (rung,) = await house.hubs.rungs("generate", Label.SENSITIVE)
        assert rung.permission == "ask"
        house.reply = Reply.NO
        assert (await house.ask(MAIL, label=Label.SENSITIVE)).result.abstained
        assert house.released(house.laptop) == []


@pytest.mark.parametrize("whose", ["laptop", "kitchen"])
async def test_what_can_not_be_written_down_on_either_device_is_not_sent_on(tmp_path: Path, whose: str) -> None:
    async with lending(tmp_path) as house:
        broken = house.laptop if whose == "laptop" else house.kitchen
        (broken.state.folder / "ledger.jsonl").write_bytes(b"damaged\n")
        answer = await house.ask()
        assert answer.result.abstained and answer.notes and house.hub.bodies == []


async def test_a_crash_of_the_lending_device_in_the_middle_leaves_the_answer_from_here(tmp_path: Path) -> None:
    async with lending(tmp_path, Fault.SLOW_MIDDLE, answer="one two three") as house, asyncio.timeout(15):
        asking = asyncio.create_task(house.ask())
        await until(lambda: house.hub.bodies)
        house.kitchen.wire.cut()
        answer = await asking
        assert answer.result.abstained and answer.notes
        await until(lambda: house.hub.left == 1)  # its asker is gone, and it hangs up on the hub


async def test_an_asker_who_leaves_ends_the_work_at_the_hub(tmp_path: Path) -> None:
    async with lending(tmp_path, Fault.SLOW_MIDDLE, answer="one two three") as house:
        asking = asyncio.create_task(house.ask())
        await until(lambda: house.hub.bodies)
        asking.cancel()
        await asyncio.wait({asking})
        await until(lambda: house.hub.left == 1)
