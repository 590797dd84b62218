"""Work goes to the paired device that can do it or is sooner done: seen, written down, and never more than granted."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool
from models.errors import ModelsError
from models.types import Label, Tier
from peers.grants import guest_device, own_device
from peers.link_messages import Beat, SkillCard
from peers.liveness import Health
from peers.neighbourhood import Neighbour
from runtime.asking import Ask
from runtime.cli.render import byline, plan_text
from runtime.node import open_node
from runtime.trace.show import lines
from runtime.trace.store import TraceStore
from tests.runtime.devices import MODEL, STORY, device, story, writer

SLOW_S = 0.02


async def test_what_is_not_here_is_done_on_the_device_that_has_it(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        answer = await laptop.ask(story())
        assert (answer.result.text, answer.node, answer.tier) == (STORY, "kitchen", Tier.HOME)
        sent = laptop.sent()
        assert answer.bytes_out == sum(entry.size_bytes for entry in sent) > 100
        assert {entry.recipient_name for entry in sent} == {"kitchen"}
        assert {entry.recipient_name for entry in kitchen.sent()} == {"laptop"}
        assert "on kitchen (paired device)" in byline(answer)
        assert kitchen.node.journal.state(kitchen.node.journal.tasks(1)[0]).status.value == "completed"


async def test_the_trace_says_which_device_did_it_why_and_what_was_sent(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        answer = await laptop.ask(story())
        journal = laptop.node.journal
        spans = TraceStore(journal).load(answer.task_id)
        page = "\n".join(lines(answer.task_id, spans, journal.events(answer.task_id), request=None, answer=None))
        assert f"generate@kitchen (model {MODEL}) on kitchen (paired device)" in page
        assert "not this device: it has no model for generate" in page
        assert f"{answer.bytes_out} bytes were sent there" in page
        assert "nothing left this device" not in page


async def test_a_plan_says_where_it_would_run_and_sends_nothing(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        text = plan_text(*await laptop.node.preview(story()))
        assert "generate by generate on kitchen (paired device)" in text
        assert "not this device: it has no model for generate" in text
        assert "would leave this one" in text
        assert laptop.sent() == []


async def test_what_can_be_done_here_as_soon_stays_here(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop", writer()) as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        answer = await laptop.ask(story())
        assert (answer.node, answer.tier, answer.bytes_out) == ("this device", Tier.DEVICE, 0)
        assert laptop.sent() == []


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        ({"ceiling": Tier.DEVICE}, "covey models pull"),
        ({"label": Label.SENSITIVE}, "covey models pull"),
        ({"label": Label.SECRET}, "covey models pull"),
    ],
)
async def test_what_may_not_leave_does_not(tmp_path: Path, ask: dict[str, object], why: str) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        with pytest.raises(ModelsError, match=why):
            await laptop.ask(story(**ask))
        assert laptop.sent() == []
        assert kitchen.model is not None
        assert kitchen.model.calls == []


async def test_a_guests_device_is_given_nothing_personal(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "phone", writer()) as phone:
        await laptop.knows(phone, grant=guest_device(None))
        with pytest.raises(ModelsError):
            await laptop.ask(story())
        assert laptop.sent() == []
        assert (await laptop.ask(story(label=Label.PUBLIC))).node == "phone"


async def test_a_pairing_that_is_over_is_given_nothing(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "phone", writer()) as phone:
        await laptop.knows(phone, grant=replace(own_device(), expires_ns=laptop.state.peers.now_ns() - 1))
        with pytest.raises(ModelsError):
            await laptop.ask(story())
        assert laptop.sent() == []


async def test_a_damaged_list_of_devices_keeps_no_answer_of_this_device_away(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop", writer()) as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        laptop.state.peers.path.write_text('{"peers": {"half')
        answer = await laptop.ask(story())
        assert (answer.result.text, answer.node) == (STORY, "this device")
        assert laptop.sent() == []


async def test_a_broken_ledger_sends_nothing_and_says_so(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop", writer()) as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        cards = tuple(card.model_copy(update={"decode_tps": 1e6, "prefill_tps": 1e6}) for card in await kitchen.cards())
        await laptop.knows(kitchen, cards=cards)
        (laptop.state.folder / "ledger.jsonl").write_text("not a ledger\n")
        answer = await laptop.ask(story())
        assert (answer.result.text, answer.node, answer.bytes_out) == (STORY, "this device", 0)
        note = "kitchen was sent nothing, as that could not be written down, and this device did it instead."
        assert answer.notes == (note,)
        assert kitchen.model is not None
        assert kitchen.model.calls == []


async def test_sensitive_things_go_to_a_device_that_was_granted_them(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "desktop", writer()) as desktop:
        allowed = replace(own_device(), label=Label.SENSITIVE)
        await laptop.knows(desktop, grant=allowed, theirs=allowed)
        assert (await laptop.ask(story(label=Label.SENSITIVE))).node == "desktop"


async def test_a_device_that_is_not_well_is_given_nothing(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        for beat, health in (
            (Beat(draining=True), Health.UP),
            (Beat(battery=0.1, plugged=False), Health.UP),
            (Beat(), Health.SUSPECT),
        ):
            await laptop.knows(kitchen)
            laptop.around.note(Neighbour(kitchen.id, health, 0.001, beat=beat, cards=await kitchen.cards()))
            with pytest.raises(ModelsError):
                await laptop.ask(story())
        assert laptop.sent() == []


async def test_a_grant_that_is_over_there_is_no_answer_and_a_sentence(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen, theirs=replace(own_device(), capabilities=frozenset({"calculate"})))
        with pytest.raises(ModelsError, match="'generate' was not granted"):
            await laptop.ask(story())


async def test_a_capability_that_nobody_has_is_a_sentence(tmp_path: Path) -> None:
    """Whatever a device boasts: work is planned for what this node knows the shape of."""
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen, cards=(SkillCard(capability="fly", model=MODEL),))
        with pytest.raises(Exception, match="No specialist here offers 'fly'"):
            await laptop.ask(replace(story(), capability="fly"))


async def test_of_a_lying_card_the_measured_speed_wins(tmp_path: Path) -> None:
    """The kitchen says that it is a thousand times faster than it is; it is believed once."""
    steady, slow = writer(token_s=SLOW_S / 4), writer(token_s=SLOW_S)
    async with device(tmp_path, "laptop", steady) as laptop, device(tmp_path, "kitchen", slow) as kitchen:
        await laptop.ask(story())  # so that this device knows its own speed
        (honest,) = [card for card in await kitchen.cards() if card.capability == "generate"]
        await laptop.knows(kitchen, cards=(honest.model_copy(update={"decode_tps": 1e8, "prefill_tps": 1e8}),))
        first, second = await laptop.ask(story()), await laptop.ask(story())
        assert (first.node, second.node) == ("kitchen", "this device")
        measured = (await laptop.node.workload.known())[kitchen.id, MODEL]
        assert measured.decode_tps == pytest.approx(1 / SLOW_S, rel=0.5)


async def test_work_is_measured_where_it_is_done_too_and_told(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer(token_s=SLOW_S)) as kitchen:
        await laptop.knows(kitchen)
        await laptop.ask(story())
        (card,) = [card for card in await kitchen.cards() if card.capability == "generate"]
        assert card.decode_tps == pytest.approx(1 / SLOW_S, rel=0.5)
        assert kitchen.node.workload.running() == 0


async def test_two_running_nodes_that_are_linked_know_each_others_skills_and_share_work(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop", linked=True) as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        await laptop.until_linked(kitchen)
        answer = await laptop.ask(story())
        assert (answer.result.text, answer.node) == (STORY, "kitchen")
        assert answer.bytes_out == sum(entry.size_bytes for entry in laptop.sent())


async def test_a_program_without_links_calls_the_paired_devices_when_it_needs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVEY_DISCOVERY", "lo")
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        await laptop.gone()
        async with open_node(laptop.node.home, pool=ScriptedPool({})) as alone:
            began = time.monotonic()
            answer = await alone.ask(story())
            assert (answer.result.text, answer.node) == (STORY, "kitchen")
            assert time.monotonic() - began < 2.0
            assert (await alone.ask(Ask("6 * 7"))).bytes_out == 0


async def test_a_program_without_links_calls_nobody_for_what_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVEY_DISCOVERY", "lo")
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        await laptop.gone()
        async with open_node(laptop.node.home, pool=ScriptedPool({MODEL: writer()})) as alone:
            assert (await alone.ask(story())).node == "this device"
        assert laptop.sent() == []


async def test_without_discovery_nobody_is_called(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        await laptop.gone()
        async with open_node(laptop.node.home, pool=ScriptedPool({})) as alone:
            with pytest.raises(ModelsError, match="covey models pull"):
                await alone.ask(story())
        assert laptop.sent() == []


async def test_for_what_may_not_leave_nobody_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVEY_DISCOVERY", "lo")
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen)
        await laptop.gone()
        before = laptop.state.ledger.entries()
        async with open_node(laptop.node.home, pool=ScriptedPool({})) as alone:
            for ask in (story(ceiling=Tier.DEVICE), story(label=Label.SECRET)):
                with pytest.raises(ModelsError, match="covey models pull"):
                    await alone.ask(ask)
        assert laptop.state.ledger.entries() == before
