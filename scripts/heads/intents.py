"""Heads that name the intent of a short request: fitted on a set's training file, measured on the reporting half."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder
from models.heads.head import Head
from scripts.heads import about
from scripts.heads.fit import Floats, fit, logits, measured, temperature
from scripts.heads.sources import Sources, dev_half
from scripts.heads.vectors import cache_file, embed

C = 30.0
"""Inverse regularisation: best on a tenth of the training rows among 3, 10, 30 and 100."""
KEPT = 0.995
"""Share of the right answers within scope that the reject must leave standing."""


@dataclass(frozen=True, slots=True)
class Split:
    """Vectors and labels of some rows."""

    inputs: Floats
    labels: list[str]


async def build(encoder: Encoder, name: str, *, none: str = "") -> dict[str, object]:
    """Fit, measure and write the head of a set; `none` is its label for requests out of scope."""
    sources = Sources()
    train = await _split(encoder, sources.train(name))
    tuning = await _split(encoder, sources.tuning(name))
    reporting = await _split(encoder, dev_half(name, "reporting"))
    known = fit(name, train.inputs, train.labels, encoder.artifacts[0], c=C)
    known = replace(known, temperature=temperature(*_within(known, tuning, none)))
    if none:
        known = replace(known, reject=_lowest_kept(known, tuning, none))
    figures = _figures(known, reporting, none)
    about.write(
        known,
        summary=f"Intent of a short request: {len(known.labels)} intents.",
        sources=sources,
        measured=figures,
        notes="Weights are from the training file, temperature and reject from the tuning half, figures from the "
        "reporting half. A refusal counts as wrong within scope.",
    )
    return figures


async def _split(encoder: Encoder, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> Split:
    vectors = await embed(encoder, [row["text"] for row in rows], cache_file(encoder))
    return Split(vectors, [row["intent"] for row in rows])


def _within(known: Head, split: Split, none: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return logits and places of the rows within scope."""
    rows = [row for row, label in enumerate(split.labels) if label != none and label in known.labels]
    places = np.array([known.labels.index(split.labels[row]) for row in rows])
    return logits(known, split.inputs[rows]), places


def _lowest_kept(known: Head, split: Split, none: str) -> float:
    values, places = _within(known, split, none)
    shares = known.probabilities(split.inputs[[row for row, label in enumerate(split.labels) if label != none]])
    right = shares[values.argmax(axis=1) == places].max(axis=1)
    return float(np.quantile(right, 1 - KEPT))


def _figures(known: Head, split: Split, none: str) -> dict[str, object]:
    shares = known.probabilities(split.inputs)
    found = [known.labels[place] for place in shares.argmax(axis=1)]
    refused = np.array([label == none for label in found]) | (shares.max(axis=1) < known.reject)
    right = np.array([a == b for a, b in zip(found, split.labels, strict=True)]) & ~refused
    outside = np.array([label == none for label in split.labels]) if none else np.zeros(len(found), dtype=bool)
    inside = np.flatnonzero(~outside)
    figures: dict[str, object] = {"accuracy": measured(lambda rows: float(right[inside][rows].mean()), len(inside))}
    if none:
        far = np.flatnonzero(outside)
        figures["oos_recall"] = measured(lambda rows: float(refused[far][rows].mean()), len(far))
    return figures
