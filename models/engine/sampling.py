"""Choosing the next token from a row of logits, and what the row says about the choice.

Draws come from a counter, not from a stream: the draw for token i depends on (seed, i) alone, so an
answer that is interrupted and resumed elsewhere draws the same tokens.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.backend import Sampling, TokenSignal
from models.errors import BackendError
from models.types import Signals

Row = NDArray[np.float32]

NEGLIGIBLE = 1e-6
"""Tokens less probable than this share of the best one are never drawn; keeps the sort small."""

PENALISED_TOKENS = 256
"""Tokens of the answer, last ones first, that the penalties look at."""


def uniform(seed: int, index: int) -> float:
    """Return the draw for token `index`: 0 <= u < 1, 53 bits of BLAKE2b(seed, index)."""
    digest = hashlib.blake2b(struct.pack(">qq", seed & 0x7FFF_FFFF_FFFF_FFFF, index), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / float(1 << 53)


def choose(
    row: Row, sampling: Sampling, so_far: Sequence[int], allowed: NDArray[np.bool_] | None = None
) -> tuple[int, TokenSignal]:
    """Return the token that follows `so_far`, the answer's tokens, and its signal.

    `row` has shape (vocabulary,); `allowed` marks the tokens that a constraint permits, same shape,
    with at least one True. `row` is not changed. Log-probability and margin are those before the
    penalties: they say what the model believes, not what it was pushed to. Raises BackendError.
    """
    best = int(row.argmax())
    require_number(row[best])
    shifted = row - row[best]
    weights = np.exp(shifted)
    total = float(weights.sum())  # summed in pairs: six digits hold
    log_total = math.log(total)
    entropy = max(0.0, log_total - float(np.dot(weights, shifted)) / total)
    mass = 1.0
    if allowed is not None:
        mass = min(1.0, float(weights[allowed].sum(dtype=np.float64)) / total)
        shifted = np.where(allowed, shifted, np.float32(-np.inf))
        best = int(shifted.argmax())
    margin = _margin(shifted, best)
    token = _picked(shifted, sampling, so_far, best)
    return token, TokenSignal(float(shifted[token]) - log_total, margin, entropy, mass)


def require_number(best: float | np.float32) -> None:
    """Raise BackendError where the largest of some logits is none, as with damaged weights: any token would do then."""
    if not math.isfinite(best):
        raise BackendError("The model computes no numbers for this; its file may be damaged. Pull or add it again.")


def pick(row: Row, sampling: Sampling, so_far: Sequence[int], allowed: NDArray[np.bool_] | None = None) -> int:
    """Return the token that `choose` chooses, without its signal: to measure what signals cost."""
    shifted = row.copy() if allowed is None else np.where(allowed, row, np.float32(-np.inf))
    return _picked(shifted, sampling, so_far, int(shifted.argmax()))


def likeliest(row: Row, count: int) -> list[tuple[int, float]]:
    """Return the `count` most probable tokens, best first, with their log-probabilities over the whole vocabulary."""
    if count < 1:
        return []
    tokens = np.argpartition(row, -count)[-count:]
    tokens = tokens[np.argsort(-row[tokens], kind="stable")]
    shifted = row - row[tokens[0]]
    log_total = math.log(float(np.exp(shifted).sum()))
    return [(int(token), float(shifted[token]) - log_total) for token in tokens]


def _picked(shifted: Row, sampling: Sampling, so_far: Sequence[int], best: int) -> int:
    """Return the token to take, `best` if nothing speaks against it; penalties are laid on the row and taken off."""
    if not so_far or not (sampling.presence_penalty or sampling.frequency_penalty):
        return best if sampling.temperature <= 0 else _taken(shifted, sampling, len(so_far))
    times = Counter(so_far[-PENALISED_TOKENS:])
    tokens = np.fromiter(times, np.int64, len(times))
    counts = np.fromiter(times.values(), np.int64, len(times))
    before = shifted[tokens]
    shifted[tokens] = before - (np.float32(sampling.presence_penalty) + np.float32(sampling.frequency_penalty) * counts)
    token = _taken(shifted, sampling, len(so_far))
    shifted[tokens] = before
    return token


def _taken(row: Row, sampling: Sampling, index: int) -> int:
    if sampling.temperature > 0:
        return _draw(row, sampling, uniform(sampling.seed, index))
    return int(row.argmax())


def _margin(shifted: Row, best: int) -> float:
    """Return best minus second best; the row is put back as it was."""
    top = shifted[best]
    shifted[best] = -np.inf
    second = float(shifted.max())
    shifted[best] = top
    return float(top) - second


def _draw(shifted: Row, sampling: Sampling, u: float) -> int:
    scaled = shifted.astype(np.float64)
    scaled -= scaled.max()  # before dividing: the best one stays a number at the least of temperatures
    with np.errstate(over="ignore"):
        scaled /= sampling.temperature
    candidates = np.flatnonzero(scaled > np.log(NEGLIGIBLE))
    weights = np.exp(scaled[candidates])
    order = np.argsort(-weights, kind="stable")
    weights = weights[order] / weights.sum()
    cumulative = np.cumsum(weights)
    keep = int(np.searchsorted(cumulative, sampling.top_p - 1e-12)) + 1
    cumulative = cumulative[:keep]
    place = int(np.searchsorted(cumulative, u * cumulative[-1], side="right"))
    return int(candidates[order[min(place, len(cumulative) - 1)]])


class SignalSum:
    """Adds up token signals to those of an answer, without keeping the tokens'."""

    def __init__(self) -> None:
        self._count = 0
        self._logprob = 0.0
        self._entropy = 0.0
        self._margin = float("inf")
        self._mass = 1.0

    def add(self, signal: TokenSignal) -> None:
        self._count += 1
        self._logprob += signal.logprob
        self._entropy += signal.entropy
        self._margin = min(self._margin, signal.margin)
        self._mass = min(self._mass, signal.feasible_mass)

    def signals(self) -> Signals:
        if not self._count:
            return Signals()
        margin = self._margin if np.isfinite(self._margin) else None
        return Signals(
            mean_logprob=self._logprob / self._count,
            min_margin=margin,
            mean_entropy=self._entropy / self._count,
            feasible_mass=self._mass,
            tokens=self._count,
        )
