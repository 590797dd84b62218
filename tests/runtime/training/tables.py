"""Files of rows, as an owner would have them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

Pairs = Sequence[tuple[str, str]]


def table(path: Path, rows: Pairs, header: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path
