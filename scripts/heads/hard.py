"""The head that tells requests that need deep reasoning, fitted on recorded outcomes of a small and a larger model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from models.backend import Encoder
from models.heads import hard
from models.heads.hard import EASY, HARD, HEAD
from models.heads.head import Head
from scripts.heads import about
from scripts.heads.fit import Floats, fit, interval, logits, measured, temperature
from scripts.heads.sources import Sources, dev_half
from scripts.heads.vectors import cache_file, embed

SETS = ("gsm8k", "mmlu", "routing_llms")
WEAK, STRONG = "llama-3.1-8b-instruct", "llama-3.1-nemotron-51b-instruct"
"""Of the nine models of `routing_llms`: a small one, and a larger one of the same family."""
SOLVED = 0.5
"""A score from here on counts as solved."""
C = 0.01
VECTOR_WEIGHT = 3.0
"""Of the unit vector against clues of spread one; chosen, as C, on rows left out of the fit."""
FOLDS = 5
NEIGHBOURS = 40


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and whether the small model failed where the larger one did not."""

    text: str
    hard: bool
    source: str


async def build(encoder: Encoder) -> dict[str, object]:
    """Fit, measure and write; return the figures."""
    sources = Sources()
    unseen = [one for name in SETS for one in asked(name, dev_half(name, "reporting"))]
    held = {_key(one) for one in unseen}
    rows = [one for name in SETS for one in asked(name, sources.tuning(name))]
    rows += asked("routing_llms", sources.train("routing_llms"))
    rows = [one for one in rows if _key(one) not in held]  # some sets share questions
    inputs, other = await _inputs(encoder, rows), await _inputs(encoder, unseen)
    left_out = _left_out(inputs, rows, encoder)
    places = np.array([int(one.hard) for one in rows])
    known = replace(_fitted(inputs, rows, encoder), temperature=temperature(left_out, places), reject=0.5)
    figures, verdicts = _figures(known, inputs, rows, other, unseen)
    about.write(
        known,
        summary="Whether a request needs deep reasoning: label 1 is one that a small model fails and a larger solves.",
        sources=sources,
        measured=figures,
        notes="Fitted on tuning halves and a training file, without questions that are reported on in any set. "
        f"AUROC on reporting halves, beside the {NEIGHBOURS} nearest fitted questions (`knn`) and the number of words "
        f"(`length`). In routing_llms the small model is {WEAK}, the larger {STRONG}. {' '.join(verdicts)}",
    )
    return figures


def asked(name: str, rows: Sequence[dict[str, Any]]) -> list[Asked]:
    """Return the questions of a set whose outcomes were recorded."""
    found = []
    for row in rows:
        if name == "routing_llms":
            solved = row["scores"][WEAK] >= SOLVED, row["scores"][STRONG] >= SOLVED
        elif row.get("routing"):
            solved = row["routing"]["weak_correct"], row["routing"]["strong_correct"]
        else:
            continue
        choices = "\n".join(row["choices"]) if name == "mmlu" else ""
        text = f"{row['question']}\n{choices}" if choices else str(row["question"])
        found.append(Asked(text, solved == (False, True), name))
    return found


def _key(one: Asked) -> str:
    return " ".join(one.text.split("\n")[0].lower().split())[:200]


async def _inputs(encoder: Encoder, rows: Sequence[Asked]) -> Floats:
    texts = [one.text for one in rows]
    return hard.inputs(texts, await embed(encoder, texts, cache_file(encoder)))


def _fitted(inputs: Floats, rows: Sequence[Asked], encoder: Encoder) -> Head:
    """Fit on inputs of like spread and fold the scaling into the weights; each set and label weighs alike."""
    width = encoder.dimensions
    middle, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    middle[:width], spread[:width] = 0.0, 1 / VECTOR_WEIGHT
    cells = [f"{one.source} {one.hard}" for one in rows]
    counts = {cell: cells.count(cell) for cell in set(cells)}
    weights = np.array([len(cells) / len(counts) / counts[cell] for cell in cells], dtype=np.float32)
    labels = [HARD if one.hard else EASY for one in rows]
    scaled = ((inputs - middle) / spread).astype(np.float32)
    known = fit(HEAD, scaled, labels, encoder.artifacts[0], c=C, weights=weights)
    unscaled = known.weights / spread[:, None]
    bias = known.bias - middle @ unscaled
    return replace(known, weights=unscaled.astype(np.float32), bias=bias.astype(np.float32))


def _left_out(inputs: Floats, rows: Sequence[Asked], encoder: Encoder) -> Floats:
    cells = np.array([f"{one.source} {one.hard}" for one in rows])
    values = np.zeros((len(rows), 2), dtype=np.float32)
    for kept, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(inputs, cells):
        values[held] = logits(_fitted(inputs[kept], [rows[i] for i in kept], encoder), inputs[held])
    return values


def _figures(
    known: Head, inputs: Floats, rows: Sequence[Asked], other: Floats, unseen: Sequence[Asked]
) -> tuple[dict[str, object], list[str]]:
    width = inputs.shape[1] - len(hard.clues(""))
    scores = {
        "head": known.probabilities(other)[:, known.labels.index(HARD)],
        "knn": _knn(inputs[:, :width], rows, other[:, :width]),
        "length": other[:, width],
    }
    figures: dict[str, object] = {}
    verdicts = []
    for name in SETS:
        inside = np.array([one.source == name for one in unseen])
        truth = np.array([one.hard for one in unseen])[inside]
        for way, values in scores.items():
            figures[f"{name}_{way}_auroc"] = measured(_auroc(truth, values[inside]), len(truth))
        verdicts.append(_verdict(name, truth, {way: values[inside] for way, values in scores.items()}))
    return figures, verdicts


def _verdict(name: str, truth: NDArray[np.bool_], scores: dict[str, NDArray[np.float32]]) -> str:
    """Say whether the head is better than each baseline, by the interval of the difference on the same rows."""
    head = _auroc(truth, scores["head"])
    worse = []
    for way in ("knn", "length"):
        base = _auroc(truth, scores[way])
        low, _ = interval(lambda rows, b=base: head(rows) - b(rows), len(truth))
        if low <= 0:
            worse.append(way)
    if not worse:
        return f"On {name} the head is better than both."
    return f"On {name} the head is not shown to be better than {' and '.join(worse)}."


def _auroc(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> Callable[[NDArray[np.int64]], float]:
    return lambda rows: float(roc_auc_score(truth[rows], scores[rows]))


def _knn(vectors: Floats, rows: Sequence[Asked], other: Floats) -> NDArray[np.float32]:
    """Return the share of hard ones among the nearest fitted questions."""
    outcomes = np.array([one.hard for one in rows], dtype=np.float32)
    nearest = np.argsort(-(other @ vectors.T), axis=1)[:, :NEIGHBOURS]
    shares: NDArray[np.float32] = outcomes[nearest].mean(axis=1)
    return shares
