"""Nothing is sent without a release, and no release without an entry that is already on the disk."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.types import Digest, Label
from peers import release
from peers.errors import NotReleased, RecordBroken, ReleaseRefused
from peers.ledger import Ledger
from peers.policy import RecipientKind
from peers.release import Released, Releaser, live_recipients, sending
from tests.peers.nodes import new_identity, recipient

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path / "node", new_identity(tmp_path / "node"))
    made.chain.create()
    return made


@pytest.fixture
def released(ledger: Ledger) -> Released[bytes]:
    return Releaser(ledger).release(
        b"buy milk", Label.PERSONAL, capability="extract", recipient=recipient(), reason="asked for"
    )


def test_a_release_has_its_entry_before_it_exists(ledger: Ledger, released: Released[bytes]) -> None:
    (entry,) = ledger.entries()
    assert (entry.number, entry.label) == (released.entry, Label.PERSONAL)
    assert ledger.bytes_of(entry) == released.value_for("kitchen-id") == b"buy milk"


def test_what_the_policy_refuses_leaves_no_entry(ledger: Ledger) -> None:
    with pytest.raises(ReleaseRefused, match=r"Nothing was sent to kitchen\. .*personal at most"):
        Releaser(ledger).release(b"x", Label.SENSITIVE, capability="extract", recipient=recipient(), reason="asked for")
    assert ledger.entries() == []


def test_what_the_policy_refuses_can_not_leave_piece_by_piece_or_as_a_file_either(ledger: Ledger) -> None:
    releaser, sensitive = Releaser(ledger), Label.SENSITIVE
    with pytest.raises(ReleaseRefused):
        releaser.open_stream(sensitive, capability="extract", recipient=recipient(), reason="asked for")
    with pytest.raises(ReleaseRefused):
        releaser.release_artifact(
            Digest("0" * 64), 1, sensitive, capability="peer.blob", recipient=recipient(), reason="asked for"
        )
    assert ledger.entries() == []


def test_what_can_not_be_written_down_is_not_released(ledger: Ledger) -> None:
    ledger.chain.head_path.unlink()
    with pytest.raises(RecordBroken):
        Releaser(ledger).release(b"x", Label.PUBLIC, capability="extract", recipient=recipient(), reason="asked for")


def test_a_release_is_for_one_recipient_only(released: Released[bytes]) -> None:
    with pytest.raises(NotReleased, match="for kitchen, not for garage-id"):
        released.value_for("garage-id")


@pytest.mark.parametrize("seal", [None, object(), "seal", release])
def test_nobody_else_can_make_one(seal: object) -> None:
    with pytest.raises(NotReleased):
        Released(seal, b"x", recipient(RecipientKind.HUB), Label.PUBLIC, 1)


def test_it_can_not_be_changed_or_copied(released: Released[bytes]) -> None:
    with pytest.raises(NotReleased):
        released.recipient = recipient(name="mallory")  # type: ignore[misc]
    with pytest.raises(NotReleased):
        del released.label  # type: ignore[misc]
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(NotReleased):
            attempt(released)


def test_it_does_not_show_what_it_holds(released: Released[bytes]) -> None:
    assert "milk" not in repr(released) + str(released)


def test_the_seal_is_used_in_one_file_only() -> None:
    """Who wants to go round the door has to write its name; this finds it."""
    folders = ("models", "peers", "hub", "runtime", "scripts")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    users = [file.name for file in files if re.search(r"\bReleased\(|\b_SEAL\b", file.read_text())]
    assert users == ["release.py"]


def test_a_bare_value_does_not_type_check(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(
        "from peers.release import Released\n"
        "def send(body: Released[bytes]) -> None: ...\n"
        "def good(body: Released[bytes]) -> None:\n"
        "    send(body)\n"
        "def bad(body: bytes, other: Released[str]) -> None:\n"
        "    send(body)\n"
        "    send(other)\n"
        "    send(None)\n"
    )
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache")]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(snippet)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=55,
        check=False,
    )
    wrong = [line.partition(": error: ")[0].rpartition(":")[2] for line in run.stdout.splitlines() if "error:" in line]
    assert wrong == ["6", "7", "8"], run.stdout + run.stderr


def test_sending_is_live_inside_its_block_only(released: Released[bytes]) -> None:
    assert live_recipients() == frozenset()
    with sending(released):
        assert live_recipients() == {"kitchen-id"}
    assert live_recipients() == frozenset()
