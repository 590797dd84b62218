"""What a routing stage says about a request: who should do it, with which input, how sure, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.types import Json

Stage = Literal["asked", "rules", "similar"]
"""`asked`: the caller named the capability; `rules`: S0; `similar`: S1, by embedding."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One stage's verdict on one request."""

    stage: Stage
    capability: str | None
    """None: the stage says that no specialist here can do it (S1's reject class), or makes no claim."""
    score: float
    """0..1; a claim wins when it reaches its stage's threshold."""
    reason: str
    """One sentence for the trace, in the owner's words."""
    input: Mapping[str, Json] = field(default_factory=dict)
    """Slots that the stage filled."""
    near: tuple[str, ...] = ()
    """The known requests that this one looked like, nearest first."""
