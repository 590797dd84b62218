"""Metrics of records and spans: counts of what was found rightly, found wrongly, and missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from models.types import Json
from runtime.evals.metrics.outcome import Options, Outcome, Rows, column, columns


def pairs(record: Json) -> Counter[tuple[str, str]]:
    """Return (slot, value) pairs of a record, or of a list of `{slot, value}`; blanks and letter case aside."""
    found: Counter[tuple[str, str]] = Counter()
    if isinstance(record, dict):
        items: list[tuple[Any, Any]] = list(record.items())
    elif isinstance(record, list):
        items = [(item.get("slot"), item.get("value")) for item in record if isinstance(item, dict)]
    else:
        items = []
    for slot, value in items:
        for one in value if isinstance(value, list) else [value]:
            if one is not None and one != "":
                found[str(slot), " ".join(str(one).split()).casefold()] += 1
    return found


def slot_counts(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Right, wrong and missed slots of each row; a slot with another value is both wrong and missed."""
    return columns([_counts(pairs(o.answer), pairs(o.expected)) for o in outcomes], 3)


def exact_match(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Whether the whole record, or the whole text, is right."""
    return column([_exact(o) for o in outcomes])


def valid(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Whether the output fits the schema that was asked for; refusals do not take part, `coverage` counts them."""
    return column([o.valid for o in outcomes])


def _exact(outcome: Outcome) -> bool:
    if isinstance(outcome.expected, dict | list):
        return outcome.answer is not None and pairs(outcome.answer) == pairs(outcome.expected)
    return any(
        " ".join(str(outcome.answer).split()).casefold() == " ".join(str(accepted).split()).casefold()
        for accepted in (outcome.expected, *outcome.also)
    )


def span_counts(kind: str = "") -> Callable[[Sequence[Outcome], Options], Rows]:
    """Return the counter of exact spans, of one type or of all."""

    def counts(outcomes: Sequence[Outcome], options: Options) -> Rows:
        names: dict[str, str] = options.get("types", {})
        return columns([_counts(_spans(o.answer, names, kind), _spans(o.expected, {}, kind)) for o in outcomes], 3)

    return counts


def touch_counts(kind: str = "", kinds: str = "") -> Callable[[Sequence[Outcome], Options], Rows]:
    """Return the counter of spans that touch: expected ones touched by a found one, all expected, the same of found.

    Which type a span has does not matter, but `kind` counts the expected ones of one type only. With the option
    `only`, expected spans of other types do not take part; `kinds` names an option with the types to count.
    """

    def counts(outcomes: Sequence[Outcome], options: Options) -> Rows:
        only = options.get("only")
        rows = []
        for o in outcomes:
            wanted = [s for s in _spans(o.expected, {}, "").elements() if only is None or s[0] in only]
            found = list(_spans(o.answer, {}, "").elements())
            chosen = options.get(kinds, ()) if kinds else (kind,)
            counted = [s for s in wanted if chosen == ("",) or s[0] in chosen]
            hit = sum(any(map(_touch(s), found)) for s in counted)
            right = sum(any(map(_touch(s), wanted)) for s in found)
            rows.append((hit, len(counted), right, len(found)))
        return columns(rows, 4)

    return counts


def touch_recall(rows: Rows) -> float:
    return float(rows[:, 0].sum() / rows[:, 1].sum()) if rows[:, 1].sum() else 0.0


def touch_precision(rows: Rows) -> float:
    return float(rows[:, 2].sum() / rows[:, 3].sum()) if rows[:, 3].sum() else 0.0


def touch_f2(rows: Rows) -> float:
    """F with recall weighed above precision; of one type, the precision is that of all found spans."""
    recall, precision = touch_recall(rows), touch_precision(rows)
    return 5 * precision * recall / (4 * precision + recall) if precision + recall else 0.0


def _touch(span: tuple[str, int, int]) -> Callable[[tuple[str, int, int]], bool]:
    return lambda other: other[1] < span[2] and other[2] > span[1]


def characters_covered(outcomes: Sequence[Outcome], options: Options) -> Rows:
    """Characters of the expected spans that some found span covers, and all of them: what would not leak."""
    return columns([_covered(o, options.get("only")) for o in outcomes], 2)


def precision(rows: Rows) -> float:
    right, wrong = rows[:, 0].sum(), rows[:, 1].sum()
    return float(right / (right + wrong)) if right + wrong else 0.0


def recall(rows: Rows) -> float:
    right, missed = rows[:, 0].sum(), rows[:, 2].sum()
    return float(right / (right + missed)) if right + missed else 0.0


def f_beta(beta: float) -> Callable[[Rows], float]:
    """Return the fold into F: beta 2 weighs recall above precision."""

    def fold(rows: Rows) -> float:
        right, wrong, missed = rows.sum(axis=0)
        weight = beta * beta
        below = (1 + weight) * right + weight * missed + wrong
        return float((1 + weight) * right / below) if below else 0.0

    return fold


def share(rows: Rows) -> float:
    """First column's sum over the second's."""
    below = rows[:, 1].sum()
    return float(rows[:, 0].sum() / below) if below else 0.0


def _counts(found: Counter[Any], wanted: Counter[Any]) -> tuple[int, int, int]:
    right = (found & wanted).total()
    return right, found.total() - right, wanted.total() - right


def _spans(value: Json, names: dict[str, str], kind: str) -> Counter[tuple[str, int, int]]:
    found: Counter[tuple[str, int, int]] = Counter()
    for span in value if isinstance(value, list) else []:
        if isinstance(span, dict) and isinstance(span.get("start"), int) and isinstance(span.get("end"), int):
            label = names.get(str(span.get("type", "")), str(span.get("type", "")))
            if not kind or label == kind:
                found[label, int(str(span["start"])), int(str(span["end"]))] += 1
    return found


def _covered(outcome: Outcome, only: Collection[str] | None) -> tuple[int, int]:
    def characters(value: Json, types: Collection[str] | None) -> set[int]:
        spans = _spans(value, {}, "")
        return {at for kind, start, end in spans if types is None or kind in types for at in range(start, end)}

    wanted = characters(outcome.expected, only)
    return len(wanted & characters(outcome.answer, None)), len(wanted)
