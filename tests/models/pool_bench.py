"""A pool on a store of small models that only count, and a log of what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from models import manifest as manifests
from models.errors import BadArtifact
from models.manifest import Manifest
from models.pool import ModelPool
from models.store import Store
from models.types import Digest, ModelId

MB = 2**20


class Weight:
    """A loaded model that only counts."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.id = ModelId(name)
        self.artifacts: tuple[Digest, ...] = ()
        self.memory_bytes = 0
        self._log = log

    async def close(self) -> None:
        self._log.append(f"-{self.id}")


class Bench:
    """A store with three models of 100 MB each, and a log of loads (+) and unloads (-)."""

    def __init__(self, folder: Path, budget_mb: int) -> None:
        self.log: list[str] = []
        self.broken: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        """A model with a gate loads only once that is open."""
        self.at_gate: list[str] = []
        self.store = Store(folder)
        for name in ("one", "two", "three"):
            digest = self.store.add_blob(_file(folder, name))
            self.store.install(
                manifests.parse(
                    {
                        "id": name,
                        "summary": name,
                        "kind": "text",
                        "backend": "scripted",
                        "licence": "MIT",
                        "memory_bytes": 100 * MB,
                        "artifacts": [{"role": "model", "file": "m.gguf", "sha256": digest}],
                    },
                    "test",
                )
            )
        self.pool = ModelPool(self.store, budget_bytes=budget_mb * MB, threads=1, openers={"scripted": self._open})

    async def _open(self, manifest: Manifest, store: Store, threads: int) -> Weight:
        await asyncio.sleep(0)
        if manifest.id in self.gates:
            self.at_gate.append(manifest.id)
            await self.gates[manifest.id].wait()
        if manifest.id in self.broken:
            raise BadArtifact(f"{manifest.id} is damaged")
        self.log.append(f"+{manifest.id}")
        return Weight(manifest.id, self.log)

    async def use(self, *names: str) -> str:
        async with self.pool.text(names) as model:
            return model.id


async def made(model: Weight) -> Weight:
    return model


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0)


def _file(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.bin"
    path.write_text(name)
    return path
