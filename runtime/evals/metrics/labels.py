"""Metrics of one label a row: accuracy, out-of-scope recall, macro F1, what was refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.types import Json
from runtime.evals.metrics.outcome import Options, Outcome, Rows, column, columns


def same(left: Json, right: Json) -> bool:
    """Return whether two labels are the same, letter case and outer blanks aside."""
    if isinstance(left, str) and isinstance(right, str):
        return left.strip().casefold() == right.strip().casefold()
    return left == right


def correct(outcome: Outcome) -> bool:
    """A refusal is wrong unless 'none' is what was expected."""
    return any(same(outcome.answer, accepted) for accepted in (outcome.expected, *outcome.also))


def out_of_scope(outcome: Outcome, options: Options) -> bool:
    return "out_of_scope" in options and same(outcome.expected, options["out_of_scope"])


def accuracy(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """In-scope rows only, where the suite names an out-of-scope label."""
    return column([None if out_of_scope(o, options) else correct(o) for o in outcomes])


def accuracy_all(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """All rows: an out-of-scope row is right when it is refused."""
    return column([_noticed(o, options) if out_of_scope(o, options) else correct(o) for o in outcomes])


def oos_recall(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """Share of the out-of-scope rows that were refused."""
    return column([_noticed(o, options) if out_of_scope(o, options) else None for o in outcomes])


def oos_precision(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """Share of the refused rows that were out of scope."""
    return column([out_of_scope(o, options) if _noticed(o, options) else None for o in outcomes])


def coverage(outcomes: Sequence[Outcome], _: Options) -> Rows:
    return column([o.refused is None for o in outcomes])


def accuracy_answered(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """Of the in-scope rows that got an answer."""
    return column([None if o.refused or out_of_scope(o, options) else correct(o) for o in outcomes])


def label_pairs(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Number of the expected label and of the answered one; -1 for no answer."""
    names: dict[str, int] = {}

    def number(value: Json) -> int:
        return -1 if value is None else names.setdefault(str(value).strip().casefold(), len(names))

    return columns([(number(o.expected), number(o.expected if correct(o) else o.answer)) for o in outcomes], 2)


def macro_f1(rows: Rows) -> float:
    """Mean over the expected labels of each label's F1."""
    expected, answered = rows[:, 0].astype(int), rows[:, 1].astype(int)
    size = int(max(expected.max(), answered.max())) + 2
    hits = np.bincount(expected[expected == answered] + 1, minlength=size)
    total = np.bincount(expected + 1, minlength=size) + np.bincount(answered + 1, minlength=size)
    labels = np.unique(expected) + 1
    return float((2 * hits[labels] / total[labels]).mean())


def _noticed(outcome: Outcome, options: Options) -> bool:
    return outcome.answer is None or same(outcome.answer, options.get("out_of_scope"))
