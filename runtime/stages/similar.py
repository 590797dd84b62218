"""S1: claims by likeness. Logistic regression over the request's vectors, explained by the nearest known requests.

The regression was fitted on the requests in `requests.toml`, those of the built-in specialists, and on
public data sets asked as people would; it knows a class `none` for what nothing here can know or do.
Specialists that came later are known by the requests in their own specs.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backend import Encoder
from models.heads import head
from models.specialist import Pool, SpecialistSpec
from runtime.claims import Claim
from runtime.stages.clues import clues, front, shorten, words_of

Floats = NDArray[np.float32]

FOLDER = Path(__file__).parent
REQUESTS = FOLDER / "requests.toml"
KEPT = FOLDER / "requests.npz"
"""Vectors of the known requests, so that a start does not embed hundreds of texts, and the telling words."""
HEAD = "route"
ENCODERS = ("bge-small-en",)
NONE = "none"
CLUE_WEIGHT, WORD_WEIGHT = 0.5, 0.35
"""Of a clue and of a telling word, against the numbers of a unit vector."""
SHOWN = 3
OWN_MIDDLE, OWN_SLOPE = 0.74, 25.0
"""A request is as likely as not for a specialist outside the regression when its similarity to that
specialist's nearest request is this; texts of one intent lie mostly above .71, strangers below .70."""


@dataclass(frozen=True, slots=True)
class Known:
    """One request whose capability is known."""

    text: str
    capability: str
    kind: str
    """`plain`, `file`, `functions` or `passage`: what comes with it."""


@dataclass(frozen=True, slots=True)
class Near:
    """A known request and how similar the asked one is to it."""

    known: Known
    similarity: float


class Similar:
    """See the module. The constructor reads files and blocks."""

    def __init__(self, pool: Pool, specs: Sequence[SpecialistSpec]) -> None:
        """Raises BadArtifact."""
        self._pool = pool
        self._head = head.load(HEAD)
        self._known = [*read_requests(REQUESTS), *requests_of(specs)]
        self._kept, self._words = read_kept(KEPT)
        self._vectors: Floats | None = None

    async def claim(self, text: str, *, has_files: bool, has_functions: bool) -> Claim:
        """Return who should answer a request, with a calibrated probability. Raises ModelsError."""
        async with self._pool.encoder(ENCODERS) as encoder:
            self._head.require(encoder)
            vectors = await self._known_vectors(encoder)
            vector, opening = await encoder.encode([shorten(text), front(text)])
        given = inputs(vector, opening, text, self._words, has_files=has_files, has_functions=has_functions)
        shares = self._head.probabilities(self._head.inputs(given[None, :], [shorten(text)]))[0]
        kinds = _kinds(has_files, has_functions)
        near = [
            Near(known, float(similarity))
            for known, similarity in zip(self._known, vectors @ vector, strict=True)
            if known.kind in kinds
        ]
        near.sort(key=lambda one: -one.similarity)
        return decide(dict(zip(self._head.labels, map(float, shares), strict=True)), near)

    async def _known_vectors(self, encoder: Encoder) -> Floats:
        """Return the vectors of the known requests; those that no file holds are embedded on first use."""
        if self._vectors is None:
            missing = [known.text for known in self._known if key(known.text) not in self._kept]
            self._kept.update(zip(map(key, missing), await encoder.encode(missing), strict=True))
            self._vectors = np.array([self._kept[key(known.text)] for known in self._known], dtype=np.float32)
        return self._vectors


def decide(shares: Mapping[str, float], near: Sequence[Near]) -> Claim:
    """Return the claim. `shares` are the regression's probabilities, `near` the known requests, nearest first.

    A capability that the regression does not know wins by its own nearest request, when nothing is nearer.
    """
    shown = tuple(one.known.text for one in near[:SHOWN])
    if near and near[0].known.capability not in shares:
        score = 1.0 / (1.0 + float(np.exp(-OWN_SLOPE * (near[0].similarity - OWN_MIDDLE))))
        if score >= 0.5:
            return Claim("similar", near[0].known.capability, score, _likeness(shown), near=shown)
    best = max(shares, key=lambda capability: shares[capability])
    if best == NONE:
        reason = f"it asks for something that nothing here can know or do; {_likeness(shown)}"
        return Claim("similar", None, shares[best], reason, near=shown)
    return Claim("similar", best, shares[best], _likeness(shown), near=shown)


def inputs(
    vector: Floats, opening: Floats, text: str, words: Sequence[str], *, has_files: bool, has_functions: bool
) -> Floats:
    """Return what the regression reads beside the hashed words: the vectors of the request and of what it opens
    with, the clues, and which of the telling words are there."""
    seen = np.array(clues(text, has_files=has_files, has_functions=has_functions), dtype=np.float32)
    found = words_of(text)
    there = np.array([word in found for word in words], dtype=np.float32)
    return np.concatenate([vector, opening, seen * np.float32(CLUE_WEIGHT), there * np.float32(WORD_WEIGHT)])


def read_requests(path: Path) -> list[Known]:
    """Return the requests of a file such as `requests.toml`."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Known(text.replace("{passage}", "").strip(), capability, kind)
        for capability, kinds in tables.items()
        for kind, texts in kinds.items()
        for text in texts
    ]


def requests_of(specs: Sequence[SpecialistSpec]) -> list[Known]:
    """Return the requests that specialists name themselves."""
    return [Known(text, spec.capability or spec.name, "plain") for spec in specs for text in spec.requests]


def read_kept(path: Path) -> tuple[dict[str, Floats], tuple[str, ...]]:
    """Return vectors by the key of their text, and the telling words. Raises BadArtifact."""
    arrays = head.read_arrays(path)
    vectors = arrays["vectors"].astype(np.float32)
    kept = dict(zip((str(name) for name in arrays["keys"]), vectors, strict=True))
    return kept, tuple(str(word) for word in arrays["words"])


def key(text: str) -> str:
    """Return what a text's vector is kept under; the text itself need not be kept with it."""
    return sha256(text.encode()).hexdigest()[:16]


def _kinds(has_files: bool, has_functions: bool) -> frozenset[str]:
    kinds = {"plain", "passage"}
    if has_files:
        kinds.add("file")
    if has_functions:
        kinds.add("functions")
    return frozenset(kinds)


def _likeness(texts: Sequence[str]) -> str:
    return f"it looked like {', '.join(repr(text) for text in texts)}" if texts else "no known request is at hand"
