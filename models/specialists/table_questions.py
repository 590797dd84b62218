"""Questions that a table answers exactly: the highest, the lowest, a sum, an average, a number of rows, one cell.

A question is understood only when every word of it is: the column, whose rows, and what is measured. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Literal, get_args

from models.tables import Table, column, is_missing, named
from models.types import Json

Measure = Literal["highest", "lowest", "total", "average", "median", "count", "value"]
MAX_QUESTION_CHARS = 200
"""Longer questions say more than one thing."""

_MEASURES: Mapping[str, Measure] = {
    **dict.fromkeys("highest largest biggest greatest most maximum max top latest newest".split(), "highest"),
    **dict.fromkeys("lowest smallest least fewest minimum min earliest".split(), "lowest"),
    **dict.fromkeys(("total", "sum", "sum total", "combined"), "total"),
    **dict.fromkeys(("average", "mean", "arithmetic mean"), "average"),
    "median": "median",
}
_ADJECTIVES: Mapping[str, tuple[Measure, tuple[str, ...]]] = {
    "oldest": ("highest", ("age",)),
    "youngest": ("lowest", ("age",)),
    "tallest": ("highest", ("height",)),
    "heaviest": ("highest", ("weight",)),
    "lightest": ("lowest", ("weight",)),
    "longest": ("highest", ("length", "duration")),
    "shortest": ("lowest", ("length", "duration", "height")),
    "cheapest": ("lowest", ("price", "cost")),
    "dearest": ("highest", ("price", "cost")),
    "most expensive": ("highest", ("price", "cost")),
    "least expensive": ("lowest", ("price", "cost")),
}
"""An adjective that names the column by itself, and the columns that it means."""
_ROWS = frozenset("row rows entry entries record records line lines".split())
_ANYTHING = frozenset(
    "row entry record line one item person people thing student pupil player employee customer client member "
    "participant patient product article order team company city country".split()
)
"""What a row may be called whatever its columns are. Any other word (`women`, `winners`) may leave rows out."""
_ENDS = frozenset({"highest", "lowest"})
_PEOPLE = frozenset(
    "name person people who student pupil child member employee worker player runner customer client guest visitor "
    "owner author user contact teacher patient tenant friend driver candidate applicant colleague volunteer".split()
)
"""Names of columns that hold people, if one is called so; `first name` and `full name` are `name`."""
_NAMES = frozenset("first last full given family sur user".split())
_QUOTES = " '\"“”‘’"

_MEASURE = "|".join(sorted(_MEASURES, key=len, reverse=True))
_ADJECTIVE = "|".join(sorted(_ADJECTIVES, key=len, reverse=True))
_ASK = (
    r"(?:please |(?:can|could) you )?"
    r"(?:tell me |show me |give me |find |calculate |compute |what(?:'s|’s| is| are| was) )?"
)
_WHO = r"(?:(?P<who>who)|(?:which|what)(?: one| (?P<entity>[\w -]{1,40}?))?)"
_WHERE = (
    r"(?: (?P<joint>of|for|in|from|at|by|per|with|among|on|have|has)(?: (?P<each>each|every))?"
    r"(?: (?P<all>all))?(?: the)? (?P<rest>[^?]{1,60}))?"
)

_FORMS = (
    rf"{_WHO} (?:\w{{2,12}}) (?:the )?(?P<measure>{_MEASURE}) "
    rf"(?P<column>[\w ()%/-]{{1,40}}?){_WHERE}",
    rf"{_WHO} (?:is|are|was|were) (?:the )?(?P<adjective>{_ADJECTIVE}){_WHERE}",
    rf"{_ASK}(?:the )?(?P<measure>{_MEASURE})(?: (?:of|for)(?: all)?(?: the)?)? "
    rf"(?P<column>[\w ()%/-]{{1,40}}?){_WHERE}",
    rf"how (?:much|high|large|big|low) (?:is|are|was) (?:the )?(?P<measure>{_MEASURE})(?: of(?: the)?)? "
    rf"(?P<column>[\w ()%/-]{{1,40}}?){_WHERE}",
    rf"how many (?P<counted>[\w -]{{1,40}}?)(?: (?:are|is|were|do we have|does it have|have|has|come|came))?"
    rf"(?: there| listed| in (?:this|the) (?:file|table|list))?{_WHERE}",
    r"what(?:'s|’s| is| was) (?P<whose>[^?]{1,60})['’]s? (?P<column>[\w ()%/-]{1,40})",
    r"(?:what|which|how much|how many) (?P<column>[\w ()%/-]{1,40}?) (?:does|do|did|has) (?P<whose>[^?]{1,60}?)"
    r"(?: have| get| got| make)?",
    rf"{_ASK}(?:the )?(?P<column>[\w ()%/-]{{1,40}}?) (?:of|for) (?:the )?(?P<whose>[^?]{{1,60}})",
)
_HINT = re.compile(rf"\b(?:{_MEASURE}|{_ADJECTIVE}|how many|how much|what|which|who)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Query:
    """What to work out of a table."""

    measure: Measure
    column: str = ""
    """What is measured; empty where rows are counted."""
    show: str = ""
    """The column that names a row."""
    per: str = ""
    """The column whose values are measured apart."""
    where: str = ""
    """Only rows with `equals` in this column."""
    equals: str = ""

    def to_json(self) -> dict[str, Json]:
        return {name: value for name, value in asdict(self).items() if value}


def from_json(given: Json) -> Query | None:
    """Return the query in a value; None when it is none."""
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        return None
    known = {name: str(value) for name, value in given.items() if name in Query.__dataclass_fields__}
    return Query(**known) if known.get("measure") in get_args(Measure) else None  # type: ignore[arg-type]


def may_ask(text: str) -> bool:
    """Return whether it is worth while to read a table for this request."""
    return len(text) <= MAX_QUESTION_CHARS and bool(_HINT.search(text))


def understood(text: str, table: Table) -> Query | None:
    """Return what a question asks of a table; None when a part of it is not clear."""
    if len(text) > MAX_QUESTION_CHARS or len(table.columns) < 2 or not table.rows:
        return None
    question = re.sub(r"\s+", " ", text).strip().rstrip("?.! ")
    return next(_readings(question, table), None)


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    """Compiled on first use: most requests come without a table."""
    return tuple(re.compile(form, re.IGNORECASE) for form in _FORMS)


def _readings(question: str, table: Table) -> Iterator[Query]:
    for form in _forms():
        match = form.fullmatch(question)
        found = _meant(match.groupdict(), table) if match else None
        if found is not None:
            yield found


def _meant(parts: Mapping[str, str | None], table: Table) -> Query | None:
    """Return the query of one reading, if every part of it is something in the table."""
    bounds = _bounds(parts, table)
    if bounds is None:
        return None
    if parts.get("counted"):
        return _count(parts["counted"] or "", bounds, table)
    measured = _measured(parts, table)
    if measured is None or not _measurable(*measured, bounds, table):
        return None
    measure, index = measured
    entity = parts.get("entity") or ""
    if entity and named(table.columns, entity) is None and not _is_anything(entity):
        return None
    show = _shown(entity, index, table) if measure in (*_ENDS, "value") else None
    if parts.get("who"):
        show = _person(index, table)
    if measure in _ENDS and (entity or parts.get("who")) and (show is None or not _each_once(table, show)):
        return None  # nobody to name; or one has several rows, of which the sum may be meant
    return Query(measure, table.columns[index], "" if show is None else table.columns[show], **bounds)


def _measurable(measure: Measure, index: int, bounds: Mapping[str, str], table: Table) -> bool:
    if measure == "value":
        return "where" in bounds and bounds["where"] != table.columns[index]
    kind = column(table, index).kind
    return bounds.get("per") != table.columns[index] and (kind == "number" or (kind == "date" and measure in _ENDS))


def _measured(parts: Mapping[str, str | None], table: Table) -> tuple[Measure, int] | None:
    adjective = (parts.get("adjective") or "").lower()
    if adjective:
        measure, names = _ADJECTIVES[adjective]
        places = [place for name in names if (place := named(table.columns, name)) is not None]
        return (measure, places[0]) if places else None
    place = named(table.columns, parts.get("column") or "")
    if place is None:
        return None
    return _MEASURES[(parts.get("measure") or "").lower()] if parts.get("measure") else "value", place


def _count(counted: str, bounds: Mapping[str, str], table: Table) -> Query | None:
    """Rows are counted by that name, or by the name of what a row is about.

    `How many apples are there?` over a column of numbers may mean its sum or its rows, and is left alone.
    """
    place = named(table.columns, counted)
    if place is not None and column(table, place).kind == "number":
        return None
    if place is None and counted.lower() not in _ROWS and not (bounds and _is_anything(counted)):
        return None
    return Query("count", **bounds)


def _is_anything(noun: str) -> bool:
    return bool(_ANYTHING & {noun.lower(), noun.lower().removesuffix("s"), re.sub("ies$", "y", noun.lower())})


def _bounds(parts: Mapping[str, str | None], table: Table) -> dict[str, str] | None:
    """Return whose rows are meant; None when the words mean nothing in this table."""
    whose = parts.get("whose") or parts.get("rest")
    if not whose:
        return {}
    place = named(table.columns, whose)
    if place is not None:
        apart = parts.get("each") or (parts.get("joint") or "").lower() in ("per", "by")
        return {"per": table.columns[place]} if apart else {}  # "of all students" are all rows
    words = whose.strip(_QUOTES)
    holding = [
        (name, found)
        for place, name in enumerate(table.columns)
        if (found := _spelling(table, place, words) or _spelling(table, place, _after(words, name)))
    ]
    if not holding and parts.get("all") and _is_anything(words):
        return {}  # "of all pupils"
    return {"where": holding[0][0], "equals": holding[0][1]} if len(holding) == 1 else None


def _after(words: str, name: str) -> str:
    """Return `A` of `class A`, where the column is called class."""
    return words[len(name) :].strip(f"{_QUOTES}:=") if words.casefold().startswith(f"{name.casefold()} ") else ""


def _spelling(table: Table, place: int, words: str) -> str:
    """Return how a column writes a value; empty when it has no such cell."""
    wanted = words.casefold()
    return next((row.cell(place) for row in table.rows if wanted and row.cell(place).casefold() == wanted), "")


def _shown(entity: str, measured: int, table: Table) -> int | None:
    """Return the column that names a row: the one that was asked for, else one of names, else the first of text."""
    asked = named(table.columns, entity) if entity else None
    if asked is not None and asked != measured:
        return asked
    texts = [
        place
        for place in range(len(table.columns))
        if place != measured and column(table, place).kind == "text" and _has_values(table, place)
    ]
    names = [place for place in texts if "name" in table.columns[place].casefold()]
    return next(iter(names or texts), None)


def _person(measured: int, table: Table) -> int | None:
    """Return the column that says who a row is about: one called so, or the only one of text."""
    texts = [place for place in range(len(table.columns)) if place != measured and column(table, place).kind == "text"]
    called = [place for place in texts if _PEOPLE & set(_words(table.columns[place]))]
    called = [place for place in called if not (set(_words(table.columns[place])) - _PEOPLE - _NAMES)]
    found = called or texts
    return found[0] if len(found) == 1 else None


def _words(name: str) -> list[str]:
    """Return the words of a column's name, those that stand in the plural in the singular."""
    return [word if word in _PEOPLE else word.removesuffix("s") for word in re.findall(r"[a-z]+", name.casefold())]


def _each_once(table: Table, place: int) -> bool:
    values = [row.cell(place).casefold() for row in table.rows]
    return len(set(values)) == len(values)


def _has_values(table: Table, place: int) -> bool:
    return any(not is_missing(row.cell(place)) for row in table.rows)
