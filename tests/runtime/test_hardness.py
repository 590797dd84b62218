"""How hard a request looks, by the shipped head; and that nobody waits for it where it can't be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool
from models.heads import head
from models.pool import ModelPool
from models.store import Store
from runtime.hardness import Hardness
from runtime.marking import HARD
from runtime.paths import models_dir


async def test_without_the_encoder_nothing_is_said() -> None:
    assert await Hardness(ScriptedPool({})).of("Prove that the square root of 2 is irrational.") is None


@pytest.mark.real
async def test_a_proof_looks_harder_than_everyday_requests(models_home: Path) -> None:
    if not (head.FOLDER / "hard.npz").is_file():
        pytest.skip("the head is not built: scripts/build_heads hard")
    pool = ModelPool(Store(models_dir(models_home)), budget_bytes=1 << 30, threads=1)
    try:
        looks = Hardness(pool)
        assert (await looks.of("Prove that the square root of 2 is irrational.") or 0) >= HARD
        for text in ("Thanks!", "Write a short thank-you note to my neighbour", "turn on the light in the kitchen"):
            assert (await looks.of(text) or 1) < HARD
        assert await looks.of("   ") is None
    finally:
        await pool.close()
