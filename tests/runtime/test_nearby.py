"""`covey models pull` asks the owner's other devices first, and the internet for what they do not have."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from random import Random

from models.manifest import Artifact, HttpsSource, Manifest
from models.pull import pull
from models.sources.transfer import FileProgress
from models.store import Store
from runtime.nearby import fetchers
from tests.peers.swarm import Node, running

DATA = Random(7).randbytes(300_000)
SHA = hashlib.sha256(DATA).hexdigest()
WEB = HttpsSource("https", "https://example.org/model.onnx")
WANTED = Manifest(
    "tiny", "For tests.", "encoder", "onnx", (Artifact("model", "m.onnx", len(DATA), SHA, (WEB,)),), "MIT"
)


class Internet:
    """Delivers the file and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, source: object, target: Path, progress: FileProgress, *, size_bytes: int | None = None) -> None:
        self.calls += 1
        target.write_bytes(DATA)


def has_it(node: Node) -> None:
    source = node.state.folder / "brought"
    source.write_bytes(DATA)
    node.store.add_blob(source)
    node.store.install(WANTED)


async def test_a_paired_device_that_has_the_model_is_asked_before_the_internet(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        has_it(kitchen)
        web, store = Internet(), laptop.store
        near = fetchers(tmp_path / "laptop", store)
        assert await pull(WANTED, store, fetchers={"https": web, **near}) == WANTED
        assert (web.calls, store.verify("tiny")) == (0, [])
        assert store.recorded("tiny") == WANTED  # where it came from is no part of what it is


async def test_the_internet_is_asked_when_no_paired_device_has_it_or_none_answers(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop:
        async with running(tmp_path, "kitchen") as kitchen:
            laptop.knows(kitchen)
            kitchen.knows(laptop)
            web, near = Internet(), fetchers(tmp_path / "laptop", laptop.store)
            await pull(WANTED, laptop.store, fetchers={"https": web, **near})
            assert web.calls == 1
        laptop.store.remove("tiny")
        await pull(WANTED, laptop.store, fetchers={"https": web, **near})
        assert web.calls == 2


def test_a_device_that_was_never_paired_has_nobody_to_ask(tmp_path: Path) -> None:
    assert fetchers(tmp_path, Store(tmp_path / "models")) == {}


async def test_a_model_brought_by_hand_elsewhere_comes_from_there_too(tmp_path: Path) -> None:
    by_hand = Manifest("tiny", "For tests.", "encoder", "onnx", (Artifact("model", "m.onnx", len(DATA), SHA),), "MIT")
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        has_it(kitchen)
        await asyncio.wait_for(pull(by_hand, laptop.store, fetchers=fetchers(tmp_path / "laptop", laptop.store)), 20)
        assert laptop.store.verify("tiny") == []
