"""`covey ledger` as it is typed: what left, the exact bytes, and that tampering is an exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.types import Label
from peers import membership
from peers.book import with_peer
from peers.chain_entry import NO_HASH, signed
from peers.grants import own_device
from peers.policy import Place, RecipientKind
from runtime.cli.main import main
from runtime.cli.node_state import opened
from tests.peers.nodes import new_identity, paired_with, recipient


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def left(home: Path) -> Path:
    """A home from which three things went."""
    ledger = opened().ledger
    ledger.record(b"buy milk", Label.PERSONAL, capability="extract", recipient=recipient(), reason="better model")
    ledger.record(b"\xff\x00", Label.PUBLIC, capability="peer.blob", recipient=recipient(), reason="")
    hub = recipient(RecipientKind.HUB, name="cloud", place=Place.AWAY)
    ledger.record(b"long " * 1000, Label.PUBLIC, capability="generate", recipient=hub, reason="too hard for here")
    ledger.settle()
    return home


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["ledger", *arguments]) == code
    return capsys.readouterr().out


def one_object(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    found = json.loads(run(capsys, *arguments, "--json", code=code))
    assert isinstance(found, dict)
    return found


def test_a_device_that_never_sent_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "list") == "Nothing has left this device.\n"
    assert one_object(capsys, "list") == {"entries": []}
    assert "0 entries" in run(capsys, "verify")


def test_list_says_how_far_things_went_newest_first(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _, last = run(capsys, "list").splitlines()
    assert "left the home  to hub cloud  public  5000 B  generate" in first
    assert "left this device  to peer kitchen  personal  8 B  extract" in last
    shown = one_object(capsys, "list", "--limit", "1")["entries"]
    assert [(one["number"], one["words"]) for one in shown] == [(3, "left the home")]
    assert shown[0]["time"].endswith("+00:00")


def test_show_has_the_exact_bytes(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", "1")
    assert "'buy milk'" in text
    assert "better model" in text
    assert one_object(capsys, "show", "1")["content"] == "buy milk"
    assert one_object(capsys, "show", "2")["content_base64"] == "/wA="
    assert "3000 characters more" in run(capsys, "show", "3")


def test_an_entry_that_is_not_there_is_wrong_use(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_object(capsys, "show", "99", code=2)["error"]["code"] == "not_found"


def test_verify_ends_with_1_when_something_was_changed(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_object(capsys, "verify")["ok"] is True
    file = left / "node" / "ledger.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"bytes":8', b'"bytes":7'))
    assert "Entry 1 was changed after it was written." in run(capsys, "verify", code=1)
    found = one_object(capsys, "verify", code=1)
    assert found["ledger"]["problems"][0]["kind"] == "edited"
    assert found["audit"]["ok"] is True


def test_a_broken_ledger_can_be_put_aside(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = left / "node" / "ledger.jsonl"
    cut = file.read_bytes()[:100]
    file.write_bytes(cut)
    found = one_object(capsys, "verify", "--begin-anew")
    assert Path(found["kept_aside"]["ledger"]).read_bytes() == cut
    assert run(capsys, "list") == "Nothing has left this device.\n"
    assert one_object(capsys, "verify")["ok"] is True


def test_what_a_paired_device_remembers_is_held_against_the_ledger(
    left: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, kitchen = opened(), new_identity(left / "kitchen")
    peer = membership.admit(state, paired_with(kitchen, "kitchen"), own_device())
    ahead = signed("ledger", 9, NO_HASH, state.identity)
    state.peers.change(lambda book: with_peer(book, replace(peer, witness=ahead)))
    assert "the last entry is 3, it was 9" in run(capsys, "verify", code=1)
    assert one_object(capsys, "verify", "--begin-anew")["ok"] is True
    assert one_object(capsys, "verify")["ok"] is True


def test_export_writes_every_entry_oldest_first(left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(row) for row in run(capsys, "export").splitlines()]
    assert [row["number"] for row in rows] == [1, 2, 3]
    assert "content" not in rows[0]
    to = tmp_path / "out.jsonl"
    assert one_object(capsys, "export", "--to", str(to), "--with-bytes") == {"exported": 3, "file": str(to)}
    assert json.loads(to.read_text().splitlines()[0])["content"] == "buy milk"
    assert to.stat().st_mode & 0o777 == 0o600


def test_export_of_json_needs_a_file(left: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_object(capsys, "export", code=2)["error"]["code"] == "usage"
