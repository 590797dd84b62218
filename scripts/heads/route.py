"""The head of the router's stage S1, and the vectors of the requests that explain its claims."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder
from models.heads.head import Head, softmax
from models.specialist import read_spec
from runtime.stages import similar
from runtime.stages.clues import front, shorten, words_of
from scripts.heads import about
from scripts.heads.fit import Floats, fit, logits, measured, temperature
from scripts.heads.route_rows import SPECS, Ask, from_data, hand_written, held_out
from scripts.heads.sources import Sources
from scripts.heads.vectors import cache_file, embed

C = 5.0
"""Inverse regularisation: best log-likelihood of left-out hand-written requests among 3, 5, 10 and 30."""
FOLDS = 5
CAPABILITIES = sorted(
    "answer calculate call classify code convert extract filetype find generate none summarize when".split()
)
REJECT = 0.5
"""Least probability of a claim: what the router asks of this stage."""
LEAST_COUNT = 2
"""A word is telling when at least this many hand-written requests begin or end with it."""


async def build(encoder: Encoder) -> dict[str, object]:
    """Fit, measure and write; return the figures."""
    sources = Sources()
    hand, data, other = hand_written(), from_data(sources), held_out()
    words = telling_words(hand)
    asks = [*hand, *data, *other]
    every = dict(zip(asks, await _inputs(encoder, asks, words), strict=True))
    left_out, truth = _cross_validated(hand, data, every, encoder)
    known = _fitted([*hand, *data], every, encoder)
    weights = np.array([ask.weight for ask in hand], dtype=np.float32)
    known = replace(known, temperature=temperature(left_out, truth, weights), reject=REJECT)
    figures = {**_left_out_figures(left_out / known.temperature, truth), **_held_out_figures(known, other, every)}
    about.write(
        known,
        summary="Which capability should answer a request, or none.",
        sources=sources,
        measured=figures,
        notes="Hand-written requests are in runtime/stages/requests.toml and the specialists' specs. left_out: those, "
        f"{FOLDS}-fold. reporting: rows of the reporting halves, in other wordings than those fitted on.",
    )
    await _write_kept(encoder, words)
    return figures


def telling_words(asks: Sequence[Ask]) -> list[str]:
    counts = Counter(word for text in {ask.text for ask in asks} for word in words_of(text))
    return sorted(word for word, count in counts.items() if count >= LEAST_COUNT)


async def _inputs(encoder: Encoder, asks: Sequence[Ask], words: Sequence[str]) -> list[Floats]:
    whole = await embed(encoder, [shorten(ask.text) for ask in asks], cache_file(encoder))
    openings = await embed(encoder, [front(ask.text) for ask in asks], cache_file(encoder))
    return [
        similar.inputs(vector, opening, ask.text, words, has_files=ask.has_files, has_functions=ask.has_functions)
        for ask, vector, opening in zip(asks, whole, openings, strict=True)
    ]


def _fitted(asks: Sequence[Ask], every: dict[Ask, Floats], encoder: Encoder) -> Head:
    return fit(
        similar.HEAD,
        np.array([every[ask] for ask in asks]),
        [ask.capability for ask in asks],
        encoder.artifacts[0],
        c=C,
        weights=np.array([ask.weight for ask in asks], dtype=np.float32),
    )


def _cross_validated(
    hand: Sequence[Ask], data: Sequence[Ask], every: dict[Ask, Floats], encoder: Encoder
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the logits of each hand-written request when it, and all that was made of it, is left out."""
    texts = sorted({ask.text for ask in hand})
    random.Random(0).shuffle(texts)
    fold = {text: number % FOLDS for number, text in enumerate(texts)}
    left_out = np.zeros((len(hand), len(CAPABILITIES)), dtype=np.float32)
    for number in range(FOLDS):
        kept = [ask for ask in hand if fold[ask.text] != number]
        known = _fitted([*kept, *(ask for ask in data if fold.get(ask.root) != number)], every, encoder)
        places = [place for place, ask in enumerate(hand) if fold[ask.text] == number]
        left_out[places] = logits(known, np.array([every[hand[place]] for place in places]))
    return left_out, np.array([CAPABILITIES.index(ask.capability) for ask in hand])


def _left_out_figures(left_out: Floats, truth: NDArray[np.int64]) -> dict[str, object]:
    shares = softmax(left_out)
    right, top = shares.argmax(axis=1) == truth, shares.max(axis=1)
    sure = np.flatnonzero(top >= REJECT)
    return {
        "left_out_accuracy": measured(lambda rows: float(right[rows].mean()), len(truth)),
        "left_out_accuracy_when_sure": measured(lambda rows: float(right[sure][rows].mean()), len(sure)),
        "left_out_share_sure": measured(lambda rows: float((top[rows] >= REJECT).mean()), len(truth)),
        "left_out_calibration_error": round(_calibration_error(right, top), 4),
    }


def _held_out_figures(known: Head, other: Sequence[Ask], every: dict[Ask, Floats]) -> dict[str, object]:
    shares = known.probabilities(np.array([every[ask] for ask in other]))
    right = np.array(
        [known.labels[place] == ask.capability for place, ask in zip(shares.argmax(axis=1), other, strict=True)]
    )
    figures: dict[str, object] = {"reporting_accuracy": measured(lambda rows: float(right[rows].mean()), len(other))}
    for source in sorted({ask.source for ask in other}):
        part = right[[ask.source == source for ask in other]]
        figures[f"reporting_accuracy_{source.replace(' ', '_')}"] = measured(
            lambda rows, part=part: float(part[rows].mean()), len(part)
        )
    return figures


def _calibration_error(right: NDArray[np.bool_], top: Floats) -> float:
    """Return the mean gap between probability and share right, over ten equal ranges of probability."""
    ranges = np.minimum((top * 10).astype(int), 9)
    return float(
        sum(abs(right[ranges == r].mean() - top[ranges == r].mean()) * (ranges == r).mean() for r in set(ranges))
    )


async def _write_kept(encoder: Encoder, words: Sequence[str]) -> None:
    specs = [read_spec(path) for path in sorted(SPECS.glob("*.toml"))]
    known = [*similar.read_requests(similar.REQUESTS), *similar.requests_of(specs)]
    texts = sorted({one.text for one in known})
    vectors = await embed(encoder, texts, cache_file(encoder))
    np.savez(
        similar.KEPT,
        keys=np.array([similar.key(text) for text in texts]),
        vectors=vectors.astype(np.float16),
        words=np.array(words),
    )
