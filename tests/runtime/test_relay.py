"""A paired device may use this one's hub: both owners' words hold, both ledgers say it, and the text stays private."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.budget import Budget
from hub.hubs import Hubs
from models.types import Label, Tier, last
from peers import membership
from peers.grants import own_device
from peers.policy import Place, RecipientKind
from runtime import paths
from runtime.asker import asked_by
from runtime.asking import Ask
from runtime.marking import Height
from runtime.stronger import Rejected
from runtime.task import TaskId
from runtime.trace.show import lines
from runtime.trace.store import TraceStore
from tests.hub.fake_hub import Fault, running
from tests.hub.household import request
from tests.peers.scripts import until
from tests.runtime import household
from tests.runtime.devices import device, done_for_others, writer
from tests.runtime.lending import LENDS, QUESTION, UNSURE, lending, subtask_in

MAIL = "Write to ada.lovelace@example.org and thank her."


async def test_a_device_without_a_hub_is_answered_by_that_of_a_paired_one(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        answer = await house.ask()
        assert (answer.result.text, answer.node, answer.tier) == ("Rayleigh.", "far@kitchen", Tier.HUB)
        assert QUESTION in house.hub.said and len(house.questions) == 1
        assert any("far@kitchen was asked" in note and "left the home" in note for note in answer.notes)
        assert house.kitchen.model is not None and house.kitchen.model.calls == []


async def test_both_ledgers_say_what_went_to_whom_and_verify(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        answer = await house.ask(MAIL)
        laptop, kitchen = house.laptop, house.kitchen
        (sent,) = house.released(laptop)
        assert (sent.recipient_id, sent.recipient_name, sent.place) == (kitchen.id, "far@kitchen", Place.AWAY)
        assert sent.label is Label.PUBLIC and "on to far, a hub that kitchen lends" in sent.reason
        assert sent.size_bytes == answer.bytes_out
        subtask = subtask_in(laptop.state.ledger.bytes_of(sent) or b"")
        assert (subtask.relay, subtask.label, subtask.hops) == ("far", "public", [laptop.id])
        to_hub, back = house.released(kitchen)
        assert (to_hub.recipient, to_hub.recipient_name, to_hub.place) == (RecipientKind.HUB, "far", Place.AWAY)
        assert to_hub.digest == hashlib.sha256(house.hub.bodies[0]).hexdigest() and "laptop" in to_hub.reason
        assert back.recipient_id == laptop.id
        assert laptop.state.ledger.verify().ok and kitchen.state.ledger.verify().ok


async def test_what_is_hidden_is_put_in_again_at_the_asker_alone(tmp_path: Path) -> None:
    async with lending(tmp_path, answer="Dear [EMAIL_1], thank you.") as house:
        answer = await house.ask(MAIL)
        assert answer.result.text == "Dear ada.lovelace@example.org, thank you."
        (sent,) = house.released(house.laptop)
        assert b"ada.lovelace" not in (house.laptop.state.ledger.bytes_of(sent) or b"ada.lovelace")
        assert "ada.lovelace" not in house.hub.said and "placeholders such as" in house.hub.said


async def test_the_owner_is_shown_the_very_bytes_that_go_to_the_device(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        await house.ask(MAIL)
        (question,) = house.questions
        (sent,) = house.released(house.laptop)
        assert question.body == house.laptop.state.ledger.bytes_of(sent)
        assert question.after == ("Write to [EMAIL_1] and thank her.",)
        assert question.wish.place is Place.AWAY and question.cost > 0


async def test_the_lending_device_keeps_figures_and_no_word(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        await house.ask()
        kitchen = house.kitchen
        assert all(kitchen.state.ledger.bytes_of(entry) is None for entry in house.released(kitchen))
        _, spans = await done_for_others(kitchen.node)
        said = {key: value for span in spans for key, value in span.attributes.items()}
        assert (said["covey.asker"], said["covey.node"]) == ("laptop", "far")
        assert said["covey.bytes_out"] == len(house.hub.bodies[0]) and float(str(said["covey.money"])) > 0
        folder = kitchen.node.home
    with sqlite3.connect(paths.journal_file(folder)) as database:
        dump = "\n".join(database.iterdump())
    texts = [dump.encode(), *(path.read_bytes() for path in folder.rglob("*") if path.is_file())]
    assert not any(word in text for text in texts for word in (b"lighthouse", b"Rayleigh"))


async def test_the_trace_says_which_device_which_hub_and_what_it_cost(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        answer = await house.ask()
        node = house.laptop.node
        spans, entries = TraceStore(node.journal).load(answer.task_id), node.journal.events(answer.task_id)
        shown = "\n".join(lines(answer.task_id, spans, entries, request=None, answer=None))
        assert "tried next: far@kitchen" in shown and "generate@far@kitchen (model big) on far@kitchen (hub)" in shown
        assert f"{answer.bytes_out} bytes were sent there" in shown and "it cost 0.000060" in shown
        there = house.kitchen.node
        task, spans = await done_for_others(there)
        shown = "\n".join(lines(task, spans, there.journal.events(task), request=None, answer=None))
        assert "generate@far (model big) on far (hub), for laptop" in shown and "it cost 0.000060" in shown


async def test_a_hub_at_home_of_an_own_device_is_asked_as_an_own_one_would_be(tmp_path: Path) -> None:
    async with lending(tmp_path, answer="", place="home", ceiling=Label.PERSONAL) as house:
        answer = await house.ask(MAIL, ceiling=Tier.HOME)
        assert (answer.node, answer.tier, house.questions) == ("far@kitchen", Tier.HOME, [])
        assert "ada.lovelace@example.org" in answer.result.text and "ada.lovelace" in house.hub.said
        (sent,) = house.released(house.laptop)
        assert (sent.label, sent.place) == (Label.PERSONAL, Place.HOME)


async def test_the_home_of_a_guest_is_away(tmp_path: Path) -> None:
    guest = replace(own_device(), whose="guest", label=Label.PUBLIC)
    async with lending(tmp_path, place="home", ceiling=Label.PERSONAL) as house:
        await house.laptop.knows(house.kitchen, grant=guest, theirs=LENDS)
        (rung,) = await house.hubs.rungs("generate", Label.PERSONAL)
        assert (rung.height, rung.permission) == (Height.LENT_AWAY_HUB, "ask")
        await house.ask(MAIL)
        assert "ada.lovelace" not in house.hub.said and len(house.questions) == 1


async def test_an_own_hub_of_the_same_kind_is_tried_first(tmp_path: Path) -> None:
    async with lending(tmp_path) as house, running(answer="From my own.") as own:
        Hubs(house.laptop.node.home).add(own.as_hub("mine"), None)
        assert (await house.ask()).node == "mine"
        own.fault = Fault.KEY
        answer = await house.ask()
        assert (answer.node, answer.result.text) == ("far@kitchen", "Rayleigh.")
        assert any("mine" in note for note in answer.notes)


async def test_the_hubs_that_are_lent_are_told_over_the_link_and_taken_back(tmp_path: Path) -> None:
    own = paths.ensure_home(tmp_path / "kitchen")
    async with running(answer="Rayleigh.") as hub:
        Hubs(own).add(hub.as_hub(place="home", ceiling=Label.PERSONAL), None)
        async with (
            device(tmp_path, "laptop", writer(UNSURE), linked=True) as laptop,
            device(tmp_path, "kitchen", linked=True) as kitchen,
        ):
            await laptop.knows(kitchen, theirs=LENDS)
            await until(lambda: laptop.node.others.lenders(), 8)
            (lender,) = laptop.node.others.lenders()
            assert (lender.card.name, lender.card.place, lender.card.label) == ("far", "home", "personal")
            assert hub.url not in repr(lender.card)
            answer = await laptop.ask(Ask(QUESTION, capability="generate"))
            assert (answer.result.text, answer.node) == ("Rayleigh.", "far@kitchen")
            membership.set_grant(kitchen.state, "laptop", own_device())
            await until(lambda: not laptop.node.others.lenders(), 8)


async def test_a_rejected_answer_is_put_right_through_a_device_with_draft_and_fault_redacted(tmp_path: Path) -> None:
    async with lending(tmp_path, answer="Thank [EMAIL_1].") as house:
        (rung,) = await house.hubs.rungs("generate", Label.PERSONAL)
        rejected = Rejected("Thank eve@example.org.", "the check names failed: 'eve@example.org' is not in the text")
        with asked_by(house.owner):
            hub = house.hubs.specialist(rung, "generate", task=TaskId("t1"), reason="it is hard", rejected=rejected)
        result = await last(hub.run(request("Thank whoever wrote.")))
        assert result.text == "Thank eve@example.org."
        assert "eve@example" not in house.hub.said and "Put it right" in house.hub.said


async def test_both_budgets_count_what_it_took(tmp_path: Path) -> None:
    async with lending(tmp_path) as house:
        await house.ask()
        for node in (house.laptop.node, house.kitchen.node):
            spent = Budget(node.home).account().today
            assert (spent.tokens, spent.requests) == (30, 1)
            assert spent.money == pytest.approx((20 * 1 + 10 * 4) / 1e6)


async def test_two_running_nodes_lend_a_hub_by_their_owners_commands(tmp_path: Path) -> None:
    async with running(answer="Rayleigh.") as hub:
        answer, there = await asyncio.to_thread(_lent_by_commands, tmp_path, hub.url)
    assert (answer["answer"], answer["node"], answer["tier"]) == ("Rayleigh.", "big-box@kitchen", "home")
    assert [(one["recipient"]["name"], one["act"]) for one in there][:2] == [
        ("of-kitchen", "release"),
        ("big-box", "release"),
    ]


def _lent_by_commands(folder: Path, url: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what a laptop without any model or hub answers, and the kitchen's ledger."""
    with household.device(folder / "kitchen") as kitchen, household.device(folder / "laptop") as laptop:
        household.pair(kitchen, laptop, "kitchen")
        kitchen.run("hub", "add", "big-box", url, "--model", "big", "--home")
        kitchen.run("peers", "grant", "of-kitchen", "--relay")
        began = time.monotonic()
        while not (laptop.run("peers", "show", "kitchen")["link"] or {}).get("hubs"):
            assert time.monotonic() - began < 30, "the laptop was told of no hub"
        answer = laptop.run("ask", QUESTION, "--as", "generate")
        return answer, kitchen.run("ledger", "list")["entries"]
