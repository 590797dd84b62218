"""What a node tells its paired devices of its load: what is at work, and what waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backends.scripted import ScriptedPool
from models.types import Label, Tier
from runtime import paths
from runtime.events import NO_DIGEST, StepFinished, StepStarted, TaskSubmitted
from runtime.facts import OwnFacts
from runtime.node import NAME, Node, open_node
from runtime.plan import StepId
from runtime.task import TaskId


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


def _ran(
    node: Node, capability: str, *, at: str = NAME, refusal: str = "", passed: bool = True, number: int = 1
) -> None:
    """Write down runs of a kind of work, as a request leaves them in the journal."""
    for _ in range(number):
        task = TaskId(f"{node.journal.append(TaskId('t'), TaskSubmitted(NO_DIGEST, Label.PERSONAL, Tier.HOME)):032x}")
        node.journal.append(
            task,
            StepStarted(StepId("s1"), capability, capability, NO_DIGEST, node=at),
            StepFinished(StepId("s1"), NO_DIGEST, refusal=refusal, verdicts={"check": passed}),
        )


async def test_how_often_work_was_sure_here_is_told_once_there_was_enough(tmp_path: Path) -> None:
    async with open_node(paths.ensure_home(tmp_path / "home"), pool=ScriptedPool()) as node:
        facts = OwnFacts(node, addresses=tuple, running=lambda: 0)
        _ran(node, "calculate", number=8)
        _ran(node, "calculate", refusal="not_sure")
        _ran(node, "convert", at="kitchen", number=20)
        await facts.look()
        told = {card.capability: card.success for card in facts.cards()}
        assert (told["calculate"], told["convert"]) == (None, None), "nine runs, and runs elsewhere, tell nothing"
        _ran(node, "calculate", passed=False)
        await facts.look()
        assert {card.capability: card.success for card in facts.cards()}["calculate"] == 0.75  # (8 + 1) of (10 + 2)


async def test_only_the_last_runs_count(tmp_path: Path) -> None:
    async with open_node(paths.ensure_home(tmp_path / "home"), pool=ScriptedPool()) as node:
        facts = OwnFacts(node, addresses=tuple, running=lambda: 0)
        _ran(node, "calculate", refusal="not_sure", number=30)
        _ran(node, "calculate", number=30)
        await facts.look()
        assert {card.capability: card.success for card in facts.cards()}["calculate"] == 0.95
