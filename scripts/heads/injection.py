"""A head that tells attacks on a language model from harmless text, hard harmless text included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from models.backend import Encoder
from models.heads.head import Head
from scripts.heads import about
from scripts.heads.fit import Floats, fit, logits, measured, temperature
from scripts.heads.route_rows import hand_written
from scripts.heads.sources import Sources, dev_half
from scripts.heads.vectors import cache_file, embed

NAME = "injection"
C = 10.0
FOLDS = 5
ORDINARY = 600
"""Ordinary requests among the harmless texts: what a home assistant reads all day must not look like an attack."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text with its label, `1` for an attack."""

    text: str
    label: str
    source: str


async def build(encoder: Encoder) -> dict[str, object]:
    """Fit, measure and write; return the figures."""
    sources = Sources()
    texts = [Text(row["text"], str(row["label"]), row["source"]) for row in sources.tuning("prompt_injection")]
    texts += [Text(ask.text, "0", "hand") for ask in hand_written()]
    texts += [Text(row["text"], "0", "ordinary") for row in sources.train("clinc150")[:ORDINARY]]
    inputs = await embed(encoder, [one.text for one in texts], cache_file(encoder))
    known = _fitted(inputs, texts, encoder)
    left_out, places = _left_out(inputs, texts, encoder)
    known = replace(known, temperature=temperature(left_out, places), reject=0.5)
    other = [Text(row["text"], str(row["label"]), row["source"]) for row in dev_half("prompt_injection", "reporting")]
    figures = _figures(known, await embed(encoder, [one.text for one in other], cache_file(encoder)), other)
    about.write(
        known,
        summary="Whether a text attacks a language model: label 1 is an attack, 0 is harmless.",
        sources=sources,
        measured=figures,
        notes="Fitted on the tuning half and ordinary requests, measured on the reporting half. false_positives_*: "
        "share of that source's harmless texts with a probability of an attack of one half or more.",
    )
    return figures


def _fitted(inputs: Floats, texts: Sequence[Text], encoder: Encoder) -> Head:
    return fit(NAME, inputs, [one.label for one in texts], encoder.artifacts[0], c=C)


def _left_out(inputs: Floats, texts: Sequence[Text], encoder: Encoder) -> tuple[Floats, NDArray[np.int64]]:
    places = np.array([int(one.label) for one in texts])
    values = np.zeros((len(texts), 2), dtype=np.float32)
    for kept, held in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(inputs, places):
        values[held] = logits(_fitted(inputs[kept], [texts[row] for row in kept], encoder), inputs[held])
    return values, places


def _figures(known: Head, inputs: Floats, texts: Sequence[Text]) -> dict[str, object]:
    attack = known.probabilities(inputs)[:, known.labels.index("1")]
    truth = np.array([int(one.label) for one in texts])

    def recall_at_1_percent(rows: NDArray[np.int64]) -> float:
        bound = np.quantile(attack[rows][truth[rows] == 0], 0.99)
        return float((attack[rows][truth[rows] == 1] > bound).mean())

    figures: dict[str, object] = {
        "auroc": measured(lambda rows: float(roc_auc_score(truth[rows], attack[rows])), len(texts)),
        "recall_at_1_percent_false_positives": measured(recall_at_1_percent, len(texts)),
        "recall": measured(lambda rows: float((attack[rows][truth[rows] == 1] >= 0.5).mean()), len(texts)),
    }
    for source in sorted({one.source for one in texts if one.label == "0"}):
        part = attack[[one.source == source for one in texts]]
        figures[f"false_positives_{source}"] = measured(lambda rows, p=part: float((p[rows] >= 0.5).mean()), len(part))
    return figures
