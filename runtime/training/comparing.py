"""The version in use against one with more rows: both are measured on rows that they have not seen. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.heads.head import Head
from models.types import Digest
from runtime.evals.metrics.intervals import Figure
from runtime.training.examples import LEAST_EACH, MAX_ROWS
from runtime.training.fitting import Places, fit
from runtime.training.kept import Rows
from runtime.training.measuring import Flags, Measured, measure, right_without, share_of

MAX_KEPT_ROWS = 2 * MAX_ROWS
"""Rows of all updates together: 15 MB of vectors, and fits of a few seconds."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an update would change, and whether it is worth it."""

    kept: Literal["new", "old"]
    reason: str
    """One sentence: why this one is kept."""
    before: Figure
    """Accuracy of the old version over all rows, each held out."""
    after: Figure
    """That of the new version over the same rows."""
    before_new: Figure
    """The old one's over the new rows alone."""
    after_new: Figure
    measured: Measured
    """Of the new version."""
    head: Head
    rows: Rows
    """Old and new ones together."""


def fitted(name: str, rows: Rows, encoder: Digest) -> tuple[Head, Measured]:
    """Return a head fitted on all rows, with the figures of such a head on rows that were held out."""
    labels = names_of(rows)
    places = places_of(rows.labels, labels)
    measured = measure(rows.vectors, places, labels)
    known = fit(rows.vectors, places, len(labels))
    head = known.head(name, labels, encoder, temperature=measured.temperature, reject=measured.reject)
    return head, measured


def compare(old: Head, old_rows: Rows, new_rows: Rows) -> Comparison:
    """Return how the head does against one that is fitted on the new rows too.

    On the new rows the old head is used as it is, it has never seen them; on the old rows a fit like it without
    the fold at hand. The new version is fitted without the fold at hand for both.
    """
    rows, is_new = together(old_rows, new_rows)
    head, measured = fitted(old.name, rows, old.encoder)
    places = places_of(rows.labels, head.labels)
    before = right_without(rows.vectors, places, len(head.labels), ~is_new)
    before[is_new] = _right(old, rows, is_new)
    kept, reason = _decided(before, measured.right, any_new=bool(is_new.any()))
    return Comparison(
        kept,
        reason,
        share_of(before),
        share_of(measured.right),
        share_of(before[is_new]),
        share_of(measured.right[is_new]),
        measured,
        head,
        rows,
    )


def together(old: Rows, new: Rows) -> tuple[Rows, Flags]:
    """Return all rows, and which of them are new. A text that comes again has its new label; at most MAX_KEPT_ROWS."""
    again = set(new.digests)
    staying = [at for at, digest in enumerate(old.digests) if digest not in again]
    labels = [old.labels[at] for at in staying] + list(new.labels)
    digests = [old.digests[at] for at in staying] + list(new.digests)
    vectors = np.concatenate([old.vectors[staying], new.vectors]) if len(new.labels) else old.vectors[staying]
    chosen = _within(labels, digests)
    rows = Rows(vectors[chosen], tuple(labels[at] for at in chosen), tuple(digests[at] for at in chosen))
    return rows, np.array([at >= len(staying) for at in chosen], dtype=np.bool_)


def names_of(rows: Rows) -> tuple[str, ...]:
    return tuple(sorted(set(rows.labels)))


def places_of(labels: Sequence[str], names: Sequence[str]) -> Places:
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[label] for label in labels], dtype=np.int64)


def _within(labels: Sequence[str], digests: Sequence[bytes]) -> list[int]:
    """Return the rows to keep: chosen as when a file is read, by digest, rare labels whole."""
    if len(labels) <= MAX_KEPT_ROWS:
        return list(range(len(labels)))
    seen: dict[str, int] = {}
    ranked = []
    for at in sorted(range(len(labels)), key=lambda at: digests[at]):
        seen[labels[at]] = seen.get(labels[at], 0) + 1
        ranked.append((seen[labels[at]] > LEAST_EACH, digests[at], at))
    return sorted(at for _, _, at in sorted(ranked)[:MAX_KEPT_ROWS])


def _right(head: Head, rows: Rows, chosen: Flags) -> Flags:
    given = head.probabilities(rows.vectors[chosen]).argmax(axis=1)
    wanted = [label for label, one in zip(rows.labels, chosen, strict=True) if one]
    return np.array([head.labels[at] == label for at, label in zip(given, wanted, strict=True)], dtype=np.bool_)


def _decided(before: Flags, after: Flags, *, any_new: bool) -> tuple[Literal["new", "old"], str]:
    """More rows that count are worth having even where they change no answer; a loss is never taken."""
    better, worse = int((after & ~before).sum()), int((before & ~after).sum())
    counts = f"{better} rows better, {worse} worse of {len(before)}"
    if not any_new:
        return "old", "There are no new rows, so nothing is changed."
    if better >= worse:
        return "new", f"The new version is kept: {counts}."
    return "old", f"The old version is kept, the new rows make it worse ({counts}); look at their labels."
