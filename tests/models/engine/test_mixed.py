"""All that a batch does at once: answers, labels, conversations, cancels, deadlines, a shelf, prompts shared and kept.

Whatever meets in one step, each request gets what it gets alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conversations import ConversationFiles
from models.errors import DeadlineExceeded
from models.types import PROGRAMS
from tests.models.engine.scripted_library import Bench, expected, weighed

OWN = [i % 50 for i in range(40)]
"""A specialist's own prompt: long enough that one computes it while others wait."""
LABELS = [[token, *rest] for token in range(0, 60, 3) for rest in ([1], [2, 1], [2, 2])]
"""So many that what the model would say after a prompt is often the beginning of one."""


@dataclass(frozen=True)
class Wish:
    """One request, and what happens once it is there."""

    said: list[int]
    shares: bool
    labels: bool
    asker: str
    talk: str
    most: int
    fate: str
    steps: int
    """Steps before the next request."""


wishes = st.builds(
    Wish,
    said=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    shares=st.booleans(),
    labels=st.booleans(),
    asker=st.sampled_from(["", PROGRAMS, "guest"]),
    talk=st.sampled_from(["", "a", "b"]),
    most=st.integers(1, 9),
    fate=st.sampled_from(["", "", "", "cancelled", "late", "kept", "forgotten", "no room"]),
    steps=st.sampled_from([0, 0, 0, 1, 2, 6]),
)


@given(st.lists(wishes, min_size=1, max_size=12), st.sampled_from([0, 60, 200]), st.sampled_from([8, 16, 64]))
@settings(max_examples=120, deadline=None)
def test_each_request_gets_what_it_gets_alone(wanted: list[Wish], shelf: int, rows: int) -> None:
    with TemporaryDirectory() as made:
        bench = Bench(kv=240, slots=3, rows=rows, shelf=shelf, folder=Path(made), talks=ConversationFiles("m"))
        for number, wish in enumerate(wanted):
            _ask(bench, number, wish, Path(made))
            for _ in range(wish.steps):
                bench.batch.step()
            _meet(bench, number, wish.fate)
        bench.run()
        for number, wish in enumerate(wanted):
            _check(bench, number, wish)
        assert all(not state for state in bench.library.states[3:]), "scratch sequences are empty between steps"


def _prompt(wish: Wish) -> list[int]:
    return [*OWN, *wish.said] if wish.shares else wish.said


def _ask(bench: Bench, number: int, wish: Wish, folder: Path) -> None:
    own = len(OWN) if wish.shares else 0
    if wish.labels:
        bench.weigh(number, _prompt(wish), LABELS, own=own, asker=wish.asker)
        return
    talk = folder / wish.talk if wish.talk and not wish.asker else None
    bench.ask(number, _prompt(wish), wish.most, own=own, keep=own, asker=wish.asker, conversation=talk)


def _meet(bench: Bench, number: int, fate: str) -> None:
    match fate:
        case "cancelled":
            bench.batch.cancel(number)
        case "late" if number not in bench.done:
            bench.asked[number].deadline = time.monotonic() - 1
        case "kept":
            bench.batch.keep_conversations()
        case "forgotten":
            bench.batch.forget()
        case "no room":
            bench.library.lies = 1


def _check(bench: Bench, number: int, wish: Wish) -> None:
    if number in bench.failed:
        assert number not in bench.done
        late = isinstance(bench.failed[number], DeadlineExceeded)
        assert late or "context is full" in str(bench.failed[number])
    elif number not in bench.done:
        assert wish.fate == "cancelled"
    elif wish.labels:
        assert bench.weights(number) == pytest.approx(weighed(_prompt(wish), LABELS))
    else:
        assert bench.answer(number) == expected(_prompt(wish), wish.most)
