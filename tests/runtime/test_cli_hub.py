"""`covey hub` and `covey budget` as they are typed."""

from __future__ import annotations

import asyncio
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.consent import Question, Reply, Rules, Wish, nobody
from hub.errors import NoConsent
from models.types import Label
from peers import membership
from peers.grants import own_device
from peers.policy import Place
from runtime.cli import consenting
from runtime.cli.main import main
from runtime.cli.node_state import opened
from tests.hub.fake_hub import FakeHub, running
from tests.peers.nodes import new_identity, paired_with

ADD = ("hub", "add", "far", "https://hub.example/v1", "--model", "big")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub in a thread of its own, for commands that have a loop of their own."""
    ready, done, found = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with running() as one:
            found.append(one)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        done.set()
        thread.join()


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(arguments) == code, capsys.readouterr()
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def one_object(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found = json.loads(run(capsys, *arguments, "--json"))
    assert isinstance(found, dict)
    return found


def test_a_hub_is_added_listed_and_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No hub was added" in run(capsys, "hub", "list")
    added = run(capsys, *ADD)
    assert "public things may go as they are" in added and "costs is not known" in added
    (listed,) = one_object(capsys, "hub", "list")["hubs"]
    assert (listed["place"], listed["ceiling"], listed["price_per_million"], listed["key"]) == (
        "away", "public", None, "none",
    )  # fmt: skip
    assert one_object(capsys, "hub", "remove", "far") == {"removed": "far"}
    assert "There is no hub 'far'" in run(capsys, "hub", "remove", "far", code=2)


def test_a_machine_of_the_owners_may_see_personal_things_and_is_free(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    added = one_object(capsys, *ADD, "--home")
    assert (added["place"], added["ceiling"]) == ("home", "personal")
    assert added["price_per_million"] == {"in": 0.0, "out": 0.0}


def test_a_key_is_read_from_standard_input_and_shown_nowhere(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-very-secret\n"))
    assert one_object(capsys, *ADD, "--key")["key"] == "file"
    assert "sk-very-secret" not in run(capsys, "hub", "list")
    assert (home / "hubs" / "keys" / "far").read_text() == "sk-very-secret"


@pytest.mark.parametrize(
    ("typed", "says"), [("", "No key was given"), (" \n", "No key was given"), ("sk\tx", "no key")]
)
def test_what_is_no_key_is_wrong_use_and_adds_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, says: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert says in run(capsys, *ADD, "--key", code=2)
    assert one_object(capsys, "hub", "list")["hubs"] == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--price-in", "2"), "--price-in and --price-out"),
        (("--ceiling", "secret"), "never leaves this device"),
        (("--ceiling", "mine"), "is not known"),
        (("--pin", "abc"), "64 hexadecimal digits"),
    ],
)
def test_what_is_said_wrongly_has_a_cure(
    home: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], says: str
) -> None:
    assert says in run(capsys, *ADD, *more, code=2)


def test_a_test_sends_nothing_but_the_question_for_models_and_is_in_the_ledger(
    home: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "hub", "add", "far", hub.url, "--model", "big")
    assert "far answers and has big" in run(capsys, "hub", "test", "far")
    run(capsys, "hub", "add", "far", hub.url, "--model", "huge")
    assert "has no 'huge' but big, small" in run(capsys, "hub", "test", "far", code=1)
    assert hub.bodies == []
    assert [opened().ledger.bytes_of(entry) for entry in opened().ledger.entries()] == [b"/models"] * 2


def test_rules_are_said_shown_and_forgotten_with_the_hub(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *ADD)
    assert "you are asked each time" in run(capsys, "hub", "rules")
    assert "may be given personal things for answer" in run(capsys, "hub", "allow", "far", "--for", "answer")
    assert "never given personal things" in run(capsys, "hub", "never", "far", "--label", "personal")
    assert [rule["word"] for rule in one_object(capsys, "hub", "rules")["rules"]] == ["allow", "never"]
    assert "asked about each time" in run(capsys, "hub", "allow", "far", "--label", "sensitive", code=2)
    run(capsys, "hub", "remove", "far")
    assert one_object(capsys, "hub", "rules") == {"rules": []}


def test_a_rule_about_a_lent_hub_names_hub_and_device(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kitchen = new_identity(home / "kitchen")
    membership.admit(opened(), paired_with(kitchen, "Kitchen"), own_device())
    assert "far@Kitchen is never given" in run(capsys, "hub", "never", "far@kitchen")
    (rule,) = one_object(capsys, "hub", "rules")["rules"]
    assert rule["hub"] == "far@Kitchen"
    assert Rules(home).all()[0].via == kitchen.node_id
    assert "No paired device is called" in run(capsys, "hub", "allow", "far@attic", code=2)


def test_a_budget_is_shown_and_changed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "used today" in run(capsys, "budget")
    changed = one_object(capsys, "budget", "--day", "--money", "0.5", "--tokens", "none")
    assert (changed["per_day"]["money"], changed["per_day"]["tokens"]) == (0.5, None)
    assert one_object(capsys, "budget")["per_day"]["money"] == 0.5
    for wrong in (("--day",), ("--money", "1"), ("--day", "--money", "much"), ("--day", "--task", "--tokens", "1")):
        run(capsys, "budget", *wrong, code=2)


WISH = Wish(Label.PERSONAL, "answer", "far", Place.AWAY)
QUESTION = Question(
    WISH, ("Call Ada\nat noon",), ("Call [PERSON_1]\nat noon",), b'{"x": "\x1b[2J"}', 0.002, "it is hard"
)


@pytest.mark.parametrize(
    ("typed", "reply"),
    [
        ("y\n", Reply.ONCE),
        ("k\n", Reply.THIS_KIND),
        ("never\n", Reply.NEVER),
        ("\n", Reply.NO),
        ("b\ny\n", Reply.ONCE),
        ("what?\nYES\n", Reply.ONCE),
        ("?\n" * 9, Reply.NO),
    ],
)
async def test_the_owner_sees_what_changes_and_what_it_costs_and_silence_is_no(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, typed: str, reply: Reply
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert await consenting.at_terminal(QUESTION) is reply
    shown = capsys.readouterr().err
    assert "- Call Ada" in shown and "+ Call [PERSON_1]" in shown and "at noon" not in shown.replace("\\n", "")
    assert "leaves the home" in shown and "0.0020" in shown and "it is hard" in shown
    assert "\x1b" not in shown


async def test_ctrl_c_and_the_deadline_leave_the_next_line_to_who_reads_next(monkeypatch: pytest.MonkeyPatch) -> None:
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        asked = asyncio.create_task(consenting.at_terminal(QUESTION))
        await asyncio.sleep(0.05)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        with pytest.raises(NoConsent, match="Nobody answered"):
            await consenting.at_terminal(QUESTION, within_s=0.05)
        os.write(keyboard, b"y\n")
        async with asyncio.timeout(5):
            assert await consenting.at_terminal(QUESTION) is Reply.ONCE
    os.close(keyboard)


async def test_where_nobody_can_be_asked_nothing_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert consenting.asker() is None
    with pytest.raises(NoConsent, match="covey hub allow far"):
        await nobody(QUESTION)
    with pytest.raises(NoConsent, match="Nobody answered"):
        await consenting.at_terminal(QUESTION)


def test_a_dry_run_without_the_model_that_finds_names_says_so(
    home: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "hub", "add", "far", hub.url, "--model", "big", "--price-in", "1", "--price-out", "4")
    (seen,) = one_object(capsys, "ask", "Thank Ada.", "--as", "generate", "--dry-run", "--tier", "hub")["hubs"]
    assert seen["would_send"] is False and "Names can't be looked for" in seen["why"]


@pytest.mark.real
def test_a_dry_run_shows_the_exact_bytes_and_sends_nothing(
    home: Path, hub: FakeHub, capsys: pytest.CaptureFixture[str], models_home: Path
) -> None:
    (home / "models").symlink_to(models_home / "models")
    run(capsys, "hub", "add", "far", hub.url, "--model", "big", "--price-in", "1", "--price-out", "4")
    asked = ("ask", "Write to ada@example.org and thank her.", "--as", "generate", "--dry-run")
    assert one_object(capsys, *asked)["hubs"] == []  # an away hub is beyond the default tier
    (seen,) = one_object(capsys, *asked, "--tier", "hub")["hubs"]
    assert (seen["hub"], seen["would_send"], seen["why"]) == ("far", True, "you are asked first")
    assert "[EMAIL_1]" in seen["body"] and "ada@" not in seen["body"] and seen["bytes"] == len(seen["body"].encode())
    shown = run(capsys, *asked, "--tier", "hub")
    assert "- Write to ada@example.org and thank her." in shown and "The exact bytes:" in shown
    refused = run(capsys, "ask", "My key is ghp_f83kD0s9LmQ2xWv7Rt5YbN1cJh6Pz4aUeK3i", *asked[2:], "--tier", "hub")
    assert "would be sent nothing" in refused
    assert (hub.bodies, opened().ledger.entries()) == ([], [])


def test_tokens_are_shown_once_listed_and_ended(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No device has a token" in run(capsys, "hub", "tokens")
    made = one_object(capsys, "hub", "token", "kitchen", "--per-day", "500")["token"]
    assert made.startswith("covey-") and len(made) > 40
    (listed,) = one_object(capsys, "hub", "tokens")["devices"]
    assert (listed["name"], listed["left_today"]) == ("kitchen", 500)
    assert made not in run(capsys, "hub", "tokens")
    run(capsys, "hub", "revoke", "kitchen")
    assert "No device 'kitchen'" in run(capsys, "hub", "revoke", "kitchen", code=2)
