"""A marked step goes up, to a hub at home, then to one away; what was here stands when none of them helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hub.book import Hub
from hub.briefs import Brief
from hub.budget import Budget
from hub.consent import Question, Reply, Rule, Rules
from hub.door import Door
from hub.errors import KeptHere
from hub.hubs import Hubs
from hub.names import FoundNames
from models.backends.scripted import ScriptedPool
from models.errors import ModelsError, NotInstalled
from models.pool import ModelPool
from models.store import Store
from models.types import Label, Refusal, RefusalCode, Result, Specialist, Tier
from runtime.asking import Ask, Restarted
from runtime.config import Settings
from runtime.name_seeking import NameSeeking
from runtime.own_hubs import OwnHubs
from runtime.own_state import own_state
from runtime.paths import models_dir
from runtime.seats import Seat, Skill
from runtime.trace.show import lines
from runtime.trace.spans import STEP
from tests.hub.fake_hub import FakeHub, Fault, running
from tests.hub.household import household
from tests.peers.scripts import until
from tests.runtime.scripted import Bench, Scripted, bench, pieces, spec, written

UNSURE = Result(
    refusal=Refusal(RefusalCode.NOT_SURE, "The model began to repeat itself."), specialist="generate", model="small"
)
QUESTION = Ask("Why is the sky blue?", capability="generate", ceiling=Tier.HUB)


@dataclass
class House:
    """A node with hubs, whose owner always says the same."""

    home: Path
    reply: Reply = Reply.ONCE
    questions: list[Question] = field(default_factory=list)

    async def owner(self, question: Question) -> Reply:
        self.questions.append(question)
        return self.reply

    def add(self, hub: Hub) -> None:
        Hubs(self.home).add(hub, None)

    @property
    def sent(self) -> list[str]:
        """To whom something was released, oldest first."""
        entries = own_state(self.home, Settings()).ledger.entries()
        return [entry.recipient_name for entry in reversed(entries) if entry.act == "release"]


async def no_names(texts: Sequence[str]) -> FoundNames:
    return FoundNames({text: () for text in texts})


@asynccontextmanager
async def house(
    folder: Path, *moves: object, hardness: float | None = None
) -> AsyncIterator[tuple[House, Bench, Scripted]]:
    """A node whose own specialist does these moves."""
    home = House(folder / "home")
    home.home.mkdir()
    own = Scripted(spec("generate"), moves)  # type: ignore[arg-type]
    far = OwnHubs(home.home, Settings(), lambda: home.owner, seek=no_names)
    try:
        async with bench(folder, own, far=far, hardness=hardness) as node:
            yield home, node, own
    finally:
        await far.close()


async def test_what_is_not_sure_here_is_answered_at_a_hub_after_the_owner_agreed(tmp_path: Path) -> None:
    async with running(answer="Rayleigh scattering.") as hub, house(tmp_path, UNSURE) as (home, node, _):
        home.add(hub.as_hub())
        answer = await node.answer(QUESTION)
        assert (answer.result.text, answer.tier, answer.node) == ("Rayleigh scattering.", Tier.HUB, "far")
        assert answer.bytes_out == len(hub.bodies[0])
        assert len(home.questions) == 1 and "repeat itself" in home.questions[0].reason
        assert any("far was asked" in note for note in answer.notes)
        assert home.sent == ["far"]


class Attic:
    """A paired device that has a better model for it."""

    def __init__(self, specialist: Scripted, seat: Seat) -> None:
        self.given = specialist
        self.seat = seat

    async def seats(self, known: object, *, call: bool) -> Sequence[Seat]:
        return (self.seat,)

    def specialist(self, node: str, capability: str, reason: str) -> Specialist:
        assert node == self.seat.id and "not sure here" in reason
        return self.given

    def failed(self, node: str, error: ModelsError) -> None:
        return

    async def close(self) -> None:
        return


@pytest.mark.parametrize(
    ("model", "node"),
    [("better", "attic"), ("scripted", "far"), ("unknown", "far")],
    ids=["better", "the same", "unknown"],
)
async def test_a_paired_device_with_a_better_model_is_tried_before_a_hub(tmp_path: Path, model: str, node: str) -> None:
    own = Scripted(spec("generate", models=("better", "scripted")), [replace(UNSURE, model="scripted")])
    there = Scripted(spec("generate"), [written("From the attic.", model="better")])
    busy = Seat("attic", Tier.HOME, (Skill("generate", model, load_s=900.0),), id="A" * 52, label=Label.PERSONAL)
    house_of = House(tmp_path / "home")
    house_of.home.mkdir()
    async with running(answer="From far.") as hub:
        house_of.add(hub.as_hub())
        far = OwnHubs(house_of.home, Settings(), lambda: house_of.owner, seek=no_names)
        async with bench(tmp_path, own, others=Attic(there, busy), far=far) as on_bench:
            answer = await on_bench.answer(QUESTION)
        await far.close()
    assert answer.node == node
    assert (house_of.questions == []) is (node == "attic")


async def test_a_floor_for_models_here_does_not_turn_a_hub_down(tmp_path: Path) -> None:
    async with (
        running(answer="Scattering.") as hub,
        house(tmp_path, written("Blue.", confidence=0.3)) as (home, node, _),
    ):
        home.add(hub.as_hub())
        node.preparer._floors = {"generate": 0.95}
        answer = await node.answer(QUESTION)
        assert (answer.result.text, answer.tier) == ("Scattering.", Tier.HUB)


async def test_each_try_and_its_reason_are_in_the_trace(tmp_path: Path) -> None:
    async with (
        running(Fault.FAILS) as big,
        running(answer="Scattering.") as hub,
        house(tmp_path, UNSURE) as (home, node, _),
    ):
        home.add(hub.as_hub())
        home.add(big.as_hub("big-box", place="home", ceiling=Label.PERSONAL))
        home.add(replace(hub.as_hub("dear"), prices={}))
        await node.answer(QUESTION)
        here, *tries = [span for span in node.spans() if span.name == STEP]
        assert here.attributes["covey.marked"] is True
        assert here.attributes["covey.mark"] == "not sure here: The model began to repeat itself."
        assert here.attributes["covey.ladder"] == ["big-box", "far"]
        assert "dear: what 'big' costs is not known" in str(here.attributes["covey.left_out"])
        assert [span.attributes["covey.node"] for span in tries] == ["big-box", "far"]
        assert [span.attributes["covey.tier"] for span in tries] == ["home", "hub"]
        assert "a hub at home is next" in str(tries[0].attributes["covey.placement"])


@pytest.mark.parametrize("ceiling", [Tier.DEVICE, Tier.HOME])
async def test_a_hub_away_is_not_asked_below_its_tier(tmp_path: Path, ceiling: Tier) -> None:
    async with running() as hub, house(tmp_path, UNSURE) as (home, node, _):
        home.add(hub.as_hub())
        answer = await node.answer(replace(QUESTION, ceiling=ceiling))
        assert answer.result.abstained
        assert (hub.bodies, home.questions, home.sent) == ([], [], [])


async def test_what_is_sure_here_stays_here(tmp_path: Path) -> None:
    async with running() as hub, house(tmp_path, *pieces("It scatters."), written("It scatters.")) as (home, node, _):
        home.add(hub.as_hub())
        answer = await node.answer(QUESTION)
        assert (answer.result.text, answer.tier, answer.bytes_out) == ("It scatters.", Tier.DEVICE, 0)
        assert hub.bodies == []


async def test_what_looks_hard_goes_up_although_it_was_accepted_here(tmp_path: Path) -> None:
    moves = [*pieces("It scatters."), written("It scatters.")]
    async with running(answer="Rayleigh.") as hub, house(tmp_path, *moves, hardness=0.9) as (home, node, _):
        home.add(hub.as_hub())
        items = await node.items(QUESTION)
        assert any(isinstance(item, Restarted) and "looks hard (0.90" in item.reason for item in items)
        assert items[-1].result.text == "Rayleigh."  # type: ignore[union-attr]


async def test_a_no_leaves_the_answer_from_here(tmp_path: Path) -> None:
    moves = [*pieces("It scatters."), written("It scatters.")]
    async with running() as hub, house(tmp_path, *moves, hardness=0.9) as (home, node, _):
        home.add(hub.as_hub())
        home.reply = Reply.NO
        answer = await node.answer(QUESTION)
        assert (answer.result.text, answer.node, answer.bytes_out) == ("It scatters.", "here", 0)
        assert any("You said no" in note for note in answer.notes)
        assert (hub.bodies, home.sent) == ([], [])


FAULTS = [fault for fault in Fault if fault not in (
    Fault.NONE, Fault.BUSY_ONCE, Fault.FAILS_ONCE, Fault.NO_USAGE, Fault.WHOLE, Fault.SLOW, Fault.SLOW_MIDDLE,
)]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("sure", [True, False])
async def test_a_hub_that_misbehaves_leaves_the_answer_from_here_and_says_why(
    tmp_path: Path, fault: Fault, sure: bool
) -> None:
    moves = [*pieces("It scatters."), written("It scatters.")] if sure else [UNSURE]
    async with running(fault) as hub, house(tmp_path, *moves, hardness=0.9) as (home, node, _), asyncio.timeout(30):
        home.add(hub.as_hub())
        answer = await node.answer(QUESTION)
        assert answer.result.abstained is not sure
        assert answer.result.text == ("It scatters." if sure else "")
        assert answer.notes and answer.bytes_out == sum(map(len, hub.bodies))


async def test_an_exhausted_budget_leaves_the_answer_from_here(tmp_path: Path) -> None:
    async with running() as hub, house(tmp_path, UNSURE) as (home, node, _):
        home.add(hub.as_hub())
        Budget(home.home).limit(per_day={"requests": 0}, per_task={})
        answer = await node.answer(QUESTION)
        assert answer.result.abstained and any("covey budget" in note for note in answer.notes)
        assert (hub.bodies, home.questions) == ([], [])


async def test_a_device_without_a_model_is_helped_by_a_hub_and_says_what_is_missing_without_one(tmp_path: Path) -> None:
    missing = NotInstalled("Model 'small' is not on this device; run `covey models pull small`.")
    async with running(answer="Scattering.") as hub, house(tmp_path, missing) as (home, node, _):
        with pytest.raises(NotInstalled):
            await node.answer(QUESTION)
        home.add(hub.as_hub())
        assert (await node.answer(QUESTION)).result.text == "Scattering."
        home.reply = Reply.NEVER
        with pytest.raises(NotInstalled):
            await node.answer(QUESTION)


async def test_never_is_shown_as_the_reason_and_nobody_is_asked(tmp_path: Path) -> None:
    async with running() as hub, house(tmp_path, UNSURE) as (home, node, _):
        home.add(hub.as_hub())
        Rules(home.home).add(Rule("never", Label.PUBLIC, "", "far"))
        assert (await node.answer(QUESTION)).result.abstained
        (here,) = [span for span in node.spans() if span.name == STEP]
        assert "far: you said never for this kind" in str(here.attributes["covey.left_out"])
        assert (hub.bodies, home.questions) == ([], [])


@pytest.mark.parametrize("code", [RefusalCode.NOT_FOUND, RefusalCode.INVALID_INPUT])
async def test_what_nobody_can_know_is_not_sent(tmp_path: Path, code: RefusalCode) -> None:
    refused = Result(refusal=Refusal(code, "The text does not say."), specialist="generate", model="small")
    async with running() as hub, house(tmp_path, refused) as (home, node, _):
        home.add(hub.as_hub())
        assert (await node.answer(QUESTION)).result.refusal == refused.refusal
        assert hub.bodies == []


async def test_a_secret_request_goes_nowhere(tmp_path: Path) -> None:
    async with running() as hub, house(tmp_path, UNSURE) as (home, node, _):
        home.add(hub.as_hub(place="home", ceiling=Label.SENSITIVE))
        assert (await node.answer(replace(QUESTION, label=Label.SECRET))).result.abstained
        assert (hub.bodies, home.sent) == ([], [])


async def test_a_caller_that_leaves_while_the_hub_speaks_stops_it(tmp_path: Path) -> None:
    async with running(Fault.SLOW_MIDDLE) as hub, house(tmp_path, UNSURE) as (home, node, _):
        home.add(hub.as_hub(place="home", ceiling=Label.PERSONAL))
        stream = node.orchestrator.stream(QUESTION)
        async for item in stream:
            if not isinstance(item, Restarted):
                break
        await stream.aclose()
        await until(lambda: hub.left == 1)


async def test_a_damaged_list_of_hubs_does_not_cost_the_answer_from_here(tmp_path: Path) -> None:
    async with house(tmp_path, UNSURE) as (home, node, _):
        home.add(FakeHub(port=9).as_hub())
        (home.home / "hubs" / "hubs.json").write_text("{")
        assert (await node.answer(QUESTION)).result.abstained


async def test_the_trace_for_people_tells_the_way_up(tmp_path: Path) -> None:
    async with running(answer="Scattering.") as hub, house(tmp_path, UNSURE) as (home, node, _):
        home.add(hub.as_hub())
        await node.answer(QUESTION)
        task = node.journal.tasks(1)[0]
        shown = "\n".join(lines(task, node.spans(), node.journal.events(task), request=None, answer=None))
        assert "marked for deeper reasoning: not sure here" in shown and "tried next: far" in shown
        assert "far (hub)" in shown


async def test_where_names_can_not_be_looked_for_nothing_goes(tmp_path: Path) -> None:
    async with running() as hub, house(tmp_path, UNSURE) as (home, _, _):
        home.add(hub.as_hub())
        seek = NameSeeking(ScriptedPool({}))
        door = Door(own_state(home.home, Settings()).ledger, Rules(home.home), Budget(home.home), seek=seek)
        with pytest.raises(KeptHere, match="covey models pull bge-small-en"):
            await door.prepared(
                hub.as_hub(), Brief("generate", "Who is Ada?"), label=Label.PERSONAL, capability="generate"
            )


@pytest.mark.real
async def test_names_are_hidden_before_anything_leaves(tmp_path: Path, models_home: Path) -> None:
    store = Store(models_dir(models_home))
    pool = ModelPool(store, budget_bytes=2 * 10**9, threads=1)
    try:
        async with running() as hub, household(tmp_path) as home:
            door = Door(home.state.ledger, home.rules, home.budget, seek=NameSeeking(pool))
            brief = Brief("generate", "Write to Anna Schmidt in Dresden that the meeting is on Monday.")
            letter = await door.prepared(hub.as_hub(), brief, label=Label.PERSONAL, capability="generate")
            assert b"Anna" not in letter.body and b"Dresden" not in letter.body
            assert letter.vault.restore(letter.brief.question) == brief.question
    finally:
        await pool.close()
