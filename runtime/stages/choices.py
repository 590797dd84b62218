"""Reads the labels to choose from in `Is this urgent or can it wait?` and `Classify this as work, family or health`."""

from __future__ import annotations

import re

from runtime.stages.phrases import OBJECT, POLITE

MAX_CHARS = 400
"""Longer instructions are no choice between a few labels; the bound keeps the patterns fast on pasted text."""

_CLASSIFY = re.compile(
    rf"{POLITE}(?:classify|label|categori[sz]e|sort)\s+{OBJECT}\s*(?:as|into|under)\s+(?:either\s+|one\s+of\s+)?"
    r"(?P<labels>[\w ,'\"-]{3,300})[.!?]?$",
    re.IGNORECASE,
)
_MODALS = frozenset("can could should must may will would might".split())
_VERB = rf"(?:is|are|was|{'|'.join(sorted(_MODALS))}|(?:does|do)(?=.*?\s(?:sound|seem|look|need|require)s?\s))"
_TEXTS = (
    r"(?:files?|documents?|texts?|pages?|letters?|e-?mails?|mails?|messages?|articles?|reports?|notes?|sentences?|"
    r"comments?|posts?|tweets?|tickets?|requests?|questions?|answers?|invoices?|receipts?|passages?|paragraphs?|reviews?)"
)
_THIS = (
    r"(?:(?:this|these|the|that|my|following|attached|given|above|below)\s+){1,3}"
    rf"{_TEXTS}|(?:it|this|these|that|they)(?!\s+{_TEXTS}\b)"
)
"""What came along with the question. `Is the deposit refundable or not?` asks what a text says, not what it is."""
_SIDE = r"(?!(?:in|at|on|from|by|for|to|before|after|between|within)\b)[\w-]+(?:\s[\w-]+){0,2}"
"""What may be a label. `Is it in Berlin or in Hamburg?` asks what a text says."""
_CLAUSE = re.compile(rf"(?P<verb>{_VERB})\s+(?:it|this|that|they)\s+(?P<rest>{_SIDE})$", re.IGNORECASE)
_SIDES = (
    rf"(?:(?:sound|seem|look)\s+)?(?P<labels>{_SIDE}(?:,\s{_SIDE})*,?\s+or\s+"
    rf"(?:{_VERB}\s+(?:it|this|that|they)\s+)?{_SIDE})\?*$"
)
_EITHER = re.compile(
    rf"{POLITE}(?:(?P<verb>{_VERB})\s+(?:{_THIS})\s+|(?:tell\s+me\s+|say\s+|decide\s+)?(?:if|whether)\s+(?:{_THIS})\s+"
    rf"(?:is|are)\s+){_SIDES}",
    re.IGNORECASE,
)
_LIST = re.compile(r",\s*(?:or\s+|and\s+)?|\s+or\s+|\s+and\s+", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:an?|the|about)\s+", re.IGNORECASE)
_YES_OR_NO = re.compile(r",?\s+yes\s+or\s+no\s*\?*$", re.IGNORECASE)


def labels(head: str) -> tuple[str, ...]:
    """Return what an instruction lets choose from, at least two; nothing where it is no choice.

    >>> labels("Is this urgent or can it wait?")
    ('urgent', 'can wait')
    """
    if len(head) > MAX_CHARS:
        return ()
    listed = _CLASSIFY.match(head)
    if listed:
        found = [_ARTICLE.sub("", part.strip(" '\"")) for part in _LIST.split(listed["labels"])]
    else:
        asked = _EITHER.match(_YES_OR_NO.sub(" or not", head))
        parts = _LIST.split(asked["labels"]) if asked else []
        verb = (asked["verb"] or "") if asked else ""
        found = [_alternative(part, verb if not place else "") for place, part in enumerate(parts)]
    if found and found[-1].lower() == "not":  # "spam or not"
        found[-1] = f"not {found[0]}"
    once = tuple(dict.fromkeys(found))
    return once if len(once) > 1 and all(once) else ()


def _alternative(part: str, verb: str) -> str:
    """Return one side of a choice as a label: what it is, or with its verb what it can or should do."""
    clause = _CLAUSE.match(part)
    if clause:
        verb, part = clause["verb"], clause["rest"]
    said = _ARTICLE.sub("", part.strip(" '\""))
    return f"{verb.lower()} {said}" if verb.lower() in _MODALS else said
