"""What would leave, for the owner's eyes: before and after, and the exact bytes."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator

from hub.consent import Question

MAX_LINES = 60
"""Of the difference; the exact bytes are below it in full."""


def differences(question: Question) -> list[str]:
    """Return the lines that redaction changed, `-` as they are here and `+` as they would go."""
    found: list[str] = []
    for before, after in zip(question.before, question.after, strict=True):
        found += _changed(before.splitlines(), after.splitlines())
    if len(found) > MAX_LINES:
        return [*found[:MAX_LINES], f"… and {len(found) - MAX_LINES} lines more"]
    return found or ["Nothing in it is hidden."]


def _changed(before: list[str], after: list[str]) -> Iterator[str]:
    for line in difflib.ndiff(before, after):
        if line.startswith(("- ", "+ ")):
            yield line


def as_sent(body: bytes) -> str:
    """Return the bytes as text, character for character; what a terminal would act on is written out."""
    text = body.decode("utf-8", errors="backslashreplace")
    return "".join(letter if letter == "\n" or letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
