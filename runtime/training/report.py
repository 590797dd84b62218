"""Figures of a trained specialist as JSON, and as plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from models.types import Json
from runtime.evals.metrics.intervals import Figure
from runtime.training.measuring import Measured

WORTH = 0.005
"""Half a point: a smaller gain is within the noise of any file an owner has."""
FEW_ROWS = 100
"""Below this, what is extrapolated from the curve is said to be a guess."""


def figures(measured: Measured) -> dict[str, Json]:
    """Return the figures as an object."""
    return {
        "accuracy": figure(measured.accuracy),
        "macro_f1": figure(measured.macro_f1),
        "answered": figure(measured.answered),
        "accuracy_answered": figure(measured.accuracy_answered),
        "weakest": [
            {"label": weak.label, "f1": round(weak.f1, 4), "found": weak.found, "rows": weak.rows}
            for weak in measured.weakest
        ],
        "confused": [{"label": one.label, "given": one.given, "count": one.count} for one in measured.confused],
        "curve": [{"rows": rows, "accuracy": round(accuracy, 4)} for rows, accuracy in measured.curve],
        "doubling_gain": round(measured.doubling_gain, 4),
        "reject": round(measured.reject, 4),
        "advice": advice(measured),
    }


def figure(found: Figure) -> dict[str, Json]:
    return {
        "value": None if found.value is None else round(found.value, 4),
        "interval": None if found.interval is None else [round(edge, 4) for edge in found.interval],
        "rows": found.rows,
    }


def about(measured: Measured, labels: Sequence[str]) -> dict[str, Json]:
    """Return what a head's `.json` says of it."""
    rows: dict[str, Json] = dict(Counter(labels).most_common())
    return {"rows": len(labels), "labels": rows, "measured": figures(measured)}


def lines(measured: Measured) -> list[str]:
    """Return how good it is, where it is weak and what would help, a line each."""
    out = [
        f"On texts it has not seen it is right in {_percent(measured.accuracy)}, mean F1 of the labels "
        f"{_percent(measured.macro_f1)} (5-fold cross-validation over {measured.accuracy.rows} rows)."
    ]
    if measured.answered.value is not None and measured.answered.value < 1:
        out.append(
            f"Where it is not sure it says so: it answers {measured.answered.value:.0%}, "
            f"and of these {_percent(measured.accuracy_answered)} are right."
        )
    if measured.weakest:
        weak = ", ".join(f"{one.label} (F1 {one.f1:.0%}, {one.found} of {one.rows} found)" for one in measured.weakest)
        out.append(f"Weakest: {weak}.")
    if measured.confused:
        pairs = ", ".join(f"{one.label} taken for {one.given} ({one.count})" for one in measured.confused)
        out.append(f"Most often confused: {pairs}.")
    return [*out, advice(measured)]


def advice(measured: Measured) -> str:
    """Return the sentence on how much more examples would help."""
    now, gain, rows = measured.curve[-1][1], measured.doubling_gain, measured.accuracy.rows
    if now >= 1 - WORTH:
        return "It is right on nearly all of them; more examples of the same kind would hardly show."
    if gain < WORTH:
        return (
            "More examples of the same kind would hardly help (under half a point for twice as many); "
            "clearer labels would, look at what is confused."
        )
    guess = " (a guess, from so few rows)" if rows < FEW_ROWS else ""
    return f"Twice as many examples ({2 * rows}) would raise it from {now:.0%} to about {now + gain:.0%}{guess}."


def _percent(found: Figure) -> str:
    if found.value is None or found.interval is None:
        return "no row"
    return f"{found.value:.0%} ({found.interval[0]:.0%} to {found.interval[1]:.0%})"
