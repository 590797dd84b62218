"""What a model thought of each token of its answer, as OpenAI writes it, with Covey's own figures beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.backend import TokenDetail
from models.types import Json

LEAST_LOGPROB = -9999.0
"""OpenAI's number for what is next to impossible; JSON knows no infinity."""
FORCED_LOGPROB = 0.0
"""Of a token that the form of the answer left no choice about: certain, whatever the model would have said."""
DIGITS = 6
"""Behind the point; single precision holds no more."""


def logprobs_object(details: Sequence[TokenDetail] | None) -> Json:
    """Return the `logprobs` of a choice: null where they are not asked for, or not known."""
    if details is None:
        return None
    return {"content": [_entry(detail) for detail in details], "refusal": None}


def _entry(detail: TokenDetail) -> dict[str, Json]:
    signal = detail.signal
    likeliest: list[Json] = [_token(data, logprob) for data, logprob in detail.likeliest]
    own: dict[str, Json] = {"forced": signal is None}
    if signal is not None:
        own["margin"] = round(signal.margin, DIGITS) if math.isfinite(signal.margin) else None
        own["entropy"] = round(signal.entropy, DIGITS)
        own["feasible_mass"] = round(signal.feasible_mass, DIGITS)
    shape = _token(detail.data, FORCED_LOGPROB if signal is None else signal.logprob)
    return {**shape, "top_logprobs": likeliest, "covey": own}


def _token(data: bytes, logprob: float) -> dict[str, Json]:
    """Return one token; a part of a character has a replacement in the text, and is whole in the bytes."""
    return {
        "token": data.decode("utf-8", "replace"),
        "logprob": round(max(logprob, LEAST_LOGPROB), DIGITS),
        "bytes": list(data),
    }
