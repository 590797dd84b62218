"""The network's part of `covey doctor`, on this machine alone: what it says without a network to break."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from peers import membership
from peers.errors import UnknownPeer
from peers.grants import own_device
from peers.pairing import Paired
from peers.state import open_state
from runtime import network_doctor
from runtime.cli.main import main
from runtime.config import Settings
from runtime.own_state import own_state


def paired(home: Path, address: str) -> None:
    """Make a node in a home that is paired with a kitchen at an address."""
    home.mkdir(parents=True, exist_ok=True)
    kitchen = open_state(home.parent / "kitchen", machine="")
    state = own_state(home, Settings())
    membership.admit(state, Paired(kitchen.identity.public, "kitchen", (address,), 1), own_device())


def test_where_nobody_is_looked_for_nothing_is_dialled(tmp_path: Path) -> None:
    (found,) = network_doctor.examine(tmp_path, "off")
    assert (found.name, found.cause, found.status) == ("network", "off", "warn")


def test_without_a_paired_device_no_key_is_made_to_look_for_one(tmp_path: Path) -> None:
    (found,) = network_doctor.examine(tmp_path, "auto")
    assert (found.status, found.sentence) == ("ok", "no device is paired yet")
    assert list(tmp_path.iterdir()) == []


def test_a_device_on_which_no_node_runs_is_told_from_one_that_is_gone(tmp_path: Path) -> None:
    paired(tmp_path / "home", "127.0.0.1:1")
    here, kitchen = network_doctor.examine(tmp_path / "home", "lo")
    assert (here.cause, kitchen.cause) == ("not_up", "not_running")
    assert "covey up" in kitchen.cure


def test_a_name_that_is_nobodys_is_refused(tmp_path: Path) -> None:
    paired(tmp_path / "home", "127.0.0.1:1")
    with pytest.raises(UnknownPeer, match="kitchen"):
        network_doctor.examine(tmp_path / "home", "lo", awake=["attic"])


def test_a_damaged_list_of_devices_is_a_finding_and_not_a_crash(tmp_path: Path) -> None:
    paired(tmp_path / "home", "127.0.0.1:1")
    (tmp_path / "home" / "node" / "peers.json").write_text("[")
    (found,) = network_doctor.examine(tmp_path / "home", "lo")
    assert (found.status, "damaged" in found.sentence) == ("fail", True)


def test_the_command_says_it_with_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert findings[-1]["cause"] == "off"
    assert all(set(finding) == {"name", "status", "sentence", "cure", "cause"} for finding in findings)
