"""The fields that an instruction names: `Extract vendor, date and total from: …` to three names."""

from __future__ import annotations

import re

from models.errors import InputError
from models.schema import MAX_FIELDS

_VERB = re.compile(
    r"^\W*(?:(?:please|can you|could you|kindly)\s+)*"
    r"(?:extract|get|pull out|pull|find|list|give me|show me|tell me|read|take|collect|fill in|return"
    r"|what (?:is|are))\b",
    re.IGNORECASE,
)
_END = re.compile(
    r"\s+(?:from|out of|in|of|as (?:a )?json|into json|mentioned|given|contained)\b.*|\s*[:?!].*|\.(?:\s.*|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_SEPARATOR = re.compile(r"\s*(?:,|;|&|/|\band\b|\bas well as\b|\bplus\b|\n)\s*", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:the|a|an|all|any|its|their|every|each|following|fields?|values?)\s+", re.IGNORECASE)
_BODY = re.compile(r":\s*(?P<colon>\S.{11,})\Z|\b(?:from|out of)\b[^:\n]*?[\"“](?P<quoted>.{12,})[\"”]", re.DOTALL)
LONGEST_NAME_WORDS = 5
"""A longer phrase is a sentence, not the name of a field."""


def fields_in(instruction: str) -> list[str]:
    """Return the names of the fields in the words of the instruction.

    >>> fields_in("Please extract the vendor, date and total amount from this invoice")
    ['vendor', 'date', 'total amount']

    Raises InputError when it names none.
    """
    verb = _VERB.match(instruction)
    phrase = _END.sub("", instruction[verb.end() if verb else 0 :].strip(), count=1)
    names = [_bare(name) for name in _SEPARATOR.split(phrase)]
    found = list(dict.fromkeys(name for name in names if name and len(name.split()) <= LONGEST_NAME_WORDS))
    if not found or len(found) > MAX_FIELDS:
        raise InputError("Say which fields to extract, for example: extract vendor, date and total.")
    return found


def _bare(name: str) -> str:
    name = name.strip(" \t\n.\"'`*-")
    while (shorter := _ARTICLE.sub("", name)) != name:
        name = shorter
    return name


def instructed(instruction: str) -> str:
    """Return the text that stands inside the instruction itself, after a colon or in quotes; else nothing."""
    found = _BODY.search(instruction)
    return (found["colon"] or found["quoted"] or "").strip() if found else ""
