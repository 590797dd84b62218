"""What a node tells its paired devices of its load: what is at work, and what waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool
from runtime import paths
from runtime.facts import OwnFacts
from runtime.node import open_node


class Waiting(ScriptedPool):
    """A pool in which so many requests wait."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def waiting(self) -> int:
        return self._number


@pytest.mark.parametrize(("known", "waiting", "told"), [(0, 0, (0, 0)), (3, 0, (3, 0)), (3, 2, (1, 2)), (1, 5, (0, 1))])
async def test_what_waits_for_a_model_is_told_apart_from_what_is_at_work(
    tmp_path: Path, known: int, waiting: int, told: tuple[int, int]
) -> None:
    async with open_node(paths.ensure_home(tmp_path / "home"), pool=Waiting(waiting)) as node:
        beat = OwnFacts(node, addresses=tuple, running=lambda: known).beat()
        assert (beat.running, beat.queued) == told


async def test_a_pool_that_does_not_know_who_waits_says_nothing_of_it(tmp_path: Path) -> None:
    async with open_node(paths.ensure_home(tmp_path / "home"), pool=ScriptedPool()) as node:
        beat = OwnFacts(node, addresses=tuple, running=lambda: 2).beat()
        assert (beat.running, beat.queued) == (2, 0)
