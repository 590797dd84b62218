"""Five devices are killed and two are stopped while they write: nobody who reads the answer can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.benches.continuity import BARS_S, lose_all, plan
from scripts.benches.losses import household


@pytest.mark.real
@pytest.mark.timeout(300)
async def test_answers_outlive_the_device_that_writes_them(models_home: Path) -> None:
    """Some go on here, some on a third device; the hundred are `scripts/bench continuity --full`."""
    async with household(models_home, "smollm2-135m") as home:
        for done in await lose_all(home, plan(5, 2)):
            assert done.equal, (done.after, done.told, done.whole)
            assert done.told.node == done.heir
            assert done.told.pause_s <= BARS_S[done.loss] + done.whole.first_s, (done.loss, done.heir, done.after)
