"""A hub behind the specialists' interface: what goes, what comes back, and what it is said to have cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hub.briefs import Repair
from hub.errors import HubNonsense
from models.types import Chunk, Json, Label, Request, Tier, last
from peers.policy import Place
from tests.hub.fake_hub import Fault, running
from tests.hub.household import MAIL, household, request
from tests.peers.scripts import until
from tests.socket_guard import SocketGuard


async def test_an_answer_comes_back_with_what_was_hidden_put_in_again(tmp_path: Path) -> None:
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        result = await home.ask(MAIL)
        assert result.text == MAIL
        assert "ada.lovelace" not in hub.said and "[EMAIL_1]" in hub.said
        assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (20, 10)
        assert (result.model, result.specialist, result.calibrated) == ("big", "generate@far", False)


async def test_a_hub_gets_the_question_and_nothing_of_the_conversation_or_of_names_of_files(tmp_path: Path) -> None:
    given = {
        "prompt": "Summarize it.",
        "history": [{"role": "user", "content": "I feel ill lately"}],
        "documents": [{"name": "divorce-papers.txt", "text": "The meeting is at noon."}],
    }
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        await last(home.specialist().run(replace(request(""), input=given)))
        assert "The meeting is at noon." in hub.said
        assert "ill lately" not in hub.said and "divorce" not in hub.said
        (sent,) = hub.headers
        assert "User-Agent" not in sent and "Cookie" not in sent


async def test_each_byte_that_reached_the_hub_is_in_the_ledger(tmp_path: Path) -> None:
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        await home.ask(MAIL)
        released, lowered = home.state.ledger.entries()
        assert [home.state.ledger.bytes_of(released)] == hub.bodies
        assert (released.label, released.place, released.recipient_name) == (Label.PUBLIC, Place.AWAY, "far")
        assert (lowered.act, lowered.reason) == ("lowered", "redacted: 1 piece hidden, and you agreed")
        assert home.state.ledger.verify().ok


async def test_a_second_try_is_a_second_entry(tmp_path: Path) -> None:
    async with running(Fault.FAILS_ONCE) as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        assert (await home.ask("What is love?")).text == "What is love?"
        releases = [entry for entry in home.state.ledger.entries() if entry.act == "release"]
        assert len(hub.bodies) == len(releases) == 2
        assert len(home.questions) == 1  # the owner agreed to these bytes for this request
        assert home.budget.account().today.requests == 2


async def test_nothing_goes_to_a_hub_without_a_live_release(tmp_path: Path, socket_guard: SocketGuard) -> None:
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        with socket_guard.elsewhere(("127.0.0.1", hub.port)):
            await home.ask("What is love?")
        assert socket_guard.take() == []


async def test_a_caller_that_leaves_hangs_up_on_the_hub(tmp_path: Path) -> None:
    async with running(Fault.SLOW_MIDDLE) as hub, household(tmp_path, silence_s=20) as home:
        home.add(hub.as_hub())
        stream = home.specialist().run(request("one two three four"))
        assert isinstance(await anext(stream), Chunk)
        await stream.aclose()
        await until(lambda: hub.left == 1)


async def test_the_question_shows_the_exact_bytes_and_what_changed(tmp_path: Path) -> None:
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        await home.ask(MAIL)
        (question,) = home.questions
        assert question.body == hub.bodies[0]
        assert question.before == (MAIL,)
        assert question.after == ("Write to [EMAIL_1] and thank her.",)
        assert question.reason == "it is hard" and question.cost > 0


async def test_fake_placeholders_in_a_document_come_back_as_they_were(tmp_path: Path) -> None:
    text = "The form says [PERSON_1] and [EMAIL_2]; write to bob@example.org."
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        assert (await home.ask(text)).text == text
        assert "bob@example" not in hub.said


async def test_an_own_machine_gets_what_it_may_see_as_it_is_and_nobody_is_asked(tmp_path: Path) -> None:
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub("big-box", place="home", ceiling=Label.PERSONAL))
        assert (await home.ask(MAIL, hub="big-box")).text == MAIL
        assert "ada.lovelace" in hub.said and home.questions == []
        (entry,) = home.state.ledger.entries()
        assert (entry.label, entry.place) == (Label.PERSONAL, Place.HOME)


async def test_the_budget_counts_what_was_really_used(tmp_path: Path) -> None:
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        await home.ask("What is love?")
        spent = home.budget.account().today
        assert (spent.tokens, spent.bytes, spent.requests) == (30, len(hub.bodies[0]), 1)
        assert spent.money == pytest.approx((20 * 1 + 10 * 4) / 1e6)


async def test_a_hub_that_does_not_say_what_it_took_costs_the_most_that_it_could(tmp_path: Path) -> None:
    async with running(Fault.NO_USAGE) as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        await home.ask("What is love?")
        assert home.budget.account().today.tokens > len(hub.bodies[0])


async def test_the_key_goes_to_the_hub_and_nowhere_else(tmp_path: Path) -> None:
    key = "sk-test-0123456789abcdef"
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub(), key)
        await home.ask("What is love?")
        assert hub.headers[0]["Authorization"] == f"Bearer {key}"
        holders = [path for path in home.home.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]
        assert [path.name for path in holders] == ["far"]
        assert holders[0].stat().st_mode & 0o077 == 0
        assert key not in repr(home.hubs.key(home.hubs.get("far")))


async def test_a_rejected_answer_is_put_right_by_the_hub_with_the_draft_redacted_too(tmp_path: Path) -> None:
    async with running(answer="Thank [EMAIL_1].") as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        repair = Repair("Thank eve@example.org.", "check names failed: there is no eve in the text")
        result = await last(home.specialist(repair=repair).run(request("Thank whoever wrote.")))
        assert result.text == "Thank eve@example.org."
        assert "eve@example" not in hub.said and "check names failed" in hub.said


@pytest.mark.parametrize(("said", "quotes"), [("It opens at nine, I think.", ["nine"]), ("I would not know.", [])])
async def test_an_answer_about_documents_quotes_them(tmp_path: Path, said: str, quotes: list[str]) -> None:
    """Else the check that an answer has its source would turn down whatever a hub says about a text."""
    text = "The office opens by nine."
    async with running(answer=said) as hub, household(tmp_path) as home:
        home.add(hub.as_hub("big-box", place="home", ceiling=Label.PERSONAL))
        given: dict[str, Json] = {"question": "When does it open?", "documents": [{"name": "note", "text": text}]}
        found = await last(home.specialist("big-box", "answer").run(Request("answer", given, ceiling=Tier.HUB)))
        assert [one.quote for one in found.evidence] == quotes == [text[e.start : e.end] for e in found.evidence]


@pytest.mark.parametrize(
    ("capability", "given", "answer", "output"),
    [
        ("classify", {"text": "great!", "labels": ["good", "bad"]}, "Good.", "good"),
        ("extract", {"text": "noon", "fields": ["when"]}, '```json\n{"when": "noon"}\n```', {"when": "noon"}),
        ("code", {"prompt": "a loop"}, "```python\nfor x in y: pass\n```", "for x in y: pass"),
        (
            "call",
            {"prompt": "light on", "functions": [{"name": "light", "parameters": {}}]},
            '{"function": "light", "arguments": {}}',
            {"function": "light", "arguments": {}},
        ),
    ],
)
async def test_an_answer_has_the_form_that_was_asked_for(
    tmp_path: Path, capability: str, given: dict[str, object], answer: str, output: object
) -> None:
    async with running(answer=answer) as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        wanted = Request(capability, given, ceiling=Tier.HUB)  # type: ignore[arg-type]
        assert (await last(home.specialist(capability=capability).run(wanted))).output == output
        hub.answer = "Sorry, I can't do that."
        if capability != "code":
            with pytest.raises(HubNonsense):
                await last(home.specialist(capability=capability).run(wanted))
