"""What came of one row: what was expected, what was answered, what it cost. Metrics read nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.types import Json

Rows = NDArray[np.float64]
"""One line a row, one column a count or score; a line with a NaN does not take part in the metric."""
Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row, answered."""

    id: str
    expected: Json
    answer: Json
    """What is scored, taken out of the output by the suite's reader; None after a refusal."""
    also: tuple[Json, ...] = ()
    """Further accepted values."""
    refused: str | None = None
    """The refusal's code."""
    confidence: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: int = 0
    """Generated."""
    passed: bool | None = None
    """Whether the row's own tests passed, where it has any and they were run."""
    valid: bool | None = None
    """Whether the output fits the schema that the request gave; None without a schema or an output."""
    group: str = ""
    """Value of the suite's `by` field."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric in two steps, so that one resampling serves every one of them."""

    rows: Callable[[Sequence[Outcome], Options], Rows]
    fold: Callable[[Rows], float]
    higher_is_better: bool = True
    meaning: str = ""
    """One line for `covey eval --list`."""


def column(values: Sequence[float | bool | None]) -> Rows:
    """Return one column; None becomes NaN, so that the row does not take part."""
    return np.array([[np.nan if value is None else float(value)] for value in values], dtype=np.float64).reshape(-1, 1)


def columns(values: Sequence[Sequence[float]], width: int) -> Rows:
    return np.array(values, dtype=np.float64).reshape(-1, width)


def mean(rows: Rows) -> float:
    return float(rows[:, 0].mean())
