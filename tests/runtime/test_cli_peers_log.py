"""`covey peers log`: what devices did is there for the owner, also of those that were revoked or forgotten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from peers import membership
from peers.audit import Act, Audit, Happening
from peers.errors import UnknownPeer
from peers.grants import own_device
from peers.identity import Identity
from peers.node_id import NodeId
from runtime.cli.main import main
from runtime.cli.node_state import opened
from runtime.cli.peers_log import wanted
from tests.peers.nodes import new_identity, paired_with


@pytest.fixture
def devices(tmp_path: Path) -> dict[str, Identity]:
    """Two paired devices that each did something."""
    state, found = opened(), {}
    for name in ("kitchen", "garage"):
        found[name] = new_identity(tmp_path / name)
        membership.admit(state, paired_with(found[name], name), own_device())
        for number in range(15):
            state.audit.record(Happening(Act.TASK_IN, found[name].node_id, "generate", 100 + number))
    return found


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["peers", *arguments]) == code
    return capsys.readouterr().out


def entries(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(capsys, "log", *arguments, "--json"))["entries"]
    return found


def test_all_that_a_device_did_is_shown_newest_first(
    devices: dict[str, Identity], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(capsys, "log", "kitchen").splitlines()
    assert len(lines) == 16
    assert lines[0].endswith("kitchen asked for generate, 114 B") and "kitchen was paired as own" in lines[-1]
    assert len(run(capsys, "log").splitlines()) == 20
    assert len(run(capsys, "log", "--limit", "100").splitlines()) == 32
    assert [one["bytes"] for one in entries(capsys, "kitchen", "--limit", "2")] == [114, 113]


def test_a_device_that_was_revoked_is_found_by_its_name_and_by_its_id(
    devices: dict[str, Identity], capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "revoke", "kitchen")
    found = entries(capsys, "kitchen")
    assert (found[0]["act"], found[0]["name"], len(found)) == ("revoked", "kitchen", 17)
    assert entries(capsys, devices["kitchen"].node_id[:7]) == found
    assert "kitchen was revoked (by the owner, here)" in run(capsys, "log", "kitchen")


def test_a_device_whose_name_was_forgotten_is_found_by_its_id(
    devices: dict[str, Identity], capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "revoke", "kitchen")
    run(capsys, "forget", "kitchen")
    first = devices["kitchen"].node_id[:7]
    assert f"{first} asked for generate" in run(capsys, "log", first)
    assert {one["name"] for one in entries(capsys, first)} == {""}


def test_a_name_that_nobody_has_is_wrong_use_and_no_entries_are_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "log", "attic", "--json", code=2))["error"]["code"] == "unknown_peer"
    assert run(capsys, "log").startswith("Nothing is written down yet")
    assert entries(capsys) == []


def test_a_name_that_two_paired_devices_have_is_not_taken_for_a_former_one(
    devices: dict[str, Identity], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "revoke", "kitchen")
    state = opened()
    for number in ("one", "two"):
        membership.admit(state, paired_with(new_identity(tmp_path / number), number), own_device())
    book = state.peers.book()
    alike = replace(book, peers={node: replace(peer, name="kitchen") for node, peer in book.peers.items()})
    with pytest.raises(UnknownPeer, match="may be any of"):
        wanted(alike, "kitchen", state.audit)


@pytest.mark.parametrize("blank", [" ", "-"])
def test_a_blank_name_is_no_forgotten_device(
    devices: dict[str, Identity], capsys: pytest.CaptureFixture[str], blank: str
) -> None:
    run(capsys, "revoke", "kitchen")
    run(capsys, "forget", "kitchen")
    assert json.loads(run(capsys, "log", "--json", "--", blank, code=2))["error"]["code"] == "unknown_peer"


class Unread(Audit):
    """Must not be read: it may be long."""

    def __init__(self) -> None: ...

    def newest(self, limit: int, peer: NodeId | None = None) -> list[Happening]:
        raise AssertionError("the log was read")


def test_the_log_is_not_looked_through_for_a_device_that_is_paired(devices: dict[str, Identity]) -> None:
    book = opened().peers.book()
    assert wanted(book, "kitchen", Unread()) == devices["kitchen"].node_id


def test_the_log_can_be_read_when_the_device_is_called_like_a_former_one(
    devices: dict[str, Identity], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "revoke", "kitchen")
    membership.admit(opened(), paired_with(new_identity(tmp_path / "other"), "kitchen"), own_device())
    assert [one["act"] for one in entries(capsys, "kitchen")] == ["paired"]
    assert len(entries(capsys, devices["kitchen"].node_id[:7])) == 17
