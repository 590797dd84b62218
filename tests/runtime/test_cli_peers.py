"""`covey peers` as it is typed: an owner sees who is paired, changes what each may do, and ends it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.types import Json, Label
from peers import membership, tombstones
from peers.audit import Act, Happening
from peers.book import Book, Effect, find, with_peer
from peers.errors import UnknownPeer
from peers.grants import Ask, Now, What, allows, guest_device, own_device
from peers.identity import Identity
from peers.seldom import Seldom
from runtime.cli import peer_view
from runtime.cli.main import main
from runtime.cli.node_state import opened
from tests.peers.nodes import new_identity, paired_with


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def kitchen(home: Path) -> Identity:
    """The kitchen's key; the kitchen is paired."""
    made = new_identity(home / "kitchen")
    membership.admit(opened(), paired_with(made, "kitchen"), own_device())
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["peers", *arguments]) == code
    return capsys.readouterr().out


def one_object(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    found = json.loads(run(capsys, *arguments, "--json", code=code))
    assert isinstance(found, dict)
    return found


def test_a_device_alone_is_told_how_to_pair(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "covey pair" in run(capsys, "list")
    found = one_object(capsys, "list")
    assert found["peers"] == []
    assert len(found["node_id"]) == 63


def test_without_a_command_they_are_listed(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys) == run(capsys, "list")
    assert one_object(capsys) == one_object(capsys, "list")
    assert one_object(capsys, "--all")["revoked"] == []
    run(capsys, "--everything", code=2)
    assert "revoke" in run(capsys, "--help")


def test_list_and_show_say_who_and_what(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    row = run(capsys, "list")
    assert "kitchen" in row
    assert "sees personal, any work, copies models" in row
    shown = run(capsys, "show", "kitchen")
    assert "your own device" in shown
    assert "192.168.1.20:4489" in shown
    assert "paired" in shown
    found = one_object(capsys, "show", kitchen.node_id[:7])
    assert found["grant"]["label"] == "personal"
    assert [one["act"] for one in found["lately"]] == ["paired"]


def test_a_device_that_lends_a_hub_is_shown_with_it(kitchen: Identity) -> None:
    hub: dict[str, Json] = {"name": "far", "place": "away", "label": "public", "capabilities": ["answer", "code"]}
    said = peer_view.lent_words({kitchen.node_id: {"hubs": [hub]}}, kitchen.node_id)
    assert list(said) == ["far, a hub away from home: public things, for answer, code"]
    assert list(peer_view.lent_words(None, kitchen.node_id)) == []


def test_an_unknown_device_is_wrong_use(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    error = one_object(capsys, "show", "garage", code=2)["error"]
    assert error["code"] == "unknown_peer"
    assert "Paired are kitchen." in error["message"]


def test_a_grant_changes_only_what_is_named(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--label",
        "public",
        "--may",
        "extract,embed",
        "--quiet",
        "22:00-07:00",
        "--for",
        "2h",
        "--no-copy-models",
    ]
    before = one_object(capsys, "show", "kitchen")["grant"]
    after = one_object(capsys, "grant", "kitchen", *options)["grant"]
    assert after["label"] == "public"
    assert after["capabilities"] == ["embed", "extract"]
    assert after["quiet"] == "22:00-07:00"
    assert after["copy_models"] is False
    assert after["expires_ns"] > time.time_ns() + 7100 * 10**9
    assert (after["relay"], after["admin"], after["at_once"]) == (before["relay"], before["admin"], before["at_once"])
    back = one_object(capsys, "grant", "kitchen", "--may", "all", "--quiet", "none", "--for", "ever")["grant"]
    assert (back["capabilities"], back["quiet"], back["expires_ns"], back["label"]) == (None, None, None, "public")


def test_how_much_of_this_device_another_may_take_is_set_and_shown(
    kitchen: Identity, capsys: pytest.CaptureFixture[str]
) -> None:
    after = one_object(capsys, "grant", "kitchen", "--at-once", "4", "--per-minute", "30")["grant"]
    assert (after["at_once"], after["tasks_per_minute"], after["tokens_per_task"]) == (4, 30, 4096)
    assert "4 at once, 30 a minute, 4096 tokens each" in run(capsys, "show", "kitchen")
    after = one_object(capsys, "grant", "kitchen", "--at-once", "1")["grant"]
    assert (after["at_once"], after["tasks_per_minute"]) == (1, 30)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at-once", "0"], "'--at-once': Input should be greater than or equal to 1."),
        (["--at-once", "17"], "'--at-once': Input should be less than or equal to 16."),
        (["--per-minute", "0"], "'--per-minute': Input should be greater than or equal to 1."),
        (["--per-minute", "601"], "'--per-minute': Input should be less than or equal to 600."),
        (["--at-once", "many"], "at-once"),
    ],
)
def test_a_number_out_of_bounds_is_wrong_use_and_changes_nothing(
    kitchen: Identity, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    before = one_object(capsys, "show", "kitchen")["grant"]
    assert words in one_object(capsys, "grant", "kitchen", *arguments, code=2)["error"]["message"]
    assert one_object(capsys, "show", "kitchen")["grant"] == before


def test_the_owner_says_where_a_device_always_is(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    said = one_object(capsys, "at", "kitchen", "192.168.1.30:4489", "[fd00::7]:4489")
    assert said["fixed"] == ["192.168.1.30:4489", "[fd00::7]:4489"]
    assert said["addresses"] == ["192.168.1.20:4489", *said["fixed"]]
    assert "[fd00::7]:4489" in run(capsys, "show", "kitchen")
    assert run(capsys, "at", "kitchen", "none") == "kitchen is looked for at 192.168.1.20:4489.\n"
    assert one_object(capsys, "show", "kitchen")["fixed"] == []


@pytest.mark.parametrize(
    "arguments",
    [["kitchen"], ["kitchen", "192.168.1.30"], ["kitchen", "host:0"], ["garage", "a:1"], ["kitchen", *["a:1"] * 5]],
)
def test_a_place_that_is_none_is_wrong_use_and_changes_nothing(
    kitchen: Identity, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert one_object(capsys, "at", *arguments, code=2)["error"]["message"]
    assert one_object(capsys, "show", "kitchen")["fixed"] == []


def test_what_happened_lately_and_what_may_still_come_is_said_in_words(
    kitchen: Identity, capsys: pytest.CaptureFixture[str]
) -> None:
    state = opened()
    membership.set_grant(state, "kitchen", replace(own_device(), tasks=3))
    state.audit.record(Happening(Act.TASK_IN, kitchen.node_id, "code", 553))

    def one_done(book: Book) -> Book:
        peer = book.peers[kitchen.node_id]
        return with_peer(book, replace(peer, figures=replace(peer.figures, tasks_in=1)))

    state.peers.change(one_done)
    shown = run(capsys, "show", "kitchen")
    assert "asked for code, 553 B" in shown
    assert "was paired as own\n" in shown
    assert "up to 2 tasks" in shown
    assert "it asked   1 task, 0 B" in shown


def test_every_act_has_words() -> None:
    assert set(peer_view.ACTS) == set(Act)


def test_admin_and_hub_are_given_by_name_only(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    after = one_object(capsys, "grant", "kitchen", "--admin", "--relay", "--tasks", "5", "--tokens", "100")["grant"]
    assert (after["admin"], after["relay"], after["tasks"], after["tokens_per_task"]) == (True, True, 5, 100)
    assert "admin" in run(capsys, "list")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--label", "secret"],
        ["--label", "everything"],
        ["--may", "extract, Bad Name"],
        ["--quiet", "25:00-07:00"],
        ["--quiet", "late"],
        ["--for", "2 weeks"],
        ["--for", "0h"],
        ["--tasks", "-1"],
    ],
)
def test_what_can_not_be_granted_is_wrong_use_and_changes_nothing(
    kitchen: Identity, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert one_object(capsys, "grant", "kitchen", *options, code=2)["error"]["code"] == "usage"
    assert find(opened().peers.book(), "kitchen").grant == own_device()


def test_a_revoked_device_is_gone_at_once_and_written_down(
    kitchen: Identity, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "in person" in run(capsys, "revoke", "kitchen")
    assert one_object(capsys, "list")["peers"] == []
    assert one_object(capsys, "list", "--all")["revoked"][0]["name"] == "kitchen"
    assert [one.act for one in opened().audit.newest(5)] == [Act.REVOKED, Act.PAIRED]
    stone = opened().peers.book().notices[0].tombstone
    assert tombstones.is_genuine(stone)
    assert stone.counter > 1


def test_what_was_done_is_said_also_when_it_could_not_be_written_down(
    kitchen: Identity, capsys: pytest.CaptureFixture[str]
) -> None:
    path = opened().folder / "audit.jsonl"
    path.write_bytes(path.read_bytes()[:40])
    said = one_object(capsys, "grant", "kitchen", "--label", "public", code=1)["error"]["message"]
    assert said.startswith("kitchen has the new grant, but that could not be written down. The audit ")
    assert one_object(capsys, "list")["peers"][0]["grant"]["label"] == "public"
    error = one_object(capsys, "revoke", "kitchen", code=1)["error"]
    assert error["message"].startswith("kitchen is no longer paired, but that could not be written down.")
    assert error["code"] == "record_broken"
    assert "covey ledger verify" in error["message"]
    assert one_object(capsys, "list")["peers"] == []


def test_forget_takes_the_name_of_a_revoked_device(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_object(capsys, "forget", "kitchen", code=2)["error"]["code"] == "unknown_peer"
    run(capsys, "revoke", "kitchen")
    run(capsys, "forget", "kitchen")
    assert "kitchen" not in (opened().folder / "peers.json").read_text()
    assert one_object(capsys, "list", "--all")["revoked"][0]["name"] == ""


def test_a_revocation_by_another_device_is_shown_as_a_warning(
    kitchen: Identity, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = new_identity(home / "phone")
    state = opened()
    membership.admit(state, paired_with(phone, "phone"), own_device())
    stone = tombstones.sign(phone, kitchen.node_id, 10**15, now_ns=10**18)
    assert membership.hear(state, stone, Seldom(state.audit)) is Effect.WARNING
    assert f"{phone.node_id[:7]} says that its owner revoked kitchen" in run(capsys, "list")
    assert one_object(capsys, "list")["warnings"][0]["name"] == "kitchen"
    assert membership.hear(state, replace(stone, counter=10**15 + 1), Seldom(state.audit)) is Effect.NOTHING  # forged


def test_a_revocation_by_a_device_with_admin_binds_and_is_written_down(kitchen: Identity, home: Path) -> None:
    phone = new_identity(home / "phone")
    state = opened()
    membership.admit(state, paired_with(phone, "phone"), replace(own_device(), admin=True))
    stone = tombstones.sign(phone, kitchen.node_id, 10**15, now_ns=10**18)
    assert membership.hear(state, stone, Seldom(state.audit)) is Effect.BINDS
    with pytest.raises(UnknownPeer):
        find(state.peers.book(), "kitchen")
    assert state.audit.newest(1)[0].note == f"{phone.node_id[:7]} says so"


def test_a_guests_time_ends_by_itself(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = opened()
    visitor = new_identity(home / "visitor")
    membership.admit(state, paired_with(visitor, "visitor"), guest_device(expires_ns=1))
    assert "its time is over" in run(capsys, "list")
    assert one_object(capsys, "show", "visitor")["expired"] is True
    verdict = allows(find(state.peers.book(), "visitor").grant, Ask(What.RUN, "extract", Label.PUBLIC), Now(2, 0))
    assert verdict.rule == "expired"


def test_a_row_says_how_a_device_is_now(kitchen: Identity) -> None:
    peers = list(opened().peers.book().peers.values())
    up: dict[str, Json] = {"health": "up", "rtt_s": 0.0024, "running": 2, "queued": 0, "draining": False}
    up |= {"battery": 0.34, "plugged": False}
    (row,) = peer_view.rows(peers, 0, {kitchen.node_id: up})
    assert "up, 2 ms away, 2 running, battery 34%  sees personal" in row
    (row,) = peer_view.rows(peers, 0, {kitchen.node_id: {**up, "draining": True, "running": 0, "plugged": True}})
    assert "about to stop, 2 ms away, idle  sees" in row
    (row,) = peer_view.rows(peers, 0, {kitchen.node_id: {**up, "running": 0, "queued": 3}})
    assert "up, 2 ms away, 3 waiting, battery" in row
    (row,) = peer_view.rows(peers, 0, {})
    assert "down  sees" in row
    (row,) = peer_view.rows(peers, 0, None)
    assert "seen 20" in row


def test_how_often_a_device_was_sure_is_shown_as_its_own_word(kitchen: Identity) -> None:
    (peer,) = opened().peers.book().peers.values()
    up: dict[str, Json] = {
        "health": "up",
        "rtt_s": 0.002,
        "running": 0,
        "queued": 0,
        "draining": False,
        "battery": None,
    }
    told = "\n".join(peer_view.lines(peer, 0, {peer.node_id: {**up, "success": {"extract": 0.95, "answer": 0.6}}}))
    assert "was sure   answer 60%, extract 95% (as it says of its last answers)" in told
    for nothing in ({}, {"success": {}}, {"success": None}):  # too few runs, or an older device
        assert "was sure" not in "\n".join(peer_view.lines(peer, 0, {peer.node_id: {**up, **nothing}}))


def test_without_a_running_node_nothing_is_said_of_links(kitchen: Identity, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_object(capsys, "list")["peers"][0]["link"] is None
    (opened().folder.parent / "node.sock").write_text("what a crash left")
    assert one_object(capsys, "list")["peers"][0]["link"] is None
