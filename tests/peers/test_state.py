"""A node's folder is made at once, found again, and not shared by a copied disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from models.types import Label
from peers.errors import IdentityError, RecordBroken
from peers.machine import machine_mark
from peers.state import open_state
from tests.peers.nodes import recipient


def test_a_node_is_the_same_after_a_restart(tmp_path: Path) -> None:
    first, again = open_state(tmp_path, machine="m1"), open_state(tmp_path, machine="m1")
    assert first.identity.node_id == again.identity.node_id
    assert (first.notice, again.notice) == ("", "")
    assert first.folder.stat().st_mode & 0o777 == 0o700
    assert again.ledger.verify().ok
    assert again.audit.chain.verify().ok


def test_a_copied_disk_becomes_a_node_of_its_own(tmp_path: Path) -> None:
    original = open_state(tmp_path / "laptop", machine="m1")
    original.ledger.record(b"x", Label.PUBLIC, capability="extract", recipient=recipient(), reason="")
    shutil.copytree(tmp_path / "laptop", tmp_path / "copy", ignore=shutil.ignore_patterns("*.part"))
    copy = open_state(tmp_path / "copy", machine="m2")
    assert copy.identity.node_id != original.identity.node_id
    assert copy.ledger.entries() == []
    assert "copied from another machine" in copy.notice
    assert "covey pair" in copy.notice
    assert (tmp_path / "copy" / f"node-of-{original.identity.node_id[:7]}" / "key.pem").exists()
    assert open_state(tmp_path / "copy", machine="m2").notice == ""
    assert open_state(tmp_path / "laptop", machine="m1").identity.node_id == original.identity.node_id


def test_a_disk_that_wanders_back_and_forth_loses_nothing(tmp_path: Path) -> None:
    made = {open_state(tmp_path, machine=machine).identity.node_id for machine in ("m1", "m2", "m3")}
    shutil.copytree(tmp_path / "node", tmp_path / "saved")
    assert len(made) == 3
    assert len(list(tmp_path.glob("node-of-*"))) == 2


def test_an_unknown_machine_keeps_its_identity_and_is_marked_when_known(tmp_path: Path) -> None:
    made = open_state(tmp_path, machine="").identity.node_id
    assert open_state(tmp_path, machine="m1").identity.node_id == made
    assert open_state(tmp_path, machine="").identity.node_id == made
    assert open_state(tmp_path, machine="m2").identity.node_id != made


def test_a_deleted_ledger_is_noticed_because_the_key_is_still_there(tmp_path: Path) -> None:
    state = open_state(tmp_path, machine="m1")
    state.ledger.record(b"x", Label.PUBLIC, capability="extract", recipient=recipient(), reason="")
    state.settle()
    for file in state.folder.glob("ledger*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    again = open_state(tmp_path, machine="m1")
    assert [problem.kind for problem in again.ledger.verify().problems] == ["no_head"]
    with pytest.raises(RecordBroken):
        again.ledger.record(b"x", Label.PUBLIC, capability="extract", recipient=recipient(), reason="")


def test_a_folder_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(IdentityError, match="Make that folder writable"):
        open_state(tmp_path / "home", machine="m1")


def test_the_mark_of_a_machine_hides_its_id_and_tells_boards_apart(tmp_path: Path) -> None:
    system, serial, missing = tmp_path / "machine-id", tmp_path / "serial", tmp_path / "none"
    system.write_text("0123456789abcdef\n")
    serial.write_bytes(b"10000000abcdef\x00")
    marks = [machine_mark(sources, platform="linux") for sources in ([system], [system, missing], [system, serial])]
    assert marks[0] == marks[1] != marks[2]
    assert len(marks[0]) == 64
    assert "0123456789abcdef" not in marks[0]
    assert machine_mark([missing], platform="linux") == ""
