"""What looks wrong in examples: labels that may be one, texts under two labels, labels with hardly a row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from itertools import combinations

from rapidfuzz.distance import Levenshtein

from runtime.training.examples import MAX_ROWS, Examples

FEW = 5
"""Below this many rows a label can hardly be learnt or measured."""
MIN_TYPO_CHARS = 6
"""Shorter names differ by one letter without being misspelt: `cat` and `car`."""
SHOWN = 5
"""Cases of one kind that are named; the rest is counted."""

_NOT_WORD = re.compile(r"[\W_]+")


def doubts(examples: Examples, before: Mapping[str, int] | None = None) -> list[str]:
    """Return one sentence for each thing that the owner should look at.

    `before` counts the rows of each label that are known already; what only concerns these is not said again.
    """
    counts = Counter(examples.counts) + Counter(before or {})
    found = [*_alike(counts, examples.counts), *_contradictions(examples), *_rare(counts, examples.counts)]
    if examples.empty_texts:
        found.append(f"{_rows(examples.empty_texts)} without text left out.")
    if examples.empty_labels:
        found.append(f"{_rows(examples.empty_labels)} without label left out.")
    if examples.repeated:
        found.append(f"{_rows(examples.repeated)} that repeat another one left out.")
    if examples.shortened:
        found.append(f"{examples.shortened} long texts are used by their beginning only.")
    if examples.sampled:
        found.append(
            f"The file has {examples.total:,} rows; {len(examples.rows):,} of them are used: a sample with each "
            f"label in proportion, rare ones kept whole (at most about {MAX_ROWS:,} rows are used)."
        )
    return found


def near_labels(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of labels that are probably meant to be one."""
    return [(a, b) for a, b in combinations(labels, 2) if _near(_bare(a), _bare(b))]


def _alike(counts: Mapping[str, int], seen: Container[str]) -> list[str]:
    pairs = [(a, b) for a, b in near_labels(counts) if a in seen or b in seen]
    found = [
        f"The labels {a!r} ({counts[a]} rows) and {b!r} ({counts[b]} rows) look like one; if they are, name them alike."
        for a, b in pairs[:SHOWN]
    ]
    return found + ([f"{len(pairs) - SHOWN} more pairs of labels look alike."] if len(pairs) > SHOWN else [])


def _near(a: str, b: str) -> bool:
    if not a or not b:
        return False
    if a == b or a + "s" == b or b + "s" == a:
        return True
    if re.sub(r"\D", "", a) != re.sub(r"\D", "", b):
        return False
    return min(len(a), len(b)) >= MIN_TYPO_CHARS and Levenshtein.distance(a, b, score_cutoff=1) <= 1


def _bare(label: str) -> str:
    return _NOT_WORD.sub("", label.casefold())


def _contradictions(examples: Examples) -> list[str]:
    seen: dict[bytes, list[str]] = {}
    for row in examples.rows:
        seen.setdefault(row.digest, []).append(row.label)
    several = [sorted(labels) for labels in seen.values() if len(labels) > 1]
    if not several:
        return []
    pairs = ", ".join(dict.fromkeys(" / ".join(map(repr, labels)) for labels in several[:SHOWN]))
    count = "1 text has" if len(several) == 1 else f"{len(several)} texts have"
    return [f"{count} more than one label ({pairs}); only one of them can be right, correct the others."]


def _rare(counts: Mapping[str, int], seen: Iterable[str]) -> list[str]:
    rare = [label for label in seen if counts[label] < FEW]
    if not rare:
        return []
    named = ", ".join(f"{label!r} ({counts[label]})" for label in rare[:SHOWN])
    more = f" and {len(rare) - SHOWN} more" if len(rare) > SHOWN else ""
    return [f"Too few rows to be learnt well: {named}{more}; add some, {FEW} at the least."]


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
