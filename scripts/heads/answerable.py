"""The head that tells whether a text answers a question, over a reranker's scores of its sentences."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from models.backend import Reranker
from models.heads import answerable
from models.heads.answerable import HEAD, NO, YES
from models.heads.head import Head
from models.passages import lexical_scores, statements
from scripts.heads import about
from scripts.heads.fit import Floats, fit, interval, logits, measured, temperature
from scripts.heads.sources import Sources, dev_half

HOUSEHOLD = Path(__file__).parent / "household.txt"
"""Short documents written by hand, with questions that they answer and questions that they do not."""
C = 0.1
FOLDS = 5
QUESTIONS = {"xquad": 400, "nq_open_rag": 400, "pubmedqa": 60}
"""Most questions of each set's half: a second of work for three."""
OTHERS = 2
"""Texts for each question that lack its answer: those of the same article, or of all, with most of its words."""
MOST_PIECES = 14
MOST_CHARS = 2000
SENTENCE_BOUND = float(np.log(0.05 / 0.95))
"""Logit of the bound that stood before the head: a best sentence of 0.05."""
LET_THROUGH = 0.15
"""Share of unanswerable questions let through, mean over the sets; `reject` is where that is reached."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a text, and whether it holds the answer."""

    question: str
    text: str
    answered: bool
    source: str
    group: str
    """Pairs of one article or document share it."""


@dataclass(frozen=True, slots=True)
class Rows:
    inputs: Floats
    answered: NDArray[np.bool_]
    sources: NDArray[np.str_]
    groups: NDArray[np.str_]


async def build(reranker: Reranker) -> dict[str, object]:
    """Fit, measure and write; return the figures."""
    sources = Sources()
    pairs = [*_household(), *_pairs({name: sources.tuning(name) for name in QUESTIONS})]
    rows = await _rows(reranker, pairs)
    left_out = _left_out(rows, reranker)
    known = _fitted(rows, reranker)
    known = replace(known, temperature=temperature(left_out, rows.answered.astype(np.int64)))
    shares = _shares(left_out, known.temperature)
    known = replace(known, reject=_reject(shares, rows))
    other = await _rows(reranker, _pairs({name: dev_half(name, "reporting") for name in QUESTIONS}))
    figures = _figures(known.probabilities(other.inputs)[:, 1], other, known.reject)
    verdict = _verdict(known.probabilities(other.inputs)[:, 1], other)
    household = rows.sources == "household"
    at_home = Rows(rows.inputs[household], rows.answered[household], rows.sources[household], rows.groups[household])
    figures |= _figures(shares[household], at_home, known.reject)
    about.write(
        known,
        summary="Whether a text answers a question, from a reranker's scores.",
        sources=sources,
        measured=figures,
        notes="Fitted on tuning halves and on documents written by hand, measured on reporting halves (`household`: on "
        "documents left out of the fit). Texts without the answer are those of the same article, or of all, with most "
        "words of the question. `sentence_*`: the reranker's best sentence alone. `*_let_through`: unanswerable "
        "questions above the head's bound; `*_kept`: answerable ones; `*_sentence_kept` and `*_sentence_let_through`: "
        f"above the bound for a reranker alone, a best sentence or line of 0.05. {verdict}",
    )
    return figures


def _household() -> list[Pair]:
    pairs: list[Pair] = []
    for number, block in enumerate(HOUSEHOLD.read_text(encoding="utf-8").split("== doc\n")[1:]):
        lines = block.rstrip("\n").split("\n")
        text = "\n".join(line for line in lines if line[:2] not in ("+ ", "- "))
        asked = [line for line in lines if line[:2] in ("+ ", "- ")]
        pairs += [Pair(line[2:], text, line[0] == "+", "household", f"household {number}") for line in asked]
    return pairs


def _pairs(sets: dict[str, list[dict[str, Any]]]) -> list[Pair]:
    draw = random.Random(4)
    made = {"xquad": _articles, "nq_open_rag": _searches, "pubmedqa": _abstracts}
    return [pair for name, rows in sets.items() for pair in made[name](rows, draw)]


def _articles(rows: Sequence[dict[str, Any]], draw: random.Random) -> list[Pair]:
    """Of English articles; other paragraphs of the same one lack the answer."""
    rows = [row for row in rows if row["lang"] == "en"]
    by_title: dict[str, set[str]] = {}
    for row in rows:
        by_title.setdefault(row["title"], set()).add(row["context"])
    chosen = draw.sample(rows, min(len(rows), QUESTIONS["xquad"]))
    pairs: list[Pair] = []
    for row in chosen:
        answers = [answer["text"] for answer in row["answers"]]
        group = f"xquad {row['title']}"
        pairs.append(Pair(row["question"], row["context"], True, "xquad", group))
        others = _nearest(row["question"], sorted(by_title[row["title"]]), answers)
        pairs += [Pair(row["question"], text, False, "xquad", group) for text in others]
    return pairs


def _searches(rows: Sequence[dict[str, Any]], draw: random.Random) -> list[Pair]:
    texts = sorted({row["passage"] for row in rows})
    chosen = draw.sample([row for row in rows if row["answer_in_passage"]], QUESTIONS["nq_open_rag"])
    pairs: list[Pair] = []
    for row in chosen:
        group = f"nq_open_rag {row['id']}"
        pairs.append(Pair(row["question"], row["passage"], True, "nq_open_rag", group))
        others = _nearest(row["question"], [text for text in texts if text != row["passage"]], row["answers"])
        pairs += [Pair(row["question"], text, False, "nq_open_rag", group) for text in others]
    return pairs


def _abstracts(rows: Sequence[dict[str, Any]], draw: random.Random) -> list[Pair]:
    texts = ["\n\n".join(row["contexts"])[:MOST_CHARS] for row in rows]
    pairs: list[Pair] = []
    for place in draw.sample(range(len(rows)), min(len(rows), QUESTIONS["pubmedqa"])):
        question, group = rows[place]["question"], f"pubmedqa {rows[place]['id']}"
        pairs.append(Pair(question, texts[place], True, "pubmedqa", group))
        others = _nearest(question, texts[:place] + texts[place + 1 :], [])[:1]
        pairs += [Pair(question, text, False, "pubmedqa", group) for text in others]
    return pairs


def _nearest(question: str, texts: Sequence[str], answers: Sequence[str]) -> list[str]:
    """Return the texts with most words of the question that hold none of its answers."""
    scores = lexical_scores(question, texts)
    order = sorted(range(len(texts)), key=lambda i: -scores[i])
    fit_ones = (texts[i] for i in order[:20] if not any(answer.lower() in texts[i].lower() for answer in answers))
    return [text for _, text in zip(range(OTHERS), fit_ones, strict=False)]


async def _rows(reranker: Reranker, pairs: Sequence[Pair]) -> Rows:
    kept = _Scores(reranker)
    inputs = []
    for pair in pairs:
        text = pair.text[:MOST_CHARS]
        pieces = [span.text for span in statements(text)][:MOST_PIECES]
        whole, *scores = await kept.scores(pair.question, [text, *pieces])
        inputs.append(answerable.inputs(pair.question, pieces, scores, whole))
    kept.write()
    return Rows(
        np.vstack(inputs),
        np.array([pair.answered for pair in pairs]),
        np.array([pair.source for pair in pairs]),
        np.array([pair.group for pair in pairs]),
    )


class _Scores:
    """A reranker's scores, kept in a file so that a second fit does not compute them again."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        folder = Path(tempfile.gettempdir()) / "covey-vectors"
        folder.mkdir(exist_ok=True)
        self._file = folder / f"{reranker.artifacts[0][:16]}.json"
        self._kept: dict[str, list[float]] = json.loads(self._file.read_text()) if self._file.exists() else {}

    async def scores(self, question: str, texts: list[str]) -> list[float]:
        key = sha256("\0".join([question, *texts]).encode()).hexdigest()[:24]
        if key not in self._kept:
            self._kept[key] = [round(float(score), 7) for score in await self._reranker.scores(question, texts)]
        return self._kept[key]

    def write(self) -> None:
        self._file.write_text(json.dumps(self._kept), encoding="utf-8")


def _fitted(rows: Rows, reranker: Reranker, kept: NDArray[np.bool_] | None = None) -> Head:
    """Fit on inputs of equal spread, and fold the scaling into the weights; each source weighs alike."""
    chosen = np.ones(len(rows.answered), dtype=bool) if kept is None else kept
    inputs = rows.inputs[chosen]
    middle, spread = inputs.mean(axis=0), inputs.std(axis=0) + 1e-6
    labels = [YES if yes else NO for yes in rows.answered[chosen]]
    cells = [f"{source} {yes}" for source, yes in zip(rows.sources[chosen], rows.answered[chosen], strict=True)]
    counts = {cell: cells.count(cell) for cell in set(cells)}
    weights = np.array([len(cells) / len(counts) / counts[cell] for cell in cells], dtype=np.float32)
    scaled = ((inputs - middle) / spread).astype(np.float32)
    known = fit(HEAD, scaled, labels, reranker.artifacts[0], c=C, weights=weights)
    unscaled = known.weights / spread[:, None]
    return replace(known, weights=unscaled.astype(np.float32), bias=(known.bias - middle @ unscaled).astype(np.float32))


def _left_out(rows: Rows, reranker: Reranker) -> Floats:
    values = np.zeros((len(rows.answered), 2), dtype=np.float32)
    for kept, held in GroupKFold(FOLDS).split(rows.inputs, rows.answered, rows.groups):
        inside = np.zeros(len(rows.answered), dtype=bool)
        inside[kept] = True
        values[held] = logits(_fitted(rows, reranker, inside), rows.inputs[held])
    return values


def _shares(values: Floats, divided_by: float) -> NDArray[np.float32]:
    """Return the probability of the second label, `yes`."""
    shares: NDArray[np.float32] = 1 / (1 + np.exp((values[:, 0] - values[:, 1]) / divided_by))
    return shares


def _reject(shares: NDArray[np.float32], rows: Rows) -> float:
    """Return the least bound at which the mean share of unanswerable questions let through is small enough."""
    for bound in np.linspace(0.02, 0.98, 193):
        let = [
            (shares[(rows.sources == source) & ~rows.answered] >= bound).mean() for source in sorted(set(rows.sources))
        ]
        if float(np.mean(let)) <= LET_THROUGH:
            return float(bound)
    raise AssertionError("at a bound of one nothing is let through")


def _figures(shares: NDArray[np.float32], rows: Rows, bound: float) -> dict[str, object]:
    figures: dict[str, object] = {}
    for source in [*sorted(set(rows.sources.tolist())), "all"]:
        inside = (rows.sources == source) | (source == "all")
        truth, head, groups = rows.answered[inside], shares[inside], rows.groups[inside].tolist()
        sentence = rows.inputs[inside, 0]
        if source == "all" and len(set(rows.sources.tolist())) == 1:
            continue
        count = len(truth)
        figures[f"{source}_auroc"] = measured(lambda r, t=truth, s=head: _auroc(t[r], s[r]), count, groups)
        figures[f"{source}_sentence_auroc"] = measured(lambda r, t=truth, s=sentence: _auroc(t[r], s[r]), count, groups)
        over = sentence > SENTENCE_BOUND
        figures[f"{source}_sentence_kept"] = measured(lambda r, t=truth, o=over: _mean(o[r][t[r]]), count, groups)
        figures[f"{source}_sentence_let_through"] = measured(
            lambda r, t=truth, o=over: _mean(o[r][~t[r]]), count, groups
        )
        figures[f"{source}_kept"] = measured(lambda r, t=truth, s=head: _mean(s[r][t[r]] >= bound), count, groups)
        figures[f"{source}_let_through"] = measured(
            lambda r, t=truth, s=head: _mean(s[r][~t[r]] >= bound), count, groups
        )
    return figures


def _verdict(shares: NDArray[np.float32], rows: Rows) -> str:
    """Say whether the head is better than the best sentence alone, by the interval of the difference."""
    truth, sentence = rows.answered, rows.inputs[:, 0]

    def gain(chosen: NDArray[np.int64]) -> float:
        return _auroc(truth[chosen], shares[chosen]) - _auroc(truth[chosen], sentence[chosen])

    low, _ = interval(gain, len(truth), rows.groups.tolist())
    if low > 0:
        return "Over all sets the head is better than the best sentence alone."
    return "Over all sets the head is not shown to be better than the best sentence alone, so `answer` keeps that."


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _auroc(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    return float(roc_auc_score(truth, scores)) if truth.any() and not truth.all() else 0.5
