"""Five devices are killed and one is stopped while they write: nobody who reads the answer can tell."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from scripts.benches.continuity import PROMPTS, household

KILLED_S, SILENT_S = 1.0, 5.0
SHARED = 4.0
"""The suite runs on machines that do other things too; the bench holds the bare figures."""


@pytest.mark.real
@pytest.mark.timeout(300)
async def test_answers_outlive_the_device_that_writes_them(models_home: Path) -> None:
    chance = random.Random(7)
    async with household(models_home, "smollm2-135m") as home:
        for prompt in PROMPTS:
            done = await home.lost(prompt, "killed", chance)
            assert done.equal, (done.after, done.told.text, done.whole.text)
            assert not done.told.restarted
            assert done.beyond_s < KILLED_S * SHARED
        done = await home.lost(PROMPTS[0], "silent", chance)
        assert done.equal
        assert done.beyond_s < SILENT_S + KILLED_S * SHARED
