"""Notices, before anything is sent, that a question can't be answered from a text with hidden pieces."""

from __future__ import annotations

import re

from hub.redact import Redaction
from hub.spans import Kind

_TIMES = frozenset({Kind.DATE, Kind.AGE})
_PLACES = frozenset({Kind.PLACE, Kind.ADDRESS, Kind.POSTCODE, Kind.SPOT})
_NUMBERS = frozenset({Kind.CARD, Kind.IBAN, Kind.ID, Kind.PHONE, Kind.IP, Kind.EMAIL, Kind.LINK})
_KNOWN = frozenset({Kind.PERSON, Kind.ORGANIZATION})
_ANY = frozenset(Kind) - {Kind.TEXT, Kind.SECRET}

_WORDS: dict[Kind, str] = {
    Kind.PERSON: "name",
    Kind.PLACE: "place",
    Kind.ADDRESS: "address",
    Kind.ORGANIZATION: "organisation",
    Kind.GROUP: "nationality or religion",
    Kind.TITLE: "title",
    Kind.AGE: "age",
    Kind.DATE: "date",
    Kind.POSTCODE: "postcode",
    Kind.PHONE: "phone number",
    Kind.EMAIL: "e-mail address",
    Kind.LINK: "link",
    Kind.IP: "internet address",
    Kind.DEVICE: "device address",
    Kind.CARD: "card number",
    Kind.IBAN: "account number",
    Kind.ID: "number",
    Kind.SPOT: "position",
    Kind.WORD: "word of your list",
}
"""How a kind is called before the owner."""

_NEEDS: tuple[tuple[frozenset[Kind], re.Pattern[str]], ...] = tuple(
    (kinds, re.compile(rf"\b(?:{cues})\b", re.I))
    for kinds, cues in (
        (
            _TIMES,
            r"how (?:long|old|many (?:days|weeks|months|years))|older|younger|oldest|youngest|earliest|latest"
            r"|before|after|until"
            r"|since|between|ago|days? (?:left|between|until)|weekday|day of the week|what day|which day|age"
            r"|deadline|overdue"
            r"|expired?|on time|too late|leap year|season|in how many|duration|anniversary|retire|zodiac|star sign",
        ),
        (
            _PLACES,
            r"how far|distances?|near(?:er|est)?|close(?:r|st)?|route|way to|drive|flight|fly|train|weather"
            r"|climate|temperature"
            r"|capital|country|continent|time ?zone|what time|population|inhabitants|language|currency|visit"
            r"|sights?|things to do"
            r"|hotels?|restaurants?|north|south|east|west|where is|in which|located|map|visa|tax(?:es)?|law"
            r"|legal|travel|trip",
        ),
        (
            _KNOWN,
            r"who (?:is|was|are|were)|what (?:is|was|does|did)|famous|wrote|written by|invented|composed"
            r"|discovered|founded"
            r"|biography|born|stock|share price|competitors?|ceo|products?|reviews?|known for|works? of|history of",
        ),
        (
            _NUMBERS,
            r"valid|checksum|check digit|correct(?:ly)? (?:formed|formatted)|digits?|which bank|what bank"
            r"|country code|area code"
            r"|subnet|netmask|reachable|ping|domain",
        ),
        (
            frozenset({Kind.GROUP, Kind.TITLE}),
            r"nationality|religion|religious|culture|customs?|cuisine|recipes?|language|holidays?|tradition(?:s"
            r"|al)?|polite|formal",
        ),
        (
            _ANY,
            r"how many (?:letters|characters|syllables|vowels|digits|words)|spell(?:ed|ing)?|rhymes?|initials?"
            r"|anagrams?|acronym"
            r"|alphabetical(?:ly)?|pronounc\w*|gender|male or female|palindrome|capital letters?|abbreviat\w*|nickname"
            r"|meaning of|mean(?:s)?|etymology|origin of|backwards?|reverse|transliterate|sum|total|add up"
            r"|average|larger|smaller"
            r"|bigger|convert|multiply|divided?",
        ),
    )
)
_ONLY_IF_ASKED_ABOUT = (_KNOWN, _PLACES)
"""Of these, the question itself must name the hidden piece: `who is [PERSON_1]` but not `who is to pay`."""


def meaning_lost(question: str, redaction: Redaction) -> str | None:
    """Return why the answer depends on something hidden, as a sentence with the next step; None where it does not.

    `question` is as the owner typed it. A question whose answer merely *contains* a hidden piece is fine:
    the placeholder comes back and is replaced.
    """
    hidden = {span.kind for span in redaction.spans}
    asked = _asked_about(question, redaction)
    for kinds, cue in _NEEDS:
        lost = kinds & (asked if kinds in _ONLY_IF_ASKED_ABOUT else hidden)
        if lost and cue.search(question):
            kind = min(lost, key=list(Kind).index)
            return (
                f"The answer depends on the {_WORDS[kind]} that is hidden; ask on this device, "
                "or let this one go by taking it out of what is hidden."
            )
    return None


def _asked_about(question: str, redaction: Redaction) -> set[Kind]:
    return {kind for kind, value in redaction.vault.values() if value in question}
