"""The audit log tells what devices did with each other, never what was said."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.types import Label
from peers.audit import Act, Audit, Happening
from peers.errors import RecordBroken
from peers.node_id import of_key
from tests.peers.nodes import START_NS, Clock, new_identity

KITCHEN, GARAGE = of_key(b"kitchen"), of_key(b"garage")


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    made = Audit(tmp_path, new_identity(tmp_path), clock_ns=Clock())
    made.chain.create()
    return made


def test_what_happened_is_read_back_newest_first(audit: Audit) -> None:
    audit.record(Happening(Act.PAIRED, KITCHEN, note="with a code"))
    audit.record(Happening(Act.TASK_IN, GARAGE, "extract", 120, Label.PERSONAL))
    newest = audit.newest(10)
    assert newest[0] == Happening(Act.TASK_IN, GARAGE, "extract", 120, Label.PERSONAL, "", START_NS)
    assert [one.act for one in newest] == [Act.TASK_IN, Act.PAIRED]
    assert [one.peer for one in audit.newest(10, GARAGE)] == [GARAGE]
    assert len(audit.newest(1)) == 1


@pytest.mark.parametrize("act", list(Act))
def test_every_act_can_be_written_and_the_chain_holds(audit: Audit, act: Act) -> None:
    audit.record(Happening(act, KITCHEN, "scope\nwith\x00odd text", note="n" * 5000))
    (found,) = audit.newest(10)
    assert found.act is act
    assert len(found.note) == 200
    assert audit.chain.verify().ok


def test_an_act_of_a_newer_version_is_a_sentence(audit: Audit) -> None:
    audit.chain.append({"act": "teleported", "peer": KITCHEN})
    with pytest.raises(RecordBroken, match="Update Covey"):
        audit.newest(10)


def test_audit_and_ledger_share_no_lines(audit: Audit, tmp_path: Path) -> None:
    audit.record(Happening(Act.PAIRED, KITCHEN))
    assert audit.chain.verify().ok
    assert '"act":"paired"' in (tmp_path / "audit.jsonl").read_text()
