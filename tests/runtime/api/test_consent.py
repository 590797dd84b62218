"""The owner is asked through a running node: who reads the answer is who is asked, and everything unclear is no."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from hub.consent import Asker, Question, Reply
from hub.errors import NoConsent
from hub.hubs import Hubs
from hub.names import FoundNames
from models.backends.scripted import ScriptedText
from models.types import Label, Tier
from peers.policy import Place
from runtime.api.consent import Questions
from runtime.api.gate import Gate
from runtime.asker import asked_by, asker_here
from runtime.asking import Answer, Ask
from runtime.cli.chat import Conversation
from runtime.cli.starter import Starter
from runtime.config import Settings
from runtime.consent_wire import question_from_json, question_to_json, replied, reply_from_json
from runtime.errors import UsageError
from runtime.node import Node
from runtime.own_hubs import OwnHubs
from runtime.own_state import own_state
from runtime.running import RunningNode
from tests.hub.fake_hub import FakeHub, running
from tests.runtime.api.serving import Door, door
from tests.runtime.test_cli_hub import QUESTION

ASK = Ask("Why is the sky blue?", capability="generate", ceiling=Tier.HUB)
REPEATS = "and so on and so on " * 60
"""A model that begins to repeat itself is not sure, and the step is marked."""


async def no_names(texts: Sequence[str]) -> FoundNames:
    return FoundNames({text: () for text in texts})


@asynccontextmanager
async def node_with(hub: FakeHub, folder: Path, gate: Gate | None = None) -> AsyncIterator[Door]:
    """A node that serves, is never sure itself, and has one hub away from home."""
    Hubs(folder).add(hub.as_hub(), None)
    async with door(folder, ScriptedText(lambda call: REPEATS), gate=gate) as at:
        at.node._far = OwnHubs(folder, Settings(), asker_here, seek=no_names)
        yield at


async def asked(home: Path, asker: Asker | None, ask: Ask = ASK) -> Answer:
    with asked_by(asker):
        return await RunningNode(home).ask(ask)


def says(reply: Reply, seen: list[Question] | None = None) -> Asker:
    async def owner(question: Question) -> Reply:
        if seen is not None:
            seen.append(question)
        return reply

    return owner


def released(node: Node) -> int:
    entries = own_state(node.home, Settings()).ledger.entries()
    return sum(entry.act == "release" for entry in entries)


async def test_the_owner_at_the_other_end_is_asked_with_the_exact_bytes(tmp_path: Path) -> None:
    seen: list[Question] = []
    async with running(answer="Rayleigh.") as hub, node_with(hub, tmp_path) as at:
        answer = await asked(tmp_path, says(Reply.ONCE, seen))
        assert (answer.result.text, answer.tier, answer.node) == ("Rayleigh.", Tier.HUB, "far")
        assert [one.body for one in seen] == hub.bodies
        assert released(at.node) == 1


async def test_a_no_sends_nothing_and_the_answer_says_so(tmp_path: Path) -> None:
    async with running() as hub, node_with(hub, tmp_path) as at:
        answer = await asked(tmp_path, says(Reply.NO))
        assert any("You said no" in note for note in answer.notes)
        assert (hub.bodies, released(at.node)) == ([], 0)


async def test_without_anybody_at_the_other_end_nobody_is_asked(tmp_path: Path) -> None:
    async with running() as hub, node_with(hub, tmp_path):
        answer = await asked(tmp_path, None)
        assert any("no terminal to ask on" in note for note in answer.notes) and hub.bodies == []


async def test_two_asks_at_once_are_each_put_to_their_own_owner(tmp_path: Path) -> None:
    here: list[Question] = []
    there: list[Question] = []
    both = asyncio.Barrier(2)

    def waits(reply: Reply, seen: list[Question]) -> Asker:
        async def owner(question: Question) -> Reply:
            seen.append(question)
            await both.wait()  # both are open at once
            return reply

        return owner

    async with running(answer="Yes.") as hub, node_with(hub, tmp_path), asyncio.timeout(20):
        sea = replace(ASK, text="Why is the sea salty?")
        one, two = await asyncio.gather(
            asked(tmp_path, waits(Reply.ONCE, here)), asked(tmp_path, waits(Reply.NO, there), sea)
        )
        assert one.result.text == "Yes." and any("You said no" in note for note in two.notes)
        assert b"sky" in here[0].body and b"sea" in there[0].body and (len(here), len(there)) == (1, 1)
        assert len(hub.bodies) == 1 and b"sky" in hub.bodies[0]


async def test_a_client_that_goes_away_while_it_is_asked_leaves_nothing_behind(tmp_path: Path) -> None:
    gate, begun = Gate(), asyncio.Event()

    async def reads_long(question: Question) -> Reply:
        begun.set()
        await asyncio.sleep(60)
        return Reply.ONCE

    async with running() as hub, node_with(hub, tmp_path, gate) as at:
        client = asyncio.create_task(asked(tmp_path, reads_long))
        await begun.wait()
        client.cancel()
        await asyncio.wait({client})
        async with asyncio.timeout(5):
            await gate.empty()
        assert (hub.bodies, released(at.node)) == ([], 0)


async def test_an_owner_who_says_nothing_in_time_has_said_no(tmp_path: Path) -> None:
    async def silent(question: Question) -> Reply:
        await asyncio.sleep(60)
        return Reply.ONCE

    assert await replied(silent, question_to_json(QUESTION), 0.05) is None
    assert await replied(None, question_to_json(QUESTION), 0.05) is None


async def test_a_client_that_never_answers_is_waited_for_no_longer_than_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.api.consent.GRACE_S", 0.05)
    questions, lines = Questions(within_s=0.05), []

    async def send(line: bytes) -> None:
        lines.append(line)

    with pytest.raises(NoConsent, match=r"Nobody answered in time, so nothing was sent to far\."):
        await questions.asker(send)(QUESTION)
    assert len(lines) == 1 and questions.waiting == 0


@pytest.mark.parametrize("said", ["perhaps", "", None, 1, ["once"], {"reply": "once"}, "ONCE "])
async def test_an_answer_that_is_none_is_no(tmp_path: Path, said: object) -> None:
    async with running() as hub, node_with(hub, tmp_path) as at:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "node.sock"))
        answer = await _by_hand(at, reader, writer, said)
        assert "Nobody answered, so nothing was sent to far." in json.dumps(answer)
        assert (hub.bodies, released(at.node)) == ([], 0)


async def _by_hand(at: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: object) -> object:
    """Ask over the bare socket, answer the question with `said`, and return the last line."""
    ask = json.dumps({"text": ASK.text, "capability": "generate", "ceiling": int(Tier.HUB)}).encode()
    head = f"POST /covey/ask HTTP/1.0\r\nHost: localhost\r\nCovey-Attended: yes\r\nContent-Length: {len(ask)}\r\n\r\n"
    writer.write(head.encode() + ask)
    line = b"{}"
    async with asyncio.timeout(20):
        while (await reader.readline()).strip():
            pass
        while found := await reader.readline():
            line = found
            event = json.loads(line)
            if event["event"] == "asked":
                connector = aiohttp.UnixConnector(str(at.node.home / "node.sock"))
                async with aiohttp.ClientSession(connector=connector) as client:
                    for body in (b"\xff{", b"[]", b"{}", json.dumps({"id": "0" * 32, "reply": "once"}).encode()):
                        await client.post("http://localhost/covey/consent", data=body)  # answers nothing
                    reply = {"id": event["asked"]["id"], "reply": said}
                    async with client.post("http://localhost/covey/consent", json=reply) as first:
                        assert (await first.json())["open"]
                    reply["reply"] = "once"
                    async with client.post("http://localhost/covey/consent", json=reply) as second:
                        assert not (await second.json())["open"]  # an answer is given once
    writer.close()
    return json.loads(line)


async def test_programs_on_loopback_can_neither_be_asked_nor_answer(tmp_path: Path) -> None:
    async with running() as hub, node_with(hub, tmp_path) as at:
        headers = {"Covey-Attended": "yes"}
        async with at.client.post("/covey/consent", json={"id": "0" * 32, "reply": "once"}) as response:
            assert response.status == 404
        body = {"model": "covey", "messages": [{"role": "user", "content": ASK.text}]}
        async with at.client.post("/v1/chat/completions", json=body, headers=headers) as response:
            assert b"asked" not in await response.read()
        assert hub.bodies == []


async def test_a_full_node_still_takes_the_answer_to_what_it_asked(tmp_path: Path) -> None:
    async with running(answer="Yes.") as hub, node_with(hub, tmp_path, Gate(1)):
        assert (await asked(tmp_path, says(Reply.ONCE))).result.text == "Yes."


async def test_two_questions_of_one_answer_come_one_after_the_other() -> None:
    questions, open_at_once = Questions(), []

    async def send(line: bytes) -> None:
        open_at_once.append(questions.waiting)
        known = json.loads(line)["asked"]["id"]
        questions._open[known].set_result(Reply.ONCE)

    ask = questions.asker(send)
    assert await asyncio.gather(ask(QUESTION), ask(QUESTION)) == [Reply.ONCE, Reply.ONCE]
    assert open_at_once == [1, 1]


def test_a_question_crosses_byte_for_byte() -> None:
    odd = replace(QUESTION, body=bytes(range(256)), before=("ä\x00\u2028", ""), after=("[X_1]", ""), cost=1e-9)
    odd = replace(odd, wish=replace(odd.wish, label=Label.SENSITIVE, place=Place.HOME))
    assert question_from_json(json.loads(json.dumps(question_to_json(odd)))) == odd


@pytest.mark.parametrize("field", ["label", "place", "before", "body", "cost"])
async def test_a_question_that_is_none_is_not_put_to_the_owner(field: str) -> None:
    seen: list[Question] = []
    for bent in ("~", None, [], {}):
        given = {**question_to_json(QUESTION), field: bent}
        assert await replied(says(Reply.ONCE, seen), given, 1.0) is None
    assert seen == []


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b"3", b"{}", b'"id"'])
def test_bytes_that_answer_no_question_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="answers no question"):
        reply_from_json(data)


@pytest.mark.parametrize(("typed", "sent"), [(b"y\n", 1), (b"\n", 0)])
async def test_a_turn_of_a_chat_asks_in_its_terminal_while_the_running_node_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: bytes, sent: int
) -> None:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path))
    keyboard, terminal = os.openpty()
    async with running(answer="Rayleigh.") as hub, node_with(hub, tmp_path), asyncio.timeout(20):
        with os.fdopen(terminal, "wb", 0) as raw, os.fdopen(os.dup(terminal)) as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            monkeypatch.setattr("sys.stderr", io.TextIOWrapper(raw, encoding="utf-8", write_through=True))
            pattern = replace(ASK, text="", conversation=True)
            talk = Conversation(RunningNode(tmp_path), Starter(tmp_path), pattern, silent=True)
            turn = asyncio.create_task(talk.turn("Why is the sky blue?"))
            seen = b""
            while b"Send it?" not in seen:
                seen += await asyncio.to_thread(os.read, keyboard, 4096)
            os.write(keyboard, typed)
            await turn
            monkeypatch.undo()
        assert b"far would be given this" in seen and len(hub.bodies) == sent
        assert (talk.spoken[0]["answer"] == "Rayleigh.") is bool(sent)  # type: ignore[index, call-overload]
    os.close(keyboard)
