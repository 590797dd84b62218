"""The head of the router's stage S1, and the vectors of the requests that explain its claims."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from models.backend import Encoder
from models.heads.head import Head, softmax
from models.specialist import read_spec
from runtime.evals.fitting import fit
from runtime.stages import similar
from runtime.stages.clues import front, shorten, words_of
from scripts.heads import about
from scripts.heads.fit import Floats, measured, temperature
from scripts.heads.route_rows import SPECS, STRANGE, Ask, from_data, hand_written, held_out
from scripts.heads.sources import Sources
from scripts.heads.vectors import cache_file, embed

C = 5.0
"""Inverse regularisation, chosen among 5, 10, 15 and 40 by left-out hand-written requests and by texts of the tuning
halves asked in other wordings: above 5 the fit learns the wordings by heart."""
WORDS, WORD_WEIGHT = 4096, 0.5
"""Places for hashed words, and their weight against the vectors."""
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
    left_out, truth, strange = _cross_validated(hand, data, every, encoder)
    known = _fitted([*hand, *data], every, encoder)
    weights = np.array([ask.weight for ask in hand], dtype=np.float32)
    known = replace(known, temperature=temperature(left_out, truth, weights), reject=REJECT)
    figures = {
        **_left_out_figures(left_out / known.temperature, truth),
        "left_out_strange_refused": _refused(strange / known.temperature),
        **_held_out_figures(known, other, every),
    }
    about.write(
        known,
        summary="Which capability should answer a request, or none.",
        sources=sources,
        measured=figures,
        notes="Hand-written requests are in runtime/stages/requests.toml and the specialists' specs. left_out: those, "
        f"{FOLDS}-fold; scope: `none` against all the rest; strange: requests out of an assistant's scope. reporting: "
        "rows of the reporting halves, in other wordings than those fitted on.",
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
        [shorten(ask.text) for ask in asks],
        [ask.capability for ask in asks],
        encoder.artifacts[0],
        c=C,
        places=WORDS,
        word_weight=WORD_WEIGHT,
        row_weights=np.array([ask.weight for ask in asks], dtype=np.float32),
    )


def _values(known: Head, asks: Sequence[Ask], every: dict[Ask, Floats]) -> Floats:
    """Return the logits of requests."""
    return known.logits(known.inputs(np.array([every[ask] for ask in asks]), [shorten(ask.text) for ask in asks]))


def _cross_validated(
    hand: Sequence[Ask], data: Sequence[Ask], every: dict[Ask, Floats], encoder: Encoder
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Return the logits of each hand-written request when it, and all that was made of it, is left out; the right
    places; and the logits of each request out of scope when it is left out."""
    strange = [ask for ask in data if ask.source == STRANGE]
    texts = sorted({ask.text for ask in hand} | {ask.text for ask in strange})
    random.Random(0).shuffle(texts)
    fold = {text: number % FOLDS for number, text in enumerate(texts)}
    judged = [*hand, *strange]
    left_out = np.zeros((len(judged), len(CAPABILITIES)), dtype=np.float32)
    for number in range(FOLDS):
        kept = [ask for ask in hand if fold[ask.text] != number]
        known = _fitted([*kept, *(ask for ask in data if fold.get(ask.root) != number)], every, encoder)
        places = [place for place, ask in enumerate(judged) if fold[ask.text] == number]
        left_out[places] = _values(known, [judged[place] for place in places], every)
    truth = np.array([CAPABILITIES.index(ask.capability) for ask in hand])
    return left_out[: len(hand)], truth, left_out[len(hand) :]


def _refused(strange: Floats) -> dict[str, object]:
    """Return how often requests out of scope are taken for `none`, or nothing is sure."""
    shares = softmax(strange)
    right = (shares.argmax(axis=1) == CAPABILITIES.index(similar.NONE)) | (shares.max(axis=1) < REJECT)
    return measured(lambda rows: float(right[rows].mean()), len(right))


def _left_out_figures(left_out: Floats, truth: NDArray[np.int64]) -> dict[str, object]:
    shares = softmax(left_out)
    right, top = shares.argmax(axis=1) == truth, shares.max(axis=1)
    sure = np.flatnonzero(top >= REJECT)
    return {
        "left_out_accuracy": measured(lambda rows: float(right[rows].mean()), len(truth)),
        "left_out_accuracy_when_sure": measured(lambda rows: float(right[sure][rows].mean()), len(sure)),
        "left_out_share_sure": measured(lambda rows: float((top[rows] >= REJECT).mean()), len(truth)),
        "left_out_scope_auroc": measured(lambda rows: _scope_auroc(shares[rows], truth[rows]), len(truth)),
        "left_out_calibration_error": round(_calibration_error(right, top), 4),
    }


def _held_out_figures(known: Head, other: Sequence[Ask], every: dict[Ask, Floats]) -> dict[str, object]:
    shares = softmax(_values(known, other, every) / np.float32(known.temperature))
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


def _scope_auroc(shares: Floats, truth: NDArray[np.int64]) -> float:
    """Return how well the probability of `none` tells what nothing here can do from all the rest."""
    none = CAPABILITIES.index(similar.NONE)
    return float(roc_auc_score(truth == none, shares[:, none]))


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
        about.place_of(similar.KEPT.parent) / similar.KEPT.name,
        keys=np.array([similar.key(text) for text in texts]),
        vectors=vectors.astype(np.float16),
        words=np.array(words),
    )
