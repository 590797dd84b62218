"""Metrics of confidence: does it rank right above wrong, is it a probability, what is the risk at a coverage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from runtime.evals.metrics import calls, labels, slots, texts
from runtime.evals.metrics.outcome import Options, Outcome, Rows, column, columns

ECE_BINS = 15
"""Equal-width bins, as in the calibration papers the figure is compared with."""


RIGHT: Mapping[str, Callable[[Sequence[Outcome], Options], Rows]] = {
    "accuracy": labels.accuracy_all,
    "squad_em": texts.squad_em,
    "number_match": texts.number_match,
    "exact_match": slots.exact_match,
    "call_or_none": calls.call_or_none,
}
"""What counts as right for the confidence metrics, by the suite's option `correct`."""


def confidence_and_correct(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """Confidence of each answer, and whether it was right; refusals do not take part."""
    right = RIGHT[options.get("correct", "accuracy")](outcomes, options)[:, 0]
    pairs = zip(outcomes, right, strict=True)
    return columns([(np.nan, np.nan) if o.refused else (o.confidence, flag) for o, flag in pairs], 2)


def score_and_flag(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """A detector's score, and whether the row is a positive one."""
    name = options.get("score", "")
    return columns([(o.scores.get(name, o.confidence), float(bool(o.expected))) for o in outcomes], 2)


def false_positives(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """Negative rows only: does the score reach the threshold all the same."""
    name, threshold = options.get("score", ""), options.get("threshold", 0.5)
    return column([None if o.expected else o.scores.get(name, o.confidence) >= threshold for o in outcomes])


def auroc(rows: Rows) -> float:
    """Probability that a positive scores above a negative, ties counted half; 0.5 where one kind is absent."""
    scores, flags = rows[:, 0], rows[:, 1] > 0.5
    positives, negatives = int(flags.sum()), int((~flags).sum())
    if not positives or not negatives:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_rank = np.cumsum(counts) - (counts - 1) / 2
    return float((mid_rank[place][flags].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def aurc(rows: Rows) -> float:
    """Mean risk over all coverages, answers taken by falling confidence; 0 is best."""
    errors = 1 - rows[np.argsort(-rows[:, 0], kind="stable"), 1]
    return float((np.cumsum(errors) / np.arange(1, len(errors) + 1)).mean())


def risk_at(coverage: float) -> Callable[[Rows], float]:
    """Return the fold into the share of wrong answers among the most confident `coverage` of all."""

    def fold(rows: Rows) -> float:
        kept = max(1, round(coverage * len(rows)))
        return float(1 - rows[np.argsort(-rows[:, 0], kind="stable")[:kept], 1].mean())

    return fold


def ece(rows: Rows) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal-width bins."""
    bins = np.minimum((rows[:, 0] * ECE_BINS).astype(int), ECE_BINS - 1)
    confidence = np.bincount(bins, weights=rows[:, 0], minlength=ECE_BINS)
    hits = np.bincount(bins, weights=rows[:, 1], minlength=ECE_BINS)
    return float(np.abs(confidence - hits).sum() / len(rows))


def brier(rows: Rows) -> float:
    return float(((rows[:, 0] - rows[:, 1]) ** 2).mean())


def recall_at_fpr(rate: float) -> Callable[[Rows], float]:
    """Return the fold into recall at the lowest threshold whose false positives stay within the rate."""

    def fold(rows: Rows) -> float:
        positive, negative = rows[rows[:, 1] > 0.5, 0], np.sort(rows[rows[:, 1] <= 0.5, 0])[::-1]
        if not len(positive) or not len(negative):
            return 0.0
        allowed = int(rate * len(negative))
        return float((positive > negative[min(allowed, len(negative) - 1)]).mean())

    return fold
