"""One file from several devices: whole and true, or not there at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from random import Random

import pytest

from models.errors import SourceError, SourceUnreachable, StoreFull
from peers import offers
from peers.blobs import TRIES, copy
from peers.chunks import CHUNK_BYTES
from peers.part import SPARE_BYTES, Part
from tests.peers.fake_blobs import FakeBlobs, Fault, row_of
from tests.peers.scripts import until

DATA = Random(7).randbytes(4 * CHUNK_BYTES + 12345)
SHA = hashlib.sha256(DATA).hexdigest()
ROOMY = 10**12


def nothing(done: int, total: int | None) -> None:
    pass


async def bring(target: Path, *sources: FakeBlobs, free: int = ROOMY, size: int | None = len(DATA)) -> list[str]:
    return await copy(SHA, sources, target, nothing, free_bytes=lambda: free, size_bytes=size)


async def test_one_device_is_enough(tmp_path: Path) -> None:
    assert await bring(tmp_path / "m", FakeBlobs("kitchen", DATA)) == ["kitchen"]
    assert (tmp_path / "m").read_bytes() == DATA
    assert os.listdir(tmp_path) == ["m"]


async def test_several_devices_share_the_work(tmp_path: Path) -> None:
    kitchen, attic = FakeBlobs("kitchen", DATA), FakeBlobs("attic", DATA)
    assert sorted(await bring(tmp_path / "m", kitchen, attic)) == ["attic", "kitchen"]
    assert len(kitchen.read_from) >= 2 and len(attic.read_from) >= 2
    assert (tmp_path / "m").read_bytes() == DATA


@pytest.mark.parametrize("fault", [Fault.CORRUPT, Fault.SWAPPED])
async def test_a_device_that_sends_a_wrong_chunk_is_left_out_and_the_rest_comes_from_another(
    tmp_path: Path, fault: Fault
) -> None:
    bad, good = FakeBlobs("bad", DATA, fault), FakeBlobs("good", DATA)
    assert await bring(tmp_path / "m", bad, good) == ["good"]
    assert (tmp_path / "m").read_bytes() == DATA
    assert len(bad.read_from) == 1


async def test_a_wrong_chunk_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="bad sent bytes that are not the promised ones"):
        await bring(tmp_path / "m", FakeBlobs("bad", DATA, Fault.CORRUPT))
    assert not (tmp_path / "m").exists()
    assert (tmp_path / "m.part").stat().st_size == 0


async def test_devices_that_offer_another_file_lose_to_one_that_has_it(tmp_path: Path) -> None:
    liars = [FakeBlobs("liar", DATA, Fault.LYING), FakeBlobs("other liar", DATA, Fault.LYING)]
    assert await bring(tmp_path / "m", *liars, FakeBlobs("honest", DATA)) == ["honest"]
    assert (tmp_path / "m").read_bytes() == DATA


async def test_what_liars_sent_and_is_true_is_not_fetched_again(tmp_path: Path) -> None:
    honest = FakeBlobs("honest", DATA)
    liars = [FakeBlobs("liar", DATA, Fault.LYING), FakeBlobs("other liar", DATA, Fault.LYING)]
    await bring(tmp_path / "m", *liars, honest)
    assert honest.read_from == [4 * CHUNK_BYTES]  # only the last chunk was another


async def test_a_file_of_which_all_offer_another_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="what liar offers is another file"):
        await bring(tmp_path / "m", FakeBlobs("liar", DATA, Fault.LYING))
    assert not (tmp_path / "m").exists()


async def test_a_drop_at_four_fifths_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="kitchen is gone"):
        await bring(tmp_path / "m", FakeBlobs("kitchen", DATA, Fault.VANISHES, allowed=4))
    again = FakeBlobs("attic", DATA)
    assert await bring(tmp_path / "m", again) == ["attic"]
    assert again.read_from == [4 * CHUNK_BYTES]
    assert (tmp_path / "m").read_bytes() == DATA


async def test_bytes_that_went_bad_between_two_tries_are_fetched_again(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        await bring(tmp_path / "m", FakeBlobs("kitchen", DATA, Fault.VANISHES, allowed=4))
    with (tmp_path / "m.part").open("r+b") as file:
        file.seek(CHUNK_BYTES + 7)
        file.write(b"rot")
    again = FakeBlobs("attic", DATA)
    await bring(tmp_path / "m", again)
    assert sorted(again.read_from) == [CHUNK_BYTES, 4 * CHUNK_BYTES]
    assert (tmp_path / "m").read_bytes() == DATA


@pytest.mark.parametrize("junk", [b"", b"\xff\xfe", b'"another row"\n0\n1\n', b"[]\n"])
async def test_a_damaged_journal_costs_nothing_that_the_bytes_confirm(tmp_path: Path, junk: bytes) -> None:
    with pytest.raises(SourceError):
        await bring(tmp_path / "m", FakeBlobs("kitchen", DATA, Fault.VANISHES, allowed=4))
    (tmp_path / "m.journal").write_bytes(junk)
    again = FakeBlobs("attic", DATA)
    await bring(tmp_path / "m", again)
    assert again.read_from == [4 * CHUNK_BYTES]


async def test_a_device_that_vanishes_leaves_the_rest_to_the_others(tmp_path: Path) -> None:
    gone = FakeBlobs("gone", DATA, Fault.VANISHES, allowed=1)
    await bring(tmp_path / "m", gone, FakeBlobs("there", DATA))
    assert (tmp_path / "m").read_bytes() == DATA


async def test_a_busy_device_is_asked_again(tmp_path: Path) -> None:
    busy = FakeBlobs("busy", DATA, Fault.BUSY_ONCE)
    assert await bring(tmp_path / "m", busy) == ["busy"]
    assert busy.read_from[:2] == [0, 0]


async def test_the_slowest_device_does_not_hold_up_the_end(tmp_path: Path) -> None:
    slow, quick = FakeBlobs("slow", DATA, Fault.SLOW), FakeBlobs("quick", DATA)
    async with asyncio.timeout(20):
        await bring(tmp_path / "m", slow, quick)
    assert slow.read_from == [0]
    assert sorted(quick.read_from) == [n * CHUNK_BYTES for n in range(5)]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offers, "LATE_S", 0.05)


async def test_a_device_that_never_answers_holds_nobody_up(tmp_path: Path, impatient: None) -> None:
    silent, quick = FakeBlobs("silent", DATA, Fault.LATE), FakeBlobs("quick", DATA)
    async with asyncio.timeout(10):
        assert await bring(tmp_path / "m", silent, quick) == ["quick"]
    assert (tmp_path / "m").read_bytes() == DATA
    assert silent.read_from == []


async def test_a_device_that_answers_late_joins_in(tmp_path: Path, impatient: None) -> None:
    late, first = FakeBlobs("late", DATA, Fault.LATE), FakeBlobs("first", DATA)

    def progress(done: int, total: int | None) -> None:
        late.go.set()  # once it has begun

    gave = await copy(SHA, [late, first], tmp_path / "m", progress, free_bytes=lambda: ROOMY)
    assert sorted(gave) == ["first", "late"]
    assert (tmp_path / "m").read_bytes() == DATA


async def test_a_device_that_answers_after_the_others_are_gone_brings_the_rest(tmp_path: Path, impatient: None) -> None:
    late, gone = FakeBlobs("late", DATA, Fault.LATE), FakeBlobs("gone", DATA, Fault.VANISHES, allowed=2)
    copying = asyncio.create_task(bring(tmp_path / "m", late, gone))
    await until(lambda: len(gone.read_from) >= 2 + TRIES)
    await asyncio.sleep(0.1)
    late.go.set()
    async with asyncio.timeout(10):
        assert await copying == ["gone", "late"]
    assert late.read_from == [n * CHUNK_BYTES for n in (2, 3, 4)]
    assert (tmp_path / "m").read_bytes() == DATA


async def test_a_late_device_that_says_something_else_is_asked_when_the_first_row_was_a_lie(
    tmp_path: Path, impatient: None
) -> None:
    honest, liar = FakeBlobs("honest", DATA, Fault.LATE), FakeBlobs("liar", DATA, Fault.LYING)

    def progress(done: int, total: int | None) -> None:
        honest.go.set()

    gave = await copy(SHA, [honest, liar], tmp_path / "m", progress, free_bytes=lambda: ROOMY)
    assert gave == ["honest"]
    assert (tmp_path / "m").read_bytes() == DATA


async def test_no_device_has_it_is_a_source_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="kitchen does not have it"):
        await bring(tmp_path / "m", FakeBlobs("kitchen", DATA, Fault.LACKS))
    with pytest.raises(SourceUnreachable):
        await bring(tmp_path / "m")


async def test_a_file_of_another_size_than_the_catalog_says_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="where 7 are expected"):
        await bring(tmp_path / "m", FakeBlobs("kitchen", DATA), size=7)
    assert os.listdir(tmp_path) == []


async def test_a_disk_without_room_is_said_before_a_byte_comes(tmp_path: Path) -> None:
    kitchen = FakeBlobs("kitchen", DATA)
    with pytest.raises(StoreFull, match="are needed"):
        await bring(tmp_path / "m", kitchen, free=len(DATA) + SPARE_BYTES - 1)
    assert kitchen.read_from == []


async def test_room_is_needed_only_for_what_is_still_to_come(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        await bring(tmp_path / "m", FakeBlobs("kitchen", DATA, Fault.VANISHES, allowed=4))
    await bring(tmp_path / "m", FakeBlobs("attic", DATA), free=12345 + SPARE_BYTES)
    assert (tmp_path / "m").read_bytes() == DATA


async def test_stopping_leaves_what_came_for_the_next_time(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        if done >= 2 * CHUNK_BYTES:
            raise Stopped

    with pytest.raises(Stopped):
        await copy(SHA, [FakeBlobs("kitchen", DATA)], tmp_path / "m", stop, free_bytes=lambda: ROOMY)
    assert len(Part(tmp_path / "m", row_of(DATA)).missing) <= 3


def test_a_disk_that_fills_up_under_way_is_said_and_what_came_stays(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or os.system(f"mount -t tmpfs -o size=12m tmpfs {disk} 2>/dev/null"):
        pytest.skip("needs to mount a small disk: run as root")
    try:
        with pytest.raises(StoreFull, match="is full"):
            asyncio.run(bring(disk / "m", FakeBlobs("kitchen", DATA)))
        assert sorted(Part(disk / "m", row_of(DATA)).done) == [0]
    finally:
        os.system(f"umount {disk}")
