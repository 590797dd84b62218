"""The ledger says what left, keeps the exact bytes for some days, and finds what was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.types import Label
from peers.errors import RecordBroken
from peers.ledger import KEEP_DAYS, Leaving, Ledger
from peers.policy import Place, RecipientKind
from tests.peers.nodes import DAY_NS, Clock, new_identity, recipient


class Kept:
    """A ledger with a clock that a test moves."""

    def __init__(self, folder: Path, keep_days: int = KEEP_DAYS) -> None:
        self.clock = Clock()
        self.folder = folder
        self.ledger = Ledger(folder, new_identity(folder), keep_days=keep_days, clock_ns=self.clock)
        self.ledger.chain.create()

    def record(self, value: bytes = b"buy milk") -> Leaving:
        return self.ledger.record(
            value, Label.PERSONAL, capability="extract", recipient=recipient(), reason="it has the better model"
        )


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "node")


def test_an_entry_says_what_went_where_and_why(kept: Kept) -> None:
    written = kept.record()
    assert kept.ledger.entries() == [written]
    shown = written.to_json()
    assert shown["words"] == "left this device"
    assert shown["recipient"] == {"kind": "peer", "id": "kitchen-id", "name": "kitchen"}
    assert (shown["label"], shown["capability"], shown["bytes"]) == ("personal", "extract", 8)
    assert shown["reason"] == "it has the better model"


@pytest.mark.parametrize(
    ("place", "words"),
    [(Place.DEVICE, "stayed on this device"), (Place.HOME, "left this device"), (Place.AWAY, "left the home")],
)
def test_words_tell_the_device_from_the_home(kept: Kept, place: Place, words: str) -> None:
    to = recipient(RecipientKind.HUB, place=place)
    kept.ledger.record(b"x", Label.PUBLIC, capability="generate", recipient=to, reason="")
    assert kept.ledger.entries()[0].place.words == words


def test_newest_come_first_and_no_more_than_asked(kept: Kept) -> None:
    for text in (b"a", b"b", b"c"):
        kept.record(text)
    assert [one.number for one in kept.ledger.entries(2)] == [3, 2]
    found = kept.ledger.find(2)
    assert found is not None
    assert kept.ledger.bytes_of(found) == b"b"
    assert kept.ledger.find(9) is None


def test_exact_bytes_are_kept_for_their_days_and_the_entry_for_good(kept: Kept) -> None:
    written = kept.record(b"\x00exactly this\xff")
    assert kept.ledger.bytes_of(written) == b"\x00exactly this\xff"
    kept.clock.now_ns += KEEP_DAYS * DAY_NS
    kept.ledger.expire()
    assert kept.ledger.bytes_of(written) == b"\x00exactly this\xff"
    kept.clock.now_ns += DAY_NS
    assert kept.ledger.expire() == 1
    assert kept.ledger.bytes_of(written) is None
    assert kept.ledger.entries() == [written]
    assert kept.ledger.verify().ok


def test_the_first_entry_of_a_day_lets_old_days_go(kept: Kept) -> None:
    written = kept.record(b"long ago")
    kept.clock.now_ns += (KEEP_DAYS + 1) * DAY_NS
    kept.record(b"today")
    assert kept.ledger.bytes_of(written) is None


def test_kept_bytes_are_for_their_owner_only(kept: Kept) -> None:
    kept.record()
    files = [path for path in kept.folder.rglob("*") if path.is_file() and "ledger-bytes" in path.parts]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600]
    assert all(path.parent.stat().st_mode & 0o777 == 0o700 for path in files)


def test_nothing_is_kept_when_the_owner_wants_none(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "node", keep_days=0)
    assert kept.ledger.bytes_of(kept.record(b"buy milk")) is None
    assert b"buy milk" not in b"".join(path.read_bytes() for path in kept.folder.rglob("*") if path.is_file())


def test_changed_bytes_are_found(kept: Kept) -> None:
    written = kept.record()
    file = next(path for path in kept.folder.rglob(written.digest))
    file.write_bytes(b"buy beer")
    assert [(problem.kind, problem.number) for problem in kept.ledger.verify().problems] == [("edited", 1)]
    with pytest.raises(RecordBroken, match="not those that left"):
        kept.ledger.bytes_of(written)


def test_a_lowered_label_is_an_entry_without_bytes(kept: Kept) -> None:
    written = kept.ledger.record_lowered(b"x", Label.PUBLIC, recipient=recipient(), reason="the owner redacted it")
    assert (written.act, written.label) == ("lowered", Label.PUBLIC)
    assert kept.ledger.bytes_of(written) is None


def test_a_name_can_not_break_the_line_or_grow_it(kept: Kept) -> None:
    odd = recipient(name="kit\nchen\x00" + "n" * 1000 + "\ud800")
    kept.ledger.record(b"x", Label.PUBLIC, capability="c", recipient=odd, reason="r" * 10_000)
    shown = kept.ledger.entries()[0]
    assert len(shown.recipient_name) <= 200
    assert "\n" not in shown.recipient_name
    assert kept.ledger.verify().ok
