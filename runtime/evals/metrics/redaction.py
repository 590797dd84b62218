"""Metrics of redaction: how much of a text is hidden, and whether it comes back."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.evals.metrics.outcome import Options, Outcome, Rows, column, columns


def words_hidden(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Words that stand in a hidden piece, and all words."""
    return columns([(o.scores.get("hidden", 0.0), o.scores.get("words", 0.0)) for o in outcomes], 2)


def restored(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Of the texts that nothing blocks."""
    return column([o.scores.get("restored") for o in outcomes])


def sendable(outcomes: Sequence[Outcome], _: Options) -> Rows:
    return column([o.scores.get("sendable") for o in outcomes])
