"""The tagger that finds names in a text: fitted on templates of a tuning half, templates of our own, short texts."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from models.backend import Encoder
from models.backends.onnx import OnnxEncoder
from models.heads import names, tagger, words
from models.heads.head import FOLDER
from models.heads.tagger import IMPOSSIBLE, NOTHING, Floats, Tagger
from scripts.heads import about
from scripts.heads.fit import measured
from scripts.heads.name_rows import KINDS, Tagged, presidio, texts
from scripts.heads.sources import Sources, dev_half

TAGS = (NOTHING, *(f"{begin}-{kind}" for kind in dict.fromkeys(KINDS.values()) for begin in "BI"))
HIDDEN, PASSES = 96, 8
NEVER = -20.0
"""Bias of a tag that no word of the rows has."""
STEP_WEIGHT = 0.5
"""Of the steps between tags against what the words say; chosen on templates left out of the fit."""
HELD_OUT = 3
"""One in so many templates is left out of the fit that chooses `reject`."""
SHIFTS = tuple(np.arange(-2.0, 3.01, 0.25).tolist())
LEAST_PRECISION = 0.85
"""Of the spans found in templates left out; of the shifts that keep it, the one with the largest recall is taken."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The words of some texts, piece after piece."""

    inputs: Floats
    tags: NDArray[np.int64]
    begins: NDArray[np.bool_]
    """Whether the word is the first of its piece."""
    groups: NDArray[np.str_]
    weights: Floats

    def only(self, kept: NDArray[np.bool_]) -> Rows:
        return Rows(self.inputs[kept], self.tags[kept], self.begins[kept], self.groups[kept], self.weights[kept])


async def build(encoder: Encoder) -> dict[str, object]:
    """Fit, measure and write; return the figures."""
    assert isinstance(encoder, OnnxEncoder)
    sources = Sources()
    known = texts(sources, random.Random(3))
    rows = await _rows(encoder, known)
    fitted = replace(_fitted(rows, encoder), reject=await _reject(rows, sources, encoder))
    figures = await _figures(fitted, encoder)
    about.describe(
        tagger.save(fitted, about.place_of(FOLDER)),
        summary="Which words of a text are names of people, places, addresses, organisations or peoples.",
        labels=len(TAGS),
        encoder=fitted.encoder,
        sources=sources,
        measured=figures,
        notes="Fitted on the tuning half of the templates and on templates written by hand, measured on the templates "
        "of the reporting half. A name counts as found when some span touches it, a span as right when it touches some "
        "name; `exact_*` ask for the very place and kind, of people and places.",
    )
    return figures


async def _rows(encoder: OnnxEncoder, known: Sequence[Tagged]) -> Rows:
    inputs: list[Floats] = []
    tags: list[str] = []
    begins: list[bool] = []
    groups: list[str] = []
    weights: list[float] = []
    for one in known:
        for start, piece in words.pieces(one.text):
            found = words.words_in(piece)
            if not found:
                continue
            inputs.append(words.inputs(piece, found, await encoder.states(piece)).astype(np.float16))
            tags += _tags(one, start, found)
            begins += [True, *[False] * (len(found) - 1)]
            groups += [one.group] * len(found)
            weights += [one.weight] * len(found)
    numbers = np.array([TAGS.index(tag) for tag in tags])
    stacked = np.concatenate(inputs).astype(np.float32)
    return Rows(stacked, numbers, np.array(begins), np.array(groups), np.array(weights, dtype=np.float32))


def _tags(one: Tagged, start: int, found: Sequence[words.Word]) -> list[str]:
    tags: list[str] = []
    last: tuple[int, int, str] | None = None
    for word in found:
        span = next((s for s in one.spans if s[0] < start + word.end and s[1] > start + word.start), None)
        tags.append(NOTHING if span is None else f"{'I' if span == last else 'B'}-{span[2]}")
        last = span
    return tags


def _fitted(rows: Rows, encoder: Encoder) -> Tagger:
    model = MLPClassifier(
        (HIDDEN,), alpha=1e-3, learning_rate_init=2e-3, batch_size=256, max_iter=PASSES, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # more passes learn the templates by heart
        model.fit(rows.inputs, rows.tags, sample_weight=rows.weights)
    first, first_bias = model.coefs_[0], model.intercepts_[0]
    second = np.zeros((HIDDEN, len(TAGS)))
    second_bias = np.full(len(TAGS), NEVER)
    second[:, model.classes_], second_bias[model.classes_] = model.coefs_[1], model.intercepts_[1]
    start, step = _steps(rows)
    shares = (np.bincount(rows.tags, minlength=len(TAGS)) + 1) / len(rows.tags)
    return Tagger(
        names.HEAD,
        TAGS,
        *(array.astype(np.float32) for array in (first, first_bias, second, second_bias, start, step)),
        usual=(STEP_WEIGHT * np.log(shares)).astype(np.float32),
        reject=0.0,
        encoder=encoder.artifacts[0],
    )


def _steps(rows: Rows) -> tuple[Floats, Floats]:
    """Return log-probabilities of the first tag and of each tag after each, weighted; what makes no sense is out."""
    counts = np.full((len(TAGS), len(TAGS)), 0.5)
    first = np.full(len(TAGS), 0.5)
    for before, tag, begins in zip([0, *rows.tags.tolist()], rows.tags.tolist(), rows.begins.tolist(), strict=False):
        if begins:
            first[tag] += 1
        else:
            counts[before, tag] += 1
    step = STEP_WEIGHT * np.log(counts / counts.sum(axis=1, keepdims=True))
    start = STEP_WEIGHT * np.log(first / first.sum())
    for at, tag in enumerate(TAGS):
        if tag.startswith("I-"):
            start[at] = IMPOSSIBLE
            step[[before[1:] != tag[1:] for before in TAGS], at] = IMPOSSIBLE
    return start.astype(np.float32), step.astype(np.float32)


async def _reject(rows: Rows, sources: Sources, encoder: OnnxEncoder) -> float:
    """Return the shift with the largest recall that keeps the precision, on templates left out of a trial fit."""
    known = [presidio(row) for row in sources.tuning("pii_presidio")]
    templates = sorted({one.group for one in known})
    random.Random(1).shuffle(templates)
    left_out = set(templates[::HELD_OUT])
    trial = _fitted(rows.only(~np.isin(rows.groups, list(left_out))), encoder)
    held = [one for one in known if one.group in left_out]
    seen = [await names.scored(one.text, encoder, trial) for one in held]
    best, recall = 0.0, -1.0
    for shift in SHIFTS:
        shifted = replace(trial, reject=shift)
        counted = np.array([_counts(one, names.chosen(parts, shifted)) for one, parts in zip(held, seen, strict=True)])
        right, found, hit, there = counted.sum(axis=0)[:4]
        if right >= LEAST_PRECISION * found and hit / there > recall:
            best, recall = shift, hit / there
    return best


def _counts(one: Tagged, found: Sequence[names.Span]) -> tuple[int, ...]:
    """Return spans that touch a name, spans, names touched, names; then the same of exact people and places."""
    kinds = ("person", "place")
    wanted = {span for span in one.spans if span[2] in kinds}
    said = {(span.start, span.end, span.kind) for span in found if span.kind in kinds}
    touched = sum(any(a < s.end and b > s.start for a, b, _ in one.spans) for s in found)
    hit = sum(any(s.start < b and s.end > a for s in found) for a, b, _ in one.spans)
    return touched, len(found), hit, len(one.spans), len(wanted & said), len(said), len(wanted)


async def _figures(known: Tagger, encoder: OnnxEncoder) -> dict[str, object]:
    held = [presidio(row) for row in dev_half("pii_presidio", "reporting")]
    found = [await names.find(one.text, encoder, known) for one in held]
    groups = [one.group for one in held]
    table = np.array([_counts(one, spans) for one, spans in zip(held, found, strict=True)])

    def share(above: NDArray[np.int64], below: NDArray[np.int64]) -> dict[str, object]:
        return measured(lambda rows: float(above[rows].sum() / max(1, below[rows].sum())), len(held), groups)

    def recall(*kinds: str) -> dict[str, object]:
        own = [[s for s in one.spans if s[2] in kinds] for one in held]
        hits = [
            sum(any(s.start < b and s.end > a for s in f) for a, b, _ in o) for o, f in zip(own, found, strict=True)
        ]
        return share(np.array(hits), np.array([len(o) for o in own]))

    return {
        "recall_people_and_places": recall("person", "place"),
        "precision": share(table[:, 0], table[:, 1]),
        "recall": share(table[:, 2], table[:, 3]),
        "exact_precision": share(table[:, 4], table[:, 5]),
        "exact_recall": share(table[:, 4], table[:, 6]),
        **{f"recall_{kind}": recall(kind) for kind in dict.fromkeys(KINDS.values())},
    }
