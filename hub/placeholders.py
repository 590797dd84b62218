"""The form of a placeholder, `[PERSON_1]`, and finding everything in a text that could be read as one."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub.spans import Kind, Span

_KINDS = "|".join(sorted((kind.value for kind in Kind), key=len, reverse=True))
_LIKE = re.compile(rf"\[\s*(?:{_KINDS})[ _-]?\d+\s*\]|(?:{_KINDS})_\d+|\[\s*(?:{_KINDS})_[A-Za-z0-9_]*\s*\]", re.I)
"""Wider than what is written: models drop brackets and change letter case, and such a one must not slip by."""


def written(kind: Kind, number: int) -> str:
    return f"[{kind.value}_{number}]"


def lookalikes(text: str) -> Iterator[Span]:
    """Yield all that is a placeholder or could be taken for one.

    >>> [text[s.start : s.end] for text in ["see [Person 1] and EMAIL_2"] for s in lookalikes(text)]
    ['[Person 1]', 'EMAIL_2']
    """
    for found in _LIKE.finditer(text):
        yield Span(Kind.TEXT, found.start(), found.end())
