"""The head that finds names in a text, word by word, fitted on templates of the tuning half and tagged short texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder
from models.backends.onnx import OnnxEncoder
from models.heads import names
from models.heads.head import Head, softmax
from scripts.heads import about
from scripts.heads.fit import Floats, fit, logits, measured, temperature
from scripts.heads.sources import Sources, dev_half

C = 2.0
KINDS = {
    "PERSON": "person",
    "GPE": "place",
    "STREET_ADDRESS": "address",
    "ORGANIZATION": "organization",
    "person": "person",
    "location": "place",
    "group": "organization",
    "corporation": "organization",
    "city": "place",
    "state": "place",
    "country": "place",
    "geographic_poi": "place",
    "artist": "person",
}
"""What the sets call a kind, and what it is here."""
FOLDS = 4
WANTED_RECALL = 0.9
"""Of words of people and places in templates left out of the fit; the bar on unseen templates is 0.85 of names."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text with the names in it."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    group: object
    """Texts of one template share it."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Rows:
    """The words of some texts."""

    inputs: Floats
    kinds: list[str]
    groups: list[object]
    weights: Floats


async def build(encoder: Encoder) -> dict[str, object]:
    """Fit, measure and write; return the figures."""
    assert isinstance(encoder, OnnxEncoder)
    sources = Sources()
    templates = [_presidio(row) for row in sources.tuning("pii_presidio")]
    draw = random.Random(3)
    texts = [*templates, *map(_lower, draw.sample(templates, len(templates) // 3)), *_others(sources, draw)]
    rows = await _rows(encoder, texts)
    known = _fitted(rows, encoder)
    known = _tuned(known, rows, encoder)
    figures = await _figures(known, encoder)
    about.write(
        known,
        summary="Which words of a text are names of people, places, addresses or organisations.",
        sources=sources,
        measured=figures,
        notes="Fitted on the tuning half of the templates, measured on the templates of the reporting half. A name "
        "counts as found when some span touches it, a span as right when it touches some name (of a person, place, "
        "address or organisation).",
    )
    return figures


def _presidio(row: dict[str, object]) -> Tagged:
    spans = row["spans"]
    assert isinstance(spans, list)
    marked = tuple((s["start"], s["end"], KINDS[s["type"]]) for s in spans if s["type"] in KINDS)
    return Tagged(str(row["text"]), marked, f"template {row['template_id']}", 2.0)


def _others(sources: Sources, draw: random.Random) -> list[Tagged]:
    """Return tagged short texts of other kinds, most in lower case as people type them."""
    found = [_of_tags(row["tokens"], row["tags"], row["id"]) for row in sources.train("wnut17")[:1500]]
    for row in draw.sample(sources.train("snips"), 1200):
        spans = tuple((s["start"], s["end"], KINDS[s["slot"]]) for s in row["slots"] if s["slot"] in KINDS)
        found.append(Tagged(row["text"], spans, row["id"], 0.5))
    return found


def _of_tags(tokens: Sequence[str], tags: Sequence[str], group: object) -> Tagged:
    text, spans = "", []
    for token, tag in zip(tokens, tags, strict=True):
        start = len(text) + bool(text)
        text = f"{text} {token}".strip()
        kind = KINDS.get(tag.partition("-")[2])
        if kind:
            spans.append((start, len(text), kind))
    return Tagged(text, tuple(spans), group, 0.5)


def _lower(tagged: Tagged) -> Tagged:
    lowered = tagged.text.lower()
    return replace(tagged, text=lowered) if len(lowered) == len(tagged.text) else tagged


async def _rows(encoder: OnnxEncoder, texts: Sequence[Tagged]) -> Rows:
    inputs: list[Floats] = []
    kinds: list[str] = []
    groups: list[object] = []
    weights: list[float] = []
    for one in texts:
        for start, piece in names.pieces(one.text):
            words = names.words_in(piece)
            if not words:
                continue
            inputs.append(names.inputs(words, await encoder.states(piece)))
            kinds += [_kind(one, start + word.start, start + word.end) for word in words]
            groups += [one.group] * len(words)
            weights += [one.weight] * len(words)
    return Rows(np.concatenate(inputs), kinds, groups, np.array(weights, dtype=np.float32))


def _kind(one: Tagged, start: int, end: int) -> str:
    return next((kind for a, b, kind in one.spans if a < end and b > start), names.NOTHING)


def _fitted(rows: Rows, encoder: Encoder, keep: NDArray[np.bool_] | None = None) -> Head:
    kept = np.ones(len(rows.kinds), dtype=bool) if keep is None else keep
    labels = [kind for kind, yes in zip(rows.kinds, kept, strict=True) if yes]
    return fit(names.HEAD, rows.inputs[kept], labels, encoder.artifacts[0], c=C, weights=rows.weights[kept])


def _tuned(known: Head, rows: Rows, encoder: Encoder) -> Head:
    """Choose temperature and reject on words of templates that were left out."""
    templates = sorted({str(group) for group in rows.groups if str(group).startswith("template")})
    random.Random(1).shuffle(templates)
    fold = {group: number % FOLDS for number, group in enumerate(templates)}
    of_row = np.array([fold.get(str(group), -1) for group in rows.groups])
    values = np.zeros((len(rows.kinds), len(known.labels)), dtype=np.float32)
    for number in range(FOLDS):
        values[of_row == number] = logits(_fitted(rows, encoder, of_row != number), rows.inputs[of_row == number])
    held = of_row >= 0
    truth = np.array([known.labels.index(kind) for kind in rows.kinds])[held]
    found = replace(known, temperature=temperature(values[held], truth))
    none = known.labels.index(names.NOTHING)
    shares = softmax(values[held] / np.float32(found.temperature))
    wanted = np.isin(truth, [known.labels.index(kind) for kind in ("person", "place")])
    return replace(found, reject=float(np.quantile(1.0 - shares[wanted, none], 1 - WANTED_RECALL)))


async def _figures(known: Head, encoder: OnnxEncoder) -> dict[str, object]:
    texts = [_presidio(row) for row in dev_half("pii_presidio", "reporting")]
    found = [await names.find(one.text, encoder, known) for one in texts]
    groups = [one.group for one in texts]
    recalled: dict[str, list[tuple[int, int]]] = {kind: [] for kind in sorted(set(KINDS.values()))}
    right = []
    for one, spans in zip(texts, found, strict=True):
        for kind, counts in recalled.items():
            own = [(a, b) for a, b, k in one.spans if k == kind]
            counts.append((sum(any(s.start < b and s.end > a for s in spans) for a, b in own), len(own)))
        right.append((sum(any(a < s.end and b > s.start for a, b, _ in one.spans) for s in spans), len(spans)))

    def share(counts: Sequence[tuple[int, int]]) -> dict[str, object]:
        table = np.array(counts)
        return measured(lambda rows: float(table[rows, 0].sum() / max(1, table[rows, 1].sum())), len(table), groups)

    both = [(a + c, b + d) for (a, b), (c, d) in zip(recalled["person"], recalled["place"], strict=True)]
    figures: dict[str, object] = {"recall_people_and_places": share(both), "precision": share(right)}
    figures.update({f"recall_{kind}": share(counts) for kind, counts in recalled.items()})
    return figures
