"""Metrics of free text: SQuAD F1 and exact match, the answer inside the text, numbers, chrF."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from models.types import Json
from runtime.evals.metrics.outcome import Options, Outcome, Rows, column, columns

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
CHRF_ORDER = 6
CHRF_BETA = 2.0
"""Order and weight of recall of the usual chrF2."""


def normalized(text: str) -> str:
    """As SQuAD's own script: lower case, no punctuation, no English articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def squad_f1(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Best overlap of words with one of the accepted answers."""
    return column([max((_overlap(_text(o), answer) for answer in _accepted(o)), default=0.0) for o in outcomes])


def squad_em(outcomes: Sequence[Outcome], _: Options) -> Rows:
    return column([any(normalized(_text(o)) == normalized(answer) for answer in _accepted(o)) for o in outcomes])


def contains_answer(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Whether one of the accepted answers is in the text."""
    return column([any(normalized(answer) in normalized(_text(o)) for answer in _accepted(o)) for o in outcomes])


def number_match(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Whether the numbers are equal as numbers: 12 and 12.0 are."""
    return column([_decimal(o.answer) is not None and _decimal(o.answer) == _decimal(o.expected) for o in outcomes])


def chrf_counts(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """For each order of character n-grams: those of the answer, of the reference, and in both."""
    return columns([_grams(_text(o), (_accepted(o) or [""])[0]) for o in outcomes], 3 * CHRF_ORDER)


def chrf(rows: Rows) -> float:
    """Corpus chrF2, 0..100: F of the precision and recall averaged over the orders."""
    answered, wanted, both = rows.sum(axis=0).reshape(CHRF_ORDER, 3).T
    used = (answered > 0) & (wanted > 0)
    if not used.any():
        return 0.0
    precision = float((both[used] / answered[used]).mean())
    recall = float((both[used] / wanted[used]).mean())
    below = CHRF_BETA**2 * precision + recall
    return 100 * (1 + CHRF_BETA**2) * precision * recall / below if below else 0.0


def _overlap(given: str, wanted: str) -> float:
    words, gold = normalized(given).split(), normalized(wanted).split()
    shared = (Counter(words) & Counter(gold)).total()
    if not words or not gold:
        return float(words == gold)
    return 2 * shared / (len(words) + len(gold))


def _grams(given: str, wanted: str) -> list[int]:
    counts: list[int] = []
    left, right = ("".join(text.split()) for text in (given, wanted))
    for order in range(1, CHRF_ORDER + 1):
        grams = [Counter(text[i : i + order] for i in range(len(text) - order + 1)) for text in (left, right)]
        counts += [grams[0].total(), grams[1].total(), (grams[0] & grams[1]).total()]
    return counts


def _accepted(outcome: Outcome) -> list[str]:
    expected = outcome.expected if isinstance(outcome.expected, list) else [outcome.expected]
    return [str(answer) for answer in (*expected, *outcome.also) if answer is not None]


def _text(outcome: Outcome) -> str:
    return outcome.answer if isinstance(outcome.answer, str) else ""


def _decimal(value: Json) -> Decimal | None:
    try:
        return Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        return None
