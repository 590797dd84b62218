"""Compares a head that was built again with the one that ships: same labels, same rows, same figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOLERANCE = 0.005
"""Largest difference of a figure, or one row of those that it is from. On one machine a head comes out the same; on
another processor the encoder's int8 sums round differently, and a row in some hundreds may fall to the other side."""


def differences(name: str, shipped: Path, built: Path) -> list[str]:
    """Return what differs between two folders' heads of that name, as sentences; empty when they agree."""
    old, new = _about(shipped / f"{name}.json"), _about(built / f"{name}.json")
    found = [
        f"{name}: {field} was {_short(old.get(field))} and is {_short(new.get(field))}"
        for field in ("labels", "encoder", "data", "command")
        if old.get(field) != new.get(field)
    ]
    before, after = dict(_figures(old["measured"])), dict(_figures(new["measured"]))
    found += [
        f"{name}: {figure} is {'gone' if figure in before else 'new'}"
        for figure in sorted(before.keys() ^ after.keys())
    ]
    found += [
        f"{name}: {figure} was {before[figure].value:.4f} and is {after[figure].value:.4f}"
        for figure in sorted(before.keys() & after.keys())
        if abs(before[figure].value - after[figure].value) > before[figure].tolerance
    ]
    return found


def _about(path: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return known


@dataclass(frozen=True, slots=True)
class _Figure:
    value: float
    rows: int = 0
    """0 where they are not told."""

    @property
    def tolerance(self) -> float:
        return max(TOLERANCE, 1.01 / self.rows if self.rows else 0.0)


def _figures(measured: dict[str, Any], before: str = "") -> Iterator[tuple[str, _Figure]]:
    """Yield each figure by its name; intervals and counts are not figures."""
    for name, value in measured.items():
        if isinstance(value, dict) and "value" in value:
            yield before + name, _Figure(float(value["value"]), int(value.get("rows", 0)))
        elif isinstance(value, dict):
            yield from _figures(value, f"{before}{name}.")
        elif isinstance(value, int | float):
            yield before + name, _Figure(float(value))


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else f"{text[:77]}..."
