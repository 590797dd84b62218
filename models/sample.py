"""A text to measure models with: about 2,000 tokens of English and a little code, written for this purpose."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PATH = Path(__file__).with_name("sample.txt")
_FEWEST_WORDS = 4


def text() -> str:
    return PATH.read_text(encoding="utf-8")


@cache
def sentences() -> tuple[str, ...]:
    """Return its sentences, each on one line; fragments are left out."""
    parts = re.split(r"(?<=[.?!])[\"”]?\s+|\n\s*\n", text())
    flat = (" ".join(part.split()) for part in parts)
    return tuple(part for part in flat if len(part.split()) >= _FEWEST_WORDS)
