"""Heads that name the intent of a short request: fitted on a set's training file, measured on the reporting half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder
from models.heads.head import Head
from runtime.evals.fitting import fit
from runtime.evals.heads import lowest_kept
from scripts.heads import about
from scripts.heads.fit import Floats, logits, measured, temperature
from scripts.heads.kinds import Kind
from scripts.heads.sources import Sources, dev_half
from scripts.heads.vectors import cache_file, embed


@dataclass(frozen=True, slots=True)
class Split:
    """Some rows."""

    vectors: Floats
    texts: list[str]
    labels: list[str]

    def part(self, rows: Sequence[int]) -> Split:
        return Split(self.vectors[rows], [self.texts[row] for row in rows], [self.labels[row] for row in rows])


async def build(encoder: Encoder, kind: Kind) -> dict[str, object]:
    """Fit, measure and write the head of a set."""
    sources = Sources()
    train = await _split(encoder, kind, _named(kind, sources.train(kind.data, label=kind.label, each=kind.each)))
    tuning = await _split(encoder, kind, sources.tuning(kind.data))
    reporting = await _split(encoder, kind, dev_half(kind.data, "reporting"))
    known = fit(
        kind.name,
        train.vectors,
        train.texts,
        train.labels,
        encoder.artifacts[0],
        c=kind.c,
        places=kind.words,
        word_weight=kind.word_weight,
    )
    values, places = _within(known, tuning, kind.none)
    known = replace(known, temperature=temperature(values, places))
    if kind.none:
        known = replace(known, least=lowest_kept(values, places))
    figures = _figures(known, reporting, kind.none)
    about.write(
        known,
        summary=f"{kind.summary}: {len(known.labels)} labels.",
        sources=sources,
        measured=figures,
        notes=_notes(kind),
    )
    return figures


def _notes(kind: Kind) -> str:
    each = f", the first {kind.each} rows of a label" if kind.each else ""
    named = " and the labels' names" if kind.named else ""
    scope = " A refusal counts as wrong within scope." if kind.none else ""
    scope += f" Rows of {kind.without!r} are left out." if kind.without else ""
    return (
        f"Weights are from the training file{each}{named}; temperature and reject from the tuning half; figures from "
        f"the reporting half.{scope}"
    )


def _named(kind: Kind, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows, and one for the name of each label where the kind wants them."""
    names = sorted({str(row[kind.label]) for row in rows}) if kind.named else []
    return [*rows, *({"text": name.replace("_", " "), kind.label: name} for name in names)]


async def _split(encoder: Encoder, kind: Kind, rows: Sequence[dict[str, Any]]) -> Split:
    rows = [row for row in rows if row[kind.label] != kind.without]
    texts = [str(row["text"]) for row in rows]
    return Split(await embed(encoder, texts, cache_file(encoder)), texts, [str(row[kind.label]) for row in rows])


def _within(known: Head, split: Split, none: str) -> tuple[Floats, NDArray[np.int64]]:
    """Return logits and places of the rows within scope."""
    part = split.part([row for row, label in enumerate(split.labels) if label != none and label in known.labels])
    places = np.array([known.labels.index(label) for label in part.labels])
    return logits(known, known.inputs(part.vectors, part.texts)), places


def _figures(known: Head, split: Split, none: str) -> dict[str, object]:
    inputs = known.inputs(split.vectors, split.texts)
    shares = known.probabilities(inputs)
    found = [known.labels[place] for place in shares.argmax(axis=1)]
    refused = np.array([label == none for label in found]) | ~known.knows(inputs)
    right = np.array([a == b for a, b in zip(found, split.labels, strict=True)]) & ~refused
    outside = np.array([label == none for label in split.labels]) if none else np.zeros(len(found), dtype=bool)
    inside = np.flatnonzero(~outside)
    figures: dict[str, object] = {"accuracy": measured(lambda rows: float(right[inside][rows].mean()), len(inside))}
    if none:
        far = np.flatnonzero(outside)
        figures["oos_recall"] = measured(lambda rows: float(refused[far][rows].mean()), len(far))
    return figures
