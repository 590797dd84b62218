"""Suites that ask this device and its hub: what is kept, how it is judged, and that a stopped run goes on."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hub.budget import Budget
from hub.errors import HubBusy, HubFailed, HubNonsense
from hub.hubs import Hubs
from models.backends.scripted import ScriptedPool, ScriptedText
from models.types import Chunk, Json, Label, Refusal, RefusalCode, Request, Result
from runtime.evals import page
from runtime.evals.both import MOST_WAITS, AskedThere, ask_of, asked_there, both
from runtime.evals.errors import SuiteSkipped
from runtime.evals.evaluate import Wanted, evaluate
from runtime.evals.live import LiveSubject
from runtime.evals.prepare import Place
from runtime.evals.report import Report
from runtime.evals.subject import ScriptedSubject, Subject
from runtime.evals.suite import Source, Suite
from runtime.marking import Height, Rung
from runtime.node import open_node
from runtime.own_state import own_state
from runtime.stronger import Nowhere
from tests.hub.fake_hub import running

SMALL = "smollm2-135m"
SUITE = Suite(
    "hub_share_live_tiny",
    "Echoes.",
    "generate",
    (Source("tiny", "{label}", {"prompt": "{text}"}),),
    ("apgr", "unsure_apgr", "all_local", "all_hub", "gap", "marked_share", "marked_quality", "marked_over_random"),
    "CC0-1.0",
    kind="live",
    half="all",
    options={"quality": "accuracy"},
)
ROWS = 40


def place(tmp_path: Path) -> Place:
    """Rows of which every other one is too hard for this device; the hub knows them all."""
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True)
    rows = [{"id": str(n), "text": "hard" if n % 2 else "easy", "label": f"{n}"} for n in range(ROWS)]
    for row in rows:
        row["text"] += f" {row['label']}"
    (folder / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Place(tmp_path / "data", tmp_path / "home" / "evals")


def tries(request: Request) -> Result:
    kind, word = str(request.input["prompt"]).split()
    if kind == "easy":
        return Result(output=word, confidence=0.95, model=SMALL)
    return Result(refusal=Refusal(RefusalCode.NOT_SURE, "Say more."), confidence=0.4, model=SMALL)


def knows(request: Request) -> Result:
    return Result(output=str(request.input["prompt"]).split()[1], model="big")


async def looks(text: str) -> float | None:
    return 0.7


def live(hub: ScriptedSubject, here: ScriptedSubject | None = None) -> LiveSubject:
    return LiveSubject(here or ScriptedSubject(tries), hub, looks)


async def measured(at: Place, subject: Subject, suite: Suite = SUITE) -> Report:
    @asynccontextmanager
    async def given(capability: str) -> AsyncIterator[Subject]:
        assert capability == "generate"
        yield subject

    return await evaluate(suite, subject, at, Wanted(), router=subject, both=given)


def values(report: Report) -> dict[str, float | None]:
    return {name: figure.value for name, figure in report.metrics.items()}


async def test_marking_that_knows_what_it_does_not_know_recovers_the_gap(tmp_path: Path) -> None:
    report = await measured(place(tmp_path), live(ScriptedSubject(knows)))
    expected = (0.75, 0.75, 0.5, 1.0, 0.5, 0.5, 1.0, 0.25)
    assert values(report) == pytest.approx(dict(zip(SUITE.metrics, expected, strict=True)))
    assert report.marked == (0.5, 1.0) and report.curve[10].marking == pytest.approx(1.0)
    assert set(report.models) == {SMALL, "big at the hub"}
    assert "Handing over what Covey marks is better than as many at random." in report.note


async def test_the_page_says_where_marking_is_no_better_than_random(tmp_path: Path) -> None:
    """The hub is right where this device is not sure, and wrong as often elsewhere: nothing in it for marking."""

    def by_turns(request: Request) -> Result:
        word = str(request.input["prompt"]).split()[1]
        return Result(output=word if int(word) % 4 else "?", model="big")

    def guesses(request: Request) -> Result:
        word = str(request.input["prompt"]).split()[1]
        return Result(output="?", confidence=int(word) * 7 % ROWS / ROWS, model=SMALL)

    at = place(tmp_path)
    report = await measured(at, live(ScriptedSubject(by_turns), ScriptedSubject(guesses)))
    written = tmp_path / "page.md"
    page.write(written, report, command="covey eval", machine="m")
    text = written.read_text()
    assert "The hub is better than this device." in text
    assert "Marking is not shown to be better than handing over at random" in text
    svg = (tmp_path / "hub_share_live_tiny.svg").read_text()
    xml.fromstring(svg)
    assert "as Covey marks now" in svg


async def test_a_stopped_run_goes_on_and_a_row_that_failed_is_asked_again(tmp_path: Path) -> None:
    failing = {"easy 0", "hard 1", "hard 3"}

    def sometimes(request: Request) -> Result:
        if request.input["prompt"] in failing:
            raise HubFailed("big-box failed. Ask again later.")
        return knows(request)

    at, hub = place(tmp_path), ScriptedSubject(sometimes)
    first = await measured(at, live(hub))
    assert (first.errors, first.metrics["apgr"].rows) == ({"hub_failed": 3}, ROWS - 3)
    failing.clear()
    hub.asked.clear()
    second = await measured(at, live(hub))
    assert (second.cached, second.metrics["apgr"].rows, len(hub.asked)) == (ROWS - 3, ROWS, 3)


async def test_another_bound_needs_no_second_asking(tmp_path: Path) -> None:
    """What is kept is what was said; how it is judged and marked is worked out anew each time."""
    at, hub = place(tmp_path), ScriptedSubject(knows)
    await measured(at, live(hub))
    other = replace(SUITE, options={"quality": "squad_em"})
    again = await measured(at, live(hub), other)
    assert (again.cached, len(hub.asked)) == (ROWS, ROWS)


class Saying(Nowhere):
    """Hubs that say one thing after the other: a Result, or an error."""

    def __init__(self, *said: Result | Exception) -> None:
        self._said = list(said)
        self.name, self.capability = "generate@big-box", "generate"

    def specialist(self, rung: Rung, capability: str, **_: object) -> Saying:
        return self

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        said = self._said.pop(0)
        if isinstance(said, Exception):
            raise said
        yield said


REQUEST = Request("generate", {"prompt": "hard 1"})


async def asked(*said: Result | Exception) -> tuple[Result, list[float]]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    rung = Rung(Height.HOME_HUB, "big-box", "hub:big-box")
    return await AskedThere(Saying(*said), rung, "big", sleep).run(REQUEST), waits


async def test_a_busy_hub_is_waited_for() -> None:
    found, waits = await asked(HubBusy("full"), HubBusy("full", 7.0), Result(output="1"))
    assert (found.output, waits) == ("1", [2.0, 7.0])
    with pytest.raises(HubBusy, match="had no room"):
        await asked(*[HubBusy("full")] * MOST_WAITS)


async def test_an_answer_of_another_form_is_no_answer() -> None:
    found, _ = await asked(HubNonsense("The hub chose a label that was not offered."))
    assert found.refusal is not None and "not offered" in found.refusal.reason


async def test_a_hub_on_the_wire_is_asked_over_its_door_and_the_owner_s_journal_sees_nothing(tmp_path: Path) -> None:
    pool = ScriptedPool({SMALL: ScriptedText(lambda call: "said here", name=SMALL)})
    home = tmp_path / "home"
    async with running(answer="said there") as hub, open_node(home, pool=pool) as node:
        Hubs(home).add(hub.as_hub("big-box", place="home", ceiling=Label.PERSONAL), None)
        async with both(node, ScriptedSubject(tries), "generate") as subject:
            found = await subject.run(REQUEST)
            assert subject.fingerprint("generate") == subject.fingerprint("generate")
        assert isinstance(found.output, dict)
        kept = {who: found.output[who] for who in ("here", "hub")}
        assert [part["output"] for part in kept.values() if isinstance(part, dict)] == ["said here", "said there"]
        assert len(hub.bodies) == 1 and "hard 1" in hub.said
        with node.journal.database.reading() as db:
            assert db.execute("SELECT count(*) FROM event").fetchone()[0] == 0
        (entry,) = own_state(home, node.settings).ledger.entries()
        assert entry.reason == "measuring what the hub adds"
        assert Budget(home).account().today.requests == 1


@pytest.mark.parametrize("place_of", ["none", "away"])
async def test_without_a_hub_that_may_be_asked_the_suite_is_skipped(tmp_path: Path, place_of: str) -> None:
    home = tmp_path / "home"
    async with open_node(home, pool=ScriptedPool({})) as node:
        if place_of == "away":
            async with running() as hub:
                Hubs(home).add(hub.as_hub(), None)
        with pytest.raises(SuiteSkipped, match="covey hub add"):
            await asked_there(node, "generate")


def test_documents_and_schema_are_asked_as_a_caller_would() -> None:
    schema: Json = {"type": "object"}
    documents: Json = [{"name": "a", "text": "The sky is blue."}]
    ask = ask_of(Request("answer", {"question": "Which colour?", "documents": documents, "schema": schema}))
    assert (ask.text, ask.sources[0].text, ask.schema) == ("Which colour?", "The sky is blue.", schema)
