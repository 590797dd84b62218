"""What each placeholder of one request stands for. It lives in memory only, and its repr shows nothing."""

from __future__ import annotations

from typing import NoReturn

from hub import placeholders
from hub.errors import PlaceholderInvented
from hub.spans import Kind

MAX_VALUES = 10_000
"""Placeholders of one request; a text with more is a list of people, not a question."""


class Vault:
    """Gives the same value the same placeholder, and puts values back."""

    __slots__ = ("_counts", "_names", "_values")

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._names: dict[tuple[Kind, str], str] = {}
        self._counts: dict[Kind, int] = {}

    def hide(self, kind: Kind, value: str) -> str:
        """Return the placeholder of a value, letter by letter: `Ada` and `ADA` get two, so both come back right."""
        known = self._names.get((kind, value))
        if known is not None:
            return known
        assert len(self._values) < MAX_VALUES, "redaction checks the bound before it hides anything"
        self._counts[kind] = self._counts.get(kind, 0) + 1
        name = placeholders.written(kind, self._counts[kind])
        self._names[kind, value] = name
        self._values[name] = value
        return name

    def restore(self, text: str) -> str:
        """Return the text with every placeholder replaced by its value; values are not searched again.

        Raises PlaceholderInvented for one that hides nothing, also when it only looks like a placeholder.
        """
        out: list[str] = []
        at = 0
        for found in placeholders.lookalikes(text):
            name = text[found.start : found.end]
            if name not in self._values:
                raise PlaceholderInvented(
                    f"The answer names {name[:40]}, which stands for nothing in this request; "
                    "ask again, or keep the request on this device."
                )
            out += [text[at : found.start], self._values[name]]
            at = found.end
        return "".join([*out, text[at:]])

    def values(self) -> tuple[tuple[Kind, str], ...]:
        """Return what is hidden, in the order in which it was found."""
        return tuple(self._names)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Vault({len(self._values)} hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A vault stays in memory: it can't be copied, written down or sent.")
