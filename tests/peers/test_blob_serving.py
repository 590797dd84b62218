"""Models copied between real nodes over TLS: only what is installed, only to those who were granted it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import aiohttp
import pytest

from models.errors import SourceError, SourceUnreachable
from models.manifest import PeerSource
from models.types import Label
from peers import membership, ranges, tls
from peers.audit import Act
from peers.blob_source import PeerBlobs
from peers.blobs import copy
from peers.chunks import CHUNK_BYTES
from peers.errors import LinkError, PeersError
from peers.grants import guest_device, own_device
from runtime.copying import bring
from tests.peers import stocked
from tests.peers.stocked import install
from tests.peers.swarm import Node, pair, running
from tests.socket_guard import SocketGuard

DATA = Random(7).randbytes(CHUNK_BYTES + 4321)
SHA = hashlib.sha256(DATA).hexdigest()
LACKING = "0" * 64


def installed(node: Node, data: bytes = DATA) -> Path:
    return install(node.store, node.state.folder, data)


def blobs(asker: Node, other: Node) -> PeerBlobs:
    return stocked.blobs(asker, other.id)


@asynccontextmanager
async def raw(asker: Node, other: Node) -> AsyncIterator[aiohttp.ClientSession]:
    """A paired device that says what it likes."""
    context = tls.client_context(asker.state.identity, other.state.identity.public.certificate_der)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    async with aiohttp.ClientSession(f"https://{other.address}", connector=connector) as session:
        yield session


async def test_a_model_is_copied_between_devices_and_is_the_same(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        installed(kitchen)
        target = tmp_path / "copy"
        await bring(laptop.state, laptop.store, PeerSource(SHA), target, lambda done, total: None)
        assert target.read_bytes() == DATA


async def test_three_devices_and_one_of_them_with_a_rotten_file(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen), running(tmp_path, "attic") as attic:
        laptop.knows(attic)
        attic.knows(laptop)
        installed(attic)
        rotten = installed(kitchen)
        assert (await blobs(laptop, kitchen).chunks(SHA)).is_whole  # it has said its chunks already
        rotten.write_bytes(DATA[:5] + b"rot" + DATA[8:])
        sources = [blobs(laptop, kitchen), blobs(laptop, attic)]
        gave = await copy(SHA, sources, tmp_path / "copy", lambda done, total: None, free_bytes=lambda: 10**12)
        assert "attic" in gave
        assert (tmp_path / "copy").read_bytes() == DATA


async def test_a_copy_is_one_entry_in_each_ledger_and_in_the_audit_log(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        installed(kitchen)
        await bring(laptop.state, laptop.store, PeerSource(SHA), tmp_path / "copy", lambda done, total: None)
        (given,) = kitchen.state.ledger.entries()
        assert (given.digest, given.size_bytes, given.recipient_name) == (SHA, len(DATA), "laptop")
        assert given.label is Label.PERSONAL  # no catalog names it
        assert kitchen.state.ledger.bytes_of(given) is None  # the file itself is in the store
        assert kitchen.state.ledger.verify().ok
        noted = kitchen.state.audit.newest(1)[0]
        assert (noted.act, noted.size_bytes) == (Act.BLOB, len(DATA))
        asked = [laptop.state.ledger.bytes_of(entry) for entry in laptop.state.ledger.entries()]
        assert asked == [f"/peer/1/blobs/{SHA}".encode(), f"/peer/1/blobs/{SHA}/chunks".encode()]


async def test_nothing_of_a_copy_goes_without_a_live_release(tmp_path: Path, socket_guard: SocketGuard) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        installed(kitchen)
        with socket_guard.elsewhere(("127.0.0.1", kitchen.server.port)):
            await blobs(laptop, kitchen).read(SHA, 0, 100)
        assert socket_guard.take() == []


async def test_a_device_without_that_grant_is_refused_and_it_is_noted(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop, replace(own_device(), copy_models=False))
        installed(kitchen)
        for sha256 in (SHA, LACKING):  # nor does it learn which models are here
            with pytest.raises(PeersError, match="not granted 'copy_model'"):
                await blobs(laptop, kitchen).read(sha256, 0, 10)
        assert kitchen.state.ledger.entries() == []
        assert kitchen.state.audit.newest(1)[0].act is Act.REFUSED


async def test_a_guest_does_not_get_a_model_that_the_owner_brought(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop, replace(guest_device(None), copy_models=True))
        installed(kitchen)
        with pytest.raises(PeersError, match="only public things were granted"):
            await blobs(laptop, kitchen).read(SHA, 0, 10)


async def test_a_stranger_gets_no_byte(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen)
        installed(kitchen)
        with pytest.raises(LinkError):
            await blobs(laptop, kitchen).read(SHA, 0, 10)


@pytest.mark.parametrize(
    "path",
    [
        "/peer/1/blobs/..%2F..%2Fnode%2Fkey.pem",
        "/peer/1/blobs/%2e%2e/%2e%2e/node/key.pem",
        "/peer/1/blobs/" + SHA.upper(),
        "/peer/1/blobs/" + SHA[:-1] + "%00",
        "/peer/1/blobs/" + SHA + "%0A",
        "/peer/1/blobs/" + LACKING,
        "/peer/1/blobs/..%2F..%2Fnode%2Fkey.pem/chunks",
    ],
)
async def test_nothing_but_the_digest_of_an_installed_model_is_a_name(tmp_path: Path, path: str) -> None:
    async with pair(tmp_path) as (laptop, kitchen), raw(laptop, kitchen) as session:
        installed(kitchen)
        async with session.get(path) as response:
            assert response.status == 404
        assert kitchen.state.ledger.entries() == []


async def test_a_file_in_the_store_that_belongs_to_no_installed_model_is_not_given(tmp_path: Path) -> None:
    async with pair(tmp_path) as (laptop, kitchen):
        loose = kitchen.state.folder / "loose"
        loose.write_bytes(DATA)
        kitchen.store.add_blob(loose)
        with pytest.raises(SourceError, match="kitchen does not have it"):
            await blobs(laptop, kitchen).chunks(SHA)


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=0-9", 206, DATA[:10]),
        (f"bytes={len(DATA) - 3}-", 206, DATA[-3:]),
        (f"bytes={len(DATA) - 3}-{10**14}", 206, DATA[-3:]),
        (f"bytes={len(DATA)}-", 416, b""),
        ("bytes=9-0", 416, b""),
        ("bytes=-5", 416, b""),
        ("bytes=0-1,3-4", 416, b""),
        ("bytes=" + "9" * 5000 + "-", 416, b""),
        ("lines=0-9", 416, b""),
    ],
)
async def test_a_range_is_what_was_asked_or_refused(tmp_path: Path, asked: str, status: int, body: bytes) -> None:
    async with pair(tmp_path) as (laptop, kitchen), raw(laptop, kitchen) as session:
        installed(kitchen)
        async with session.get(f"/peer/1/blobs/{SHA}", headers={"Range": asked}) as response:
            assert (response.status, await response.read()) == (status, body)
            if status == 206:
                start, length = ranges.span_given(response.headers["Content-Range"]) or (0, 0)
                assert DATA[start : start + length] == body


async def test_too_many_parts_at_once_are_told_to_wait_and_the_copy_still_ends(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen", bytes_per_s=8e6) as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        installed(kitchen)
        source = blobs(laptop, kitchen)
        answers = await asyncio.gather(*(source.read(SHA, 0, 10**6) for _ in range(6)), return_exceptions=True)
        assert sum(isinstance(answer, bytes) for answer in answers) == 4
        assert all("parts of models already" in str(a) for a in answers if not isinstance(a, bytes))


async def test_a_copy_is_held_to_the_rate_that_was_set(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen", bytes_per_s=2e6) as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        installed(kitchen)
        began = time.monotonic()
        assert await blobs(laptop, kitchen).read(SHA, 0, 2_000_000) == DATA[:2_000_000]
        assert time.monotonic() - began > 0.7


async def test_a_device_revoked_in_the_middle_gets_no_more(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen", bytes_per_s=1e6) as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        installed(kitchen)
        reading = asyncio.create_task(blobs(laptop, kitchen).read(SHA, 0, CHUNK_BYTES))
        await asyncio.sleep(0.5)
        membership.revoke(kitchen.state, laptop.state.identity.node_id)
        with pytest.raises(LinkError):
            await asyncio.wait_for(reading, 3)


async def test_a_guest_is_not_asked_for_models(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "visitor") as visitor:
        laptop.knows(visitor, guest_device(None))
        visitor.knows(laptop)
        installed(visitor)
        with pytest.raises(SourceUnreachable, match="no device of your own is paired"):
            await bring(laptop.state, laptop.store, PeerSource(SHA), tmp_path / "copy", lambda done, total: None)
        assert laptop.state.ledger.entries() == []


async def test_a_device_that_may_not_ask_is_told_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop, replace(own_device(), copy_models=False))
        installed(kitchen)
        with pytest.raises(SourceUnreachable, match="Its owner can change that"):
            await bring(laptop.state, laptop.store, PeerSource(SHA), tmp_path / "copy", lambda done, total: None)
