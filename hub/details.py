"""Finds what tells a person without being a name: full dates, ages, titles, nationalities, the owner's words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hub.spans import Kind, Span

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DATES = re.compile(
    r"(?<![\w./-])(?:(?:19|20)\d\d([-/.])[01]?\d\1[0-3]?\d(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z"
    r"|[+-]\d\d:?\d\d)?)?"
    r"|[0-3]?\d([-/.])[0-3]?\d\2(?:(?:19|20)?\d\d))(?![\w/-]|\.\d)"
    rf"|\b(?:[0-3]?\d(?:st|nd|rd|th)?\.?(?: of)? {_MONTH},? (?:19|20)\d\d|{_MONTH} [0-3]?\d(?:st|nd|rd"
    rf"|th)?,? (?:19|20)\d\d)\b",
    re.I,
)
_AGES = re.compile(
    r"\b(?P<a>1?\d?\d)(?:[ -]?(?:years?|yrs?|months?)[ -]?old\b|[ -]?y/?o\b| years of age\b)"
    r"|\b(?:aged?|age of|age is|turn(?:s|ed|ing)?|ages)[: ]{1,2}(?P<b>1?\d?\d)\b(?! ?(?:%|percent|degrees|km"
    r"|miles|minutes|times))"
    r"|\b(?:I am|I'm|I’m|s?he is|s?he's|s?he’s|was|am)(?: (?:now|only|just|already|almost"
    r"|about))? (?P<c>\d\d)(?=[.,;!?]|$|\n| and | now\b| when\b)",
    re.I,
)
_TITLE = re.compile(r"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sir|Madam|Lady|Herr|Frau|Señora?|Mme|Mlle|M)\b\.?(?= [A-ZÀ-ÞĀ-Ž])")
_PEOPLES = re.compile(
    r"\b(?:(?:american|canadian|mexican|cuban|brazilian|argentin(?:e|ian)|chilean|peruvian|colombian|venezuelan"
    r"|german|austrian"
    r"|italian|spaniard|belgian|norwegian|russian|ukrainian|romanian|hungarian|bulgarian|serbian|croatian"
    r"|slovenian|slovak"
    r"|albanian|estonian|latvian|lithuanian|georgian|armenian|syrian|egyptian|libyan|algerian|tunisian|moroccan"
    r"|nigerian"
    r"|ghanaian|kenyan|ethiopian|somali|ugandan|tanzanian|zambian|iranian|iraqi|israeli|saudi|yemeni|jordanian"
    r"|palestinian"
    r"|indian|pakistani|bangladeshi|nepali|afghan|indonesian|malaysian|cambodian|australian|asian|african"
    r"|european|arab|kurd"
    r"|muslim|christian|catholic|protestant|hindu|buddhist|sikh|jew|swede|dane|finn|pole|turk|czech|greek|scot|thai)s?"
    r"|french|british|english|scottish|welsh|irish|dutch|swiss|swedish|danish|finnish|polish|portuguese|spanish|turkish"
    r"|chinese|japanese|korean|vietnamese|taiwanese|lebanese|sudanese|burmese|maltese|icelandic|jewish|kurdish)\b",
    re.I,
)
_LANGUAGE = re.compile(
    r"\b(?:translat\w*|say|said|says|write|written|answer|reply|speak|spoken|mean|called|word|words|text|letter|mail|sentence"
    r"|poem|grammar)\b[^.?!\n]{0,60}?\b(?:in|into|to|from|of|the|good|simple|this|plain)\s+"
    r"(english|german|french|spanish|italian|dutch|portuguese|polish|danish|swedish|norwegian|finnish|greek|turkish|russian"
    r"|ukrainian|arabic|hebrew|hindi|chinese|mandarin|japanese|korean|latin|czech|hungarian|romanian|vietnamese|thai)\b",
    re.I,
)
_COMMON_WORDS = frozenset("pole poles polish finn dane jordanian turkish english turk thai greek".split())
"""Also ordinary words where they are in lower case."""


def languages(text: str) -> Iterator[Span]:
    """Yield languages that are named to say in which to write: `translate into French` tells nothing about anyone.

    >>> [text[s.start : s.end] for text in ["Translate it into French."] for s in languages(text)]
    ['French']
    """
    for found in _LANGUAGE.finditer(text):
        yield Span(Kind.TEXT, *found.span(1))


def details(text: str) -> Iterator[Span]:
    """Yield full dates, ages, titles before a name, and nationalities and religions."""
    yield from (Span(Kind.DATE, *found.span()) for found in _DATES.finditer(text))
    for found in _AGES.finditer(text):
        yield Span(Kind.AGE, *found.span(str(found.lastgroup)))
    yield from (Span(Kind.TITLE, *found.span()) for found in _TITLE.finditer(text))
    for found in _PEOPLES.finditer(text):
        if found[0] not in _COMMON_WORDS:
            yield Span(Kind.GROUP, *found.span(), sure=False)


def listed(text: str, words: Sequence[str]) -> Iterator[Span]:
    """Yield the owner's words wherever they stand as words, in any letter case."""
    wanted = sorted({word.strip() for word in words if word.strip()}, key=len, reverse=True)
    if not wanted:
        return
    choices = "|".join(r"\s+".join(map(re.escape, word.split())) for word in wanted)
    for found in re.finditer(rf"(?<!\w)(?:{choices})(?!\w)", text, re.I):
        yield Span(Kind.WORD, *found.span())
