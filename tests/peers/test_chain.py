"""A chain finds whatever was done to it, and survives what a power cut does to it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import peers.chain
from peers.chain import MAX_LINE_BYTES, Chain, errors_of
from peers.chain_entry import Head, canonical, encode, hash_of, signed
from peers.errors import RecordBroken, RecordError, RecordFull
from peers.identity import Identity
from peers.private_files import append_synced
from tests.peers.nodes import new_identity

ENTRIES = 6


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return new_identity(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return new_identity(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
def chain(tmp_path: Path, key: Identity) -> Chain:
    made = Chain(tmp_path / "log.jsonl", key, name="ledger")
    made.create()
    for number in range(1, ENTRIES + 1):
        made.append({"what": f"entry {number}"})
    made.settle()
    return made


def lines(chain: Chain) -> list[bytes]:
    return chain.path.read_bytes().splitlines(keepends=True)


def kinds(chain: Chain, *witnesses: Head) -> list[tuple[str, int]]:
    return [(problem.kind, problem.number) for problem in chain.verify(witnesses).problems]


def test_what_was_appended_is_read_back_in_order(chain: Chain) -> None:
    assert [entry.body["what"] for entry in chain.entries()] == [f"entry {n}" for n in range(1, ENTRIES + 1)]
    assert [entry.number for entry in chain.entries()] == list(range(1, ENTRIES + 1))
    verdict = chain.verify()
    assert (verdict.ok, verdict.entries, verdict.notes) == (True, ENTRIES, ())


def test_an_empty_chain_verifies(tmp_path: Path, key: Identity) -> None:
    empty = Chain(tmp_path / "log.jsonl", key, name="ledger")
    empty.create()
    assert empty.verify().ok
    assert list(empty.entries()) == []


def test_files_are_for_their_owner_only(chain: Chain) -> None:
    assert chain.path.stat().st_mode & 0o777 == 0o600
    assert chain.head_path.stat().st_mode & 0o777 == 0o600


def edit(found: list[bytes]) -> list[bytes]:
    return [*found[:2], found[2].replace(b"entry 3", b"entry X"), *found[3:]]


def edit_and_hash(found: list[bytes]) -> list[bytes]:
    """Do what somebody without the key can do: change the text and put the right hash beside it."""
    data = json.loads(found[2])
    data["body"]["what"] = "entry X"
    data["hash"] = hash_of("ledger", data["n"], data["prev"], data["body"])
    return [*found[:2], canonical(data) + b"\n", *found[3:]]


TAMPERED: list[tuple[str, Callable[[list[bytes]], list[bytes]], tuple[str, int]]] = [
    ("edited", edit, ("edited", 3)),
    ("edited with its hash", edit_and_hash, ("unsigned", 3)),
    ("spaced out", lambda found: [found[0].replace(b":", b": ", 1), *found[1:]], ("unreadable", 1)),
    ("one removed", lambda found: found[:2] + found[3:], ("removed", 3)),
    ("the first removed", lambda found: found[1:], ("removed", 1)),
    ("two swapped", lambda found: [*found[:2], found[3], found[2], *found[4:]], ("removed", 3)),
    ("one repeated", lambda found: [*found[:3], found[2], *found[3:]], ("moved", 3)),
    ("moved to the end", lambda found: [*found[:1], *found[2:], found[1]], ("removed", 2)),
    ("the last cut", lambda found: found[:-1], ("cut", ENTRIES)),
    ("the tail cut", lambda found: found[:2], ("cut", 3)),
    ("all cut", lambda found: [], ("cut", 1)),
    ("nonsense", lambda found: [*found[:2], b"[1,2]\n", *found[3:]], ("unreadable", 3)),
    ("not JSON", lambda found: [*found[:2], b"\xff\xfe\n", *found[3:]], ("unreadable", 3)),
    ("half a line cut", lambda found: [*found[:-1], found[-1][:40]], ("cut", ENTRIES)),
]


@pytest.mark.parametrize(("change", "expected"), [row[1:] for row in TAMPERED], ids=[row[0] for row in TAMPERED])
def test_tampering_is_found_and_named(
    chain: Chain, change: Callable[[list[bytes]], list[bytes]], expected: tuple[str, int]
) -> None:
    chain.path.write_bytes(b"".join(change(lines(chain))))
    assert expected in kinds(chain)


@pytest.mark.parametrize("change", [row[1] for row in TAMPERED if row[2][0] == "cut"])
def test_nothing_is_added_to_a_chain_whose_end_is_gone(
    chain: Chain, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """Else the next entry would bring the head down to the cut, and hide it."""
    left = b"".join(change(lines(chain)))
    chain.path.write_bytes(left)
    with pytest.raises(RecordBroken, match="covey ledger verify"):
        chain.append({"what": "more"})
    assert chain.path.read_bytes() == left


def rebuild(signer: Identity, texts: list[str]) -> tuple[bytes, Head]:
    """Return a whole chain of other entries, as somebody with this key would write it."""
    head, written = Head(0, "0" * 64, ""), b""
    for text in texts:
        digest = hash_of("ledger", head.number + 1, head.hash, {"what": text})
        after = signed("ledger", head.number + 1, digest, signer)
        line = {"n": after.number, "prev": head.hash, "body": {"what": text}, "hash": digest, "sig": after.signature}
        head, written = after, written + canonical(line) + b"\n"
    return written, head


def test_a_chain_rebuilt_without_the_key_is_found(chain: Chain, stranger: Identity) -> None:
    written, head = rebuild(stranger, ["nothing to see"] * ENTRIES)
    chain.path.write_bytes(written)
    assert ("unsigned", 1) in kinds(chain)
    chain.head_path.write_bytes(canonical({"n": head.number, "hash": head.hash, "sig": head.signature}))
    assert ("no_head", 0) in kinds(chain)


def test_a_chain_rebuilt_with_the_key_does_not_fit_its_head(chain: Chain, key: Identity) -> None:
    chain.path.write_bytes(rebuild(key, ["nothing to see"] * ENTRIES)[0])
    assert ("rebuilt", ENTRIES) in kinds(chain)


def test_a_chain_put_back_with_its_head_is_found_by_another_device(chain: Chain) -> None:
    """The one thing that can't be seen here: both files as they were. A peer remembers the later head."""
    earlier = chain.path.read_bytes(), chain.head_path.read_bytes()
    told = chain.append({"what": "the embarrassing one"}).head
    chain.settle()
    chain.path.write_bytes(earlier[0])
    chain.head_path.write_bytes(earlier[1])
    assert chain.verify().ok
    assert kinds(chain, told) == [("cut", ENTRIES + 1)]
    chain.append({"what": "another one"})
    assert kinds(chain, told) == [("rebuilt", ENTRIES + 1)]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[]", b'{"n":99,"hash":"0","sig":"AAAA"}', b'{"n":0,"hash":1}'])
def test_a_missing_or_changed_head_is_found(chain: Chain, content: bytes | None) -> None:
    if content is None:
        chain.head_path.unlink()
    else:
        chain.head_path.write_bytes(content)
    assert ("no_head", 0) in kinds(chain)
    with pytest.raises(RecordBroken):
        chain.append({"what": "more"})


def test_a_head_put_back_alone_is_no_way_to_hide_anything(chain: Chain) -> None:
    earlier = chain.head_path.read_bytes()
    chain.append({"what": "more"})
    chain.head_path.write_bytes(earlier)
    chain.path.write_bytes(edit(lines(chain))[0] + b"".join(edit(lines(chain))[1:]))
    assert ("edited", 3) in kinds(chain)


def test_a_line_of_another_chain_does_not_fit(chain: Chain, tmp_path: Path, key: Identity) -> None:
    other = Chain(tmp_path / "audit.jsonl", key, name="audit")
    other.create()
    for number in range(1, ENTRIES + 1):
        other.append({"what": f"entry {number}"})
    chain.path.write_bytes(other.path.read_bytes())
    assert ("edited", 1) in kinds(chain)


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_torn_by_a_power_cut_is_replaced_by_the_next(chain: Chain, kept: int) -> None:
    whole = chain.path.read_bytes()
    line = encode(next(chain.entries()))
    chain.path.write_bytes(whole + line[:kept])
    verdict = chain.verify()
    assert verdict.ok
    assert "unfinished" in verdict.notes[0]
    chain.append({"what": "after the cut"})
    assert chain.path.read_bytes().startswith(whole)
    assert (chain.verify().ok, chain.verify().entries, chain.verify().notes) == (True, ENTRIES + 1, ())


def test_a_head_that_a_power_cut_left_behind_is_mended(chain: Chain) -> None:
    earlier = chain.head_path.read_bytes()
    chain.append({"what": "7"})
    chain.append({"what": "8"})
    chain.settle()
    chain.head_path.write_bytes(earlier)
    assert chain.verify().ok
    assert "power" in chain.verify().notes[0]
    assert chain.append({"what": "9"}).number == ENTRIES + 3
    assert (chain.verify().ok, chain.verify().notes) == (True, ())


def test_threads_that_append_at_once_share_one_sync(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def slowly(path: Path, data: bytes, at: int) -> None:
        time.sleep(0.02)
        written.append(data)
        append_synced(path, data, at)

    monkeypatch.setattr(peers.chain, "append_synced", slowly)
    with ThreadPoolExecutor(16) as threads:
        entries = list(threads.map(lambda number: chain.append({"what": f"at once {number}"}), range(16)))
    assert sorted(entry.number for entry in entries) == list(range(ENTRIES + 1, ENTRIES + 17))
    assert len(written) < 8
    assert (chain.verify().ok, chain.verify().entries, chain.verify().notes) == (True, ENTRIES + 16, ())


def test_one_entry_that_is_too_long_does_not_hold_up_the_others(chain: Chain) -> None:
    with pytest.raises(RecordError, match="Shorten"):
        chain.append({"what": "x" * 70_000})
    assert chain.append({"what": "short"}).number == ENTRIES + 1
    assert chain.verify().ok


def test_a_head_that_is_due_does_not_hide_what_was_taken_away(chain: Chain) -> None:
    chain._later.do(lambda: time.sleep(0.2))
    chain.append({"what": "the last"})
    chain.path.write_bytes(b"".join(lines(chain)[:-1]))
    assert kinds(chain) == [("cut", ENTRIES + 1)]


def test_begin_anew_keeps_the_old_file(chain: Chain) -> None:
    whole = chain.path.read_bytes()
    chain.head_path.unlink()
    aside = chain.begin_anew()
    assert aside is not None
    assert aside.read_bytes() == whole
    assert chain.append({"what": "first"}).number == 1
    assert chain.verify().ok


def test_threads_and_instances_write_one_chain(chain: Chain, tmp_path: Path, key: Identity) -> None:
    def write() -> None:
        mine = Chain(tmp_path / "log.jsonl", key, name="ledger")
        for _ in range(10):
            mine.append({"what": "at once"})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (chain.verify().ok, chain.verify().entries) == (True, ENTRIES + 40)


def test_an_entry_too_long_to_be_one_is_refused(chain: Chain) -> None:
    whole = chain.path.read_bytes()
    with pytest.raises(RecordError, match="longer than"):
        chain.append({"what": "x" * MAX_LINE_BYTES})
    assert chain.path.read_bytes() == whole


def test_a_full_disk_and_a_missing_folder_are_errors_of_ours(tmp_path: Path, key: Identity) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(RecordFull, match="nothing leaves"), errors_of(full), full.open("wb", buffering=0) as file:
        file.write(b"x")
    with pytest.raises(RecordError, match="can't be used"):
        Chain(tmp_path / "missing" / "log.jsonl", key, name="ledger").create()
