"""Pieces of a text that must not leave, and joining those that touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum


class Kind(Enum):
    """What a hidden piece is. The value is the word in its placeholder: `[PERSON_1]`."""

    PERSON = "PERSON"
    PLACE = "PLACE"
    ADDRESS = "ADDRESS"
    ORGANIZATION = "ORGANIZATION"
    GROUP = "GROUP"
    """A nationality, religion or people."""
    TITLE = "TITLE"
    AGE = "AGE"
    DATE = "DATE"
    POSTCODE = "POSTCODE"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    LINK = "LINK"
    IP = "IP"
    DEVICE = "DEVICE"
    """The hardware address of a device."""
    CARD = "CARD"
    IBAN = "IBAN"
    ID = "ID"
    """A number that an office or a firm gave to one person."""
    SPOT = "SPOT"
    """Coordinates."""
    WORD = "WORD"
    """From the owner's own list."""
    TEXT = "TEXT"
    """Text that looks like a placeholder but came with the request."""
    SECRET = "SECRET"
    """A key, token or password. It is never replaced and sent: it blocks the text."""


@dataclass(frozen=True, slots=True)
class Span:
    """One piece: text[start:end]."""

    kind: Kind
    start: int
    end: int
    sure: bool = True
    """Whether a checksum, a fixed form or the owner says so; False where a head or a habit of writing does."""

    def __post_init__(self) -> None:
        assert 0 <= self.start < self.end, "a span has at least one character"


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the spans in order, those that overlap made one; a sure one gives the kind, else the longest does.

    >>> joined([Span(Kind.PERSON, 0, 5, sure=False), Span(Kind.EMAIL, 3, 9)])
    (Span(kind=<Kind.EMAIL: 'EMAIL'>, start=0, end=9, sure=True),)
    """
    out: list[Span] = []
    leads: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if out and span.start < out[-1].end:
            lead = max(leads[-1], span, key=_weight)
            leads[-1] = lead
            out[-1] = replace(lead, start=out[-1].start, end=max(out[-1].end, span.end))
        else:
            out.append(span)
            leads.append(span)
    return tuple(out)


def _weight(span: Span) -> tuple[bool, bool, int]:
    return span.kind is Kind.SECRET, span.sure, span.end - span.start


def outside(spans: Sequence[Span], found: Iterable[Span]) -> list[Span]:
    """Return those of the found spans that touch none of the others."""
    return [one for one in found if not any(one.start < other.end and one.end > other.start for other in spans)]
