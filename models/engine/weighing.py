"""The probabilities of labels as the next text: the logits after every branch of their token trie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from models.engine.answering import Scoring
from models.engine.library import Row
from models.engine.states import Logits, States

Path = tuple[int, ...]


def weigh(states: States, sequence: int, job: Scoring, root: Logits, *, rows: int) -> list[float]:
    """Return one probability per label. `sequence` holds the prompt, `root` the logits after it.

    Each branch is computed on a scratch copy of the prompt, at most `rows` rows a step. Raises NoRoom.
    """
    known: dict[Path, Logits] = {(): root}
    for group in _groups(job.doubtful(root), len(states.scratch), rows):
        known.update(_branches(states, sequence, group, rows))
    return job.probabilities(known)


def _groups(paths: Sequence[Path], most: int, rows: int) -> Iterator[list[Path]]:
    """Yield the paths in groups that one decode call can take."""
    group: list[Path] = []
    size = 0
    for path in paths:
        if group and (len(group) == most or size + len(path) > rows):
            yield group
            group, size = [], 0
        group.append(path)
        size += len(path)
    if group:
        yield group


def _branches(states: States, sequence: int, group: list[Path], rows: int) -> dict[Path, Logits]:
    start = len(states.tokens(sequence))
    plan: list[Row] = []
    found: list[Logits] = []
    try:
        for scratch, path in zip(states.scratch, group, strict=False):
            states.copy(sequence, scratch, start)
            plan += [Row(token, start + i, scratch, i == len(path) - 1) for i, token in enumerate(path)]
        for at in range(0, len(plan), rows):  # one path may be longer than a step
            found += [row.copy() for row in states.compute(plan[at : at + rows])]
        return dict(zip(group, found, strict=True))
    finally:
        for scratch in states.scratch:
            states.cut(scratch, 0)
