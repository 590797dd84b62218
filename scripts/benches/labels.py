"""Twenty labels: weighed by their token trie, against writing one of them under a constraint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from models.backend import Constraint, GenerateCall, Message, whole
from models.backends.llama import LlamaModel
from runtime.evals.errors import SuiteSkipped
from runtime.evals.metrics.intervals import interval_of, resamples
from scripts.benches import texts
from scripts.benches.figures import Report, Row, Spread, alone, compared
from scripts.benches.labelled import Labelled, labelled
from scripts.benches.setup import Setup, say

ABOUT = "20 labels: probabilities of all by trie, against one of them written greedily"
SIDES = ("by trie", "written")
LABELS = (
    "weather forecast, train ticket, restaurant booking, bank transfer, lost card, exchange rate, alarm clock, "
    "shopping list, to-do list, play music, stop music, set timer, light on, light off, room temperature, "
    "translate text, spell a word, tell a joke, travel alert, flight status"
).split(", ")
MOST_TIMES = 1.5
"""What weighing all may take of the time that writing one takes."""
LONGEST = 32
"""Tokens of a label; one that is written needs room to its end."""
ABOUT_TRIE = "The trie gives a probability for every label; writing gives one label and no measure for the others."
ABOUT_RIGHT = (
    "Right answers: share of the rows with its 95 % interval, drawn anew 1,000 times; zero is no difference. "
    "The prompt names the 20 labels with an example each, and nothing was fitted on the rows."
)


@dataclass(frozen=True, slots=True)
class Found:
    """One text, both ways: seconds and label."""

    seconds: tuple[float, float]
    labels: tuple[str, str]


async def run(setup: Setup) -> Report:
    rounds = setup.count(10, 100)
    settings: dict[str, object] = {"labels": len(LABELS), "rounds": rounds}
    async with setup.loaded() as model:
        made = [await _both(model, _made_up(number), LABELS) for number in range(rounds)]
        say(f"the best label is the written one in {sum(_agrees(one) for one in made)} of {rounds}")
        rows = _of("short labels", made)
        try:
            known = labelled(setup.count(20, 200))
        except SuiteSkipped as error:
            return Report("labels", ABOUT, tuple(rows), SIDES, settings, (ABOUT_TRIE, f"No right answers: {error}"))
        rows += await _on_rows(model, known)
    settings |= {"labelled_rows": len(known.asked), "model": setup.model}
    return Report("labels", ABOUT, tuple(rows), SIDES, settings, (ABOUT_TRIE, ABOUT_RIGHT))


async def _on_rows(model: LlamaModel, known: Labelled) -> list[Row]:
    """Ask both ways about every row, and count what is right."""
    system = Message("system", known.system())
    found = [await _both(model, (system, Message("user", text)), known.labels) for text, _ in known.asked]
    right = [
        [float(one.labels[side] == label) for one, (_, label) in zip(found, known.asked, strict=True)]
        for side in (0, 1)
    ]
    say(f"right: {sum(right[0]):.0f} by trie, {sum(right[1]):.0f} written, of {len(found)}")
    return [
        *_of("labelled texts", found),
        Row("right answers", "share", _share(right[0]), _share(right[1])),
        Row(
            "right answers, by trie minus written",
            "share",
            _share([a - b for a, b in zip(*right, strict=True)]),
            bar=0.0,
        ),
    ]


async def _both(model: LlamaModel, messages: tuple[Message, ...], labels: Sequence[str]) -> Found:
    await whole(model.generate(GenerateCall(messages, 1)))  # both find the prompt's state ready
    began = time.perf_counter()
    weights = await model.score(messages, labels)
    weighed = time.perf_counter()
    call = GenerateCall(messages, LONGEST, constraint=Constraint("choice", list(labels)))
    written = (await whole(model.generate(call))).text
    seconds = weighed - began, time.perf_counter() - weighed
    return Found(seconds, (labels[max(range(len(labels)), key=weights.__getitem__)], written))


def _made_up(number: int) -> tuple[Message, ...]:
    return (Message("user", f"Request: {texts.filler(24, number)}\nWhich of these is it? {', '.join(LABELS)}"),)


def _agrees(found: Found) -> bool:
    return found.labels[0] == found.labels[1]


def _of(kind: str, found: Sequence[Found]) -> list[Row]:
    seconds = [one.seconds[0] for one in found], [one.seconds[1] for one in found]
    same = sum(map(_agrees, found)) / len(found)
    return [
        compared(f"one text, {kind}", "s", seconds, "lower", bar=MOST_TIMES),
        alone(f"the same label, {kind}", "share", [same]),
    ]


def _share(values: Sequence[float]) -> Spread:
    """Return the mean with its 95 % interval in place of the quartiles."""
    table = np.array(values)
    low, high = interval_of([float(table[pick].mean()) for pick in resamples(len(table))])
    return Spread(fmean(values), low, high, len(values))
