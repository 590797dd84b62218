"""Finds numbers and addresses of fixed form: cards, IBANs, identity numbers, e-mail, links, IP, phones.

Where a form has a checksum the checksum decides; where a number is only told by what stands before it, that word does.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from importlib import import_module

import phonenumbers
from stdnum import iban, luhn
from stdnum.iso7064 import mod_97_10

from hub.spans import Kind, Span

CUE_CHARS = 40
"""How far before a number the word that says what it is may stand."""

_EMAIL = re.compile(r"(?<![\w.+'-])[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
_LINK = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,15}://|\bwww\.)[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}]", re.I)
_DOMAIN = re.compile(
    r"(?<![\w@.-])(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"(?:com|org|net|edu|gov|mil|info|biz|name|app|dev|io|co|eu|uk|de|fr|es|it|nl|be|ch|at|pl|se|no|dk|fi|ie|pt"
    r"|gr|cz|hu"
    r"|ro|ru|ua|tr|us|ca|au|nz|jp|cn|in|br|mx|za|kr)(?![\w-])(?:/[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}])?"
)
_IP4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![\w]|\.\d)")
_IP6 = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:%\w+)?(?:/\d{1,3})?(?![\w:])", re.I)
_MAC = re.compile(r"(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])", re.I)
_CARD = re.compile(r"(?<![\w.])\d(?:[ -]?\d){11,18}(?![\w]|[.,]\d)")
_CARD_CUE = re.compile(r"\b(?:card|visa|mastercard|amex|maestro|debit|credit|cc)\b", re.I)
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}[A-Z0-9]{11,30}(?!\w)", re.I)
_IBAN_SPACED = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ -][A-Z0-9]{4}){2,7}(?:[ -][A-Z0-9]{1,4})?(?!\w)", re.I)
_SSN = re.compile(r"(?<![\w-])\d{3}([- ])\d{2}\1\d{4}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.,/:+-])(?:\+|00 ?)?(?:\(\+?\d{1,4}\)|\d)(?:[ .()/-]{0,2}\d){5,16}(?: ?(?:x"
    r"|ext\.?) ?\d{1,6})?(?![\w]|[.,:/-]\d)"
)
_PHONE_CUE = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|call|calling|ring|fax|text|sms|whatsapp|signal|dial|reach|number|messages?"
    r"|telefon|handy|mobil|answering)\b",
    re.I,
)
_YEARS = re.compile(r"(?:1[5-9]|20)\d\d ?[-/] ?(?:1[5-9]|20)?\d\d")
_TOKEN = re.compile(r"(?<![\w-])[A-Z0-9]+(?:[./-][A-Z0-9]+)*(?![\w-])")
_TOKENS = re.compile(r"(?<![\w-])\d[A-Z0-9]*(?:[ ./-][A-Z0-9]+)*(?![\w-])")
"""With spaces between groups, but not with the word before the first."""
_ID_WORDS = (
    "social security|ssn|passport|licen[cs]e|identity|id card|id no|id number|tax|tin|national insurance|insurance"
    "|account|customer|member(?:ship)?|patient|policy|employee|student|reference|case|nhs|vat|registration|plate|order"
    "|invoice|booking|tracking|serial|imei|sort code|routing|bic|swift|pin|tan"
)
_ID_CUE = re.compile(
    rf"\b(?:{_ID_WORDS})\b(?: (?:code|number|no|num|id|card))?\b[\s.:#=]*(?:is|are|was)?[\s:#]*"
    r"([A-Z0-9][A-Z0-9./-]{3,30}[A-Z0-9])(?!\w)",
    re.I,
)
_POSTCODE_CUE = re.compile(
    r"\b(?:zip|post ?code|postal code|plz)\b(?: code)?[\s:#=]*(?:is)?[\s:#]*([A-Z0-9][A-Z0-9 -]{2,8}\d[A-Z]{0,2})", re.I
)
_POSTCODE_US = re.compile(r"(?<!\w)[A-Z]{2},? (\d{5}(?:-\d{4})?)(?![\w-])")
_POSTCODE_UK = re.compile(r"(?<!\w)[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}(?!\w)")
_SPOT = re.compile(r"(?<![\w.])[-+]?\d{1,2}\.\d{4,}[°NSns]?,? {0,2}[-+]?\d{1,3}\.\d{4,}[°EWew]?(?![\w.])")

NATIONAL = (
    "at.vnr be.nn bg.egn br.cpf ch.ssn cz.rc de.idnr dk.cpr ee.ik es.dni es.nie fi.hetu fr.nir gb.nhs hr.oib "
    "it.codicefiscale lt.asmens mx.curp pl.pesel pt.cc ro.cnp se.personnummer si.emso tr.tckimlik za.idnr in_.aadhaar"
).split()
"""Identity numbers with a checksum and at least ten signs: one in ten of random numbers would pass a single digit."""


def identifiers(text: str) -> Iterator[Span]:
    """Yield every identifier in the text; spans may overlap."""
    for finder in (_forms, _addresses, _cards, _ibans, _phones, _national, _told):
        yield from finder(text)


def _forms(text: str) -> Iterator[Span]:
    for pattern, kind in (
        (_EMAIL, Kind.EMAIL),
        (_LINK, Kind.LINK),
        (_MAC, Kind.DEVICE),
        (_SSN, Kind.ID),
        (_SPOT, Kind.SPOT),
    ):
        yield from (Span(kind, *found.span()) for found in pattern.finditer(text))
    for found in _DOMAIN.finditer(text):
        if not found[0].isupper():
            yield Span(Kind.LINK, *found.span())
    for found in _POSTCODE_UK.finditer(text):
        yield Span(Kind.POSTCODE, *found.span())


def _addresses(text: str) -> Iterator[Span]:
    for pattern in (_IP4, _IP6):
        for found in pattern.finditer(text):
            if _is_ip(found[0]):
                yield Span(Kind.IP, *found.span())


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return len(text) > 2  # "::" is a habit of programmers


def _cards(text: str) -> Iterator[Span]:
    for found in _CARD.finditer(text):
        digits = re.sub(r"\D", "", found[0])
        if luhn.is_valid(digits) or (len(digits) >= 13 and _before(_CARD_CUE, text, found.start())):
            yield Span(Kind.CARD, *found.span())


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        if sum(map(str.isdigit, found[0])) >= 6:
            yield Span(Kind.IBAN, *found.span())
    for found in _IBAN_SPACED.finditer(text):
        end = _iban_end(found[0])
        if end:
            yield Span(Kind.IBAN, found.start(), found.start() + end)


def _iban_end(groups: str) -> int:
    """Return where the IBAN at the beginning ends: words after it may look like a further group."""
    ends = [*(space.start() for space in re.finditer("[ -]", groups)), len(groups)]
    for end in reversed(ends):
        number = re.sub("[ -]", "", groups[:end]).upper()
        if len(number) >= 15 and (iban.is_valid(number) or mod_97_10.is_valid(number[4:] + number[:4])):
            return end
    return 0


def _phones(text: str) -> Iterator[Span]:
    for found in _PHONE.finditer(text):
        number = found[0]
        digits = re.sub(r"\D", "", re.split(" ?(?:x|ext)", number)[0])
        if not 7 <= len(digits) <= 15 or _YEARS.fullmatch(number) or _dated(number):
            continue
        if _international(number) or _grouped(number, digits) or _before(_PHONE_CUE, text, found.start()):
            yield Span(Kind.PHONE, found.start(), found.end(), sure=_international(number))


def _dated(number: str) -> bool:
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}|\d{1,2}([./-])\d{1,2}\1\d{4}", number) is not None


def _international(number: str) -> bool:
    if not number.startswith(("+", "00")):
        return False
    try:
        parsed = phonenumbers.parse("+" + number.lstrip("+0"), None)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_possible_number(parsed)


def _grouped(number: str, digits: str) -> bool:
    """Whether digits stand in groups as people write them: `780-999-2181`, `0489 25 37 29`, `(020) 7946 0018`."""
    groups = re.findall(r"\d+", number)
    if number.startswith("(") or (digits.startswith("0") and len(groups) > 1):
        return len(digits) >= 7
    sizes = [len(group) for group in groups]
    return (len(sizes) >= 3 and len(digits) >= 9 and max(sizes) <= 5 and min(sizes[1:]) >= 2) or sizes == [3, 4]


def _national(text: str) -> Iterator[Span]:
    for pattern in (_TOKEN, _TOKENS):
        for found in pattern.finditer(text):
            if sum(map(str.isdigit, found[0])) >= 7 and len(found[0]) <= 24 and any(c(found[0]) for c in _checks()):
                yield Span(Kind.ID, *found.span())


_CHECKS: list[Callable[[str], bool]] = []


def _checks() -> list[Callable[[str], bool]]:
    if not _CHECKS:  # twenty small modules, first use only
        _CHECKS.extend(import_module(f"stdnum.{name}").is_valid for name in NATIONAL)
    return _CHECKS


def _told(text: str) -> Iterator[Span]:
    """Yield what a word before it says to be a number of someone."""
    for found in _ID_CUE.finditer(text):
        if sum(map(str.isdigit, found[1])) >= 3:
            yield Span(Kind.ID, *found.span(1), sure=False)
    for pattern in (_POSTCODE_CUE, _POSTCODE_US):
        yield from (Span(Kind.POSTCODE, *found.span(1), sure=False) for found in pattern.finditer(text))


def _before(cue: re.Pattern[str], text: str, at: int) -> bool:
    return cue.search(text, max(0, at - CUE_CHARS), at) is not None
