"""Answer a question about a table exactly: the rows are read and counted, nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from fractions import Fraction

from models.errors import InputError
from models.numerals import shown
from models.specialists.exact import Found, one_result
from models.specialists.runner import Runner
from models.specialists.table_questions import Query, from_json, understood
from models.specialists.turn import documents_in
from models.tables import Amount, Column, NotATable, Row, Table, column, named, read
from models.types import Chunk, Evidence, Json, Request, Result

SHOWN_ROWS = 10
"""Rows that are named; of more, the number is said."""
_DATES = {"highest": "latest", "lowest": "earliest"}
_Part = tuple[str, list[int]]
"""A value of the column by which the rows are parted, and the places of its rows."""


class TableQuestion(Runner):
    """The specialist. `input` is {"documents": [one {"name", "text"}], "query": object}."""

    def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        return one_result(self.name, lambda: _found(request))


def _found(request: Request) -> Found:
    documents = documents_in(request)
    if len(documents) != 1:
        raise InputError("table works on one table at a time; give one file.")
    name, text = documents[0]
    try:
        table = read(text)
    except NotATable as error:
        raise InputError(f"{name} is not a valid table: {error}. Export it again as CSV.") from error
    query = from_json(request.input.get("query"))
    if query is None:
        raise InputError("table needs a `query` with a `measure`, for example highest, and a `column`.")
    return worked_out(query, table, name, text)


def worked_out(query: Query, table: Table, name: str = "", text: str = "") -> Found:
    """Return what the query asks for. Raises InputError."""
    rows = _rows(query, table)
    if query.measure == "count":
        return _counted(query, table, rows)
    place = _place(table, query.column)
    if query.measure == "value":
        return _values(query, table, rows, place, name, text)
    measured = column(table, place)
    if measured.kind == "text":
        raise InputError(f"The column {query.column!r} does not hold numbers; ask for another one.")
    there = [row for row in rows if measured.amounts[row] is not None]
    if not there:
        raise InputError(f"No row that is meant has a value in {query.column!r}; ask for another one.")
    left_out = len(rows) - len(there)
    if query.per:
        return _by_part(query, table, measured, _parts(there, table, _place(table, query.per)), left_out)
    if query.measure in ("highest", "lowest"):
        return _end(query, table, measured, there, left_out, name, text)
    value = _worked(query, measured, there)
    said = _with_unit(value, measured)
    sentence = f"The {query.measure} {query.column}{_of(query)} is {said} ({_number(len(there))}{_without(left_out)})."
    return Found({**query.to_json(), "value": shown(value)[0], "rows": len(there)}, sentence)


def _end(query: Query, table: Table, measured: Column, there: list[int], left_out: int, name: str, text: str) -> Found:
    """Return the rows with the highest or the lowest value; several may share it."""
    best = _worked(query, measured, there)
    place = _place(table, query.column)
    winners = [row for row in there if _amount(measured, row).value == best]
    cell = table.rows[winners[0]].cell(place)
    who = _names(query, table, winners)
    end = _DATES[query.measure] if measured.kind == "date" else query.measure
    of = f"{_number(len(there))}{_without(left_out)}"
    verb = "have" if len(winners) > 1 else "has"
    if who:
        sentence = f"{who} {verb} the {end} {query.column}{_of(query)}: {cell} (of {of})."
    else:
        sentence = f"The {end} {query.column}{_of(query)} is {cell} (of {of})."
    output: dict[str, Json] = {**query.to_json(), "value": cell, "rows": [_row(table, row) for row in winners]}
    return Found(output, sentence, _quotes(name, text, [table.rows[row] for row in winners]))


def _by_part(query: Query, table: Table, measured: Column, parts: Sequence[_Part], left_out: int) -> Found:
    values = [(said, _worked(query, measured, rows)) for said, rows in parts]
    lines = [f"{said}: {_with_unit(value, measured)}" for said, value in values]
    without = f" ({_number(left_out)} without a value left out)" if left_out else ""
    head = f"The {query.measure} {query.column} per {query.per}{without}:"
    output: dict[str, Json] = {**query.to_json(), "values": {said: shown(value)[0] for said, value in values}}
    return Found(output, "\n".join([head, *lines]))


def _counted(query: Query, table: Table, rows: list[int]) -> Found:
    if query.per:
        parts = _parts(rows, table, _place(table, query.per))
        lines = [f"{said}: {len(places)}" for said, places in parts]
        counts: dict[str, Json] = {said: len(places) for said, places in parts}
        return Found({**query.to_json(), "values": counts}, "\n".join([f"Rows per {query.per}:", *lines]))
    return Found({**query.to_json(), "value": str(len(rows))}, f"{_number(len(rows))}{_of(query)}.")


def _values(query: Query, table: Table, rows: list[int], place: int, name: str, text: str) -> Found:
    cells = [table.rows[row].cell(place) for row in rows]
    shown_cells = ", ".join(dict.fromkeys(cell or "(empty)" for cell in cells[:SHOWN_ROWS]))
    more = f" and {len(cells) - SHOWN_ROWS} more" if len(cells) > SHOWN_ROWS else ""
    output: dict[str, Json] = {**query.to_json(), "value": cells[0] if len(cells) == 1 else None, "values": [*cells]}
    sentence = f"{query.column}{_of(query)}: {shown_cells}{more}"
    return Found(output, sentence, _quotes(name, text, [table.rows[row] for row in rows]))


def _rows(query: Query, table: Table) -> list[int]:
    """Return the places of the rows that are meant. Raises InputError."""
    if not query.where:
        return [*range(len(table.rows))]
    place, wanted = _place(table, query.where), query.equals.casefold()
    found = [number for number, row in enumerate(table.rows) if row.cell(place).casefold() == wanted]
    if not found:
        raise InputError(f"No row has {query.equals!r} in the column {query.where!r}; ask for another one.")
    return found


def _parts(rows: Sequence[int], table: Table, place: int) -> list[_Part]:
    parts: dict[str, list[int]] = {}
    for row in rows:
        parts.setdefault(table.rows[row].cell(place) or "(empty)", []).append(row)
    return list(parts.items())


def _worked(query: Query, measured: Column, rows: Sequence[int]) -> Fraction:
    values = sorted(_amount(measured, row).value for row in rows)
    match query.measure:
        case "highest":
            return values[-1]
        case "lowest":
            return values[0]
        case "total":
            return sum(values, Fraction())
        case "average":
            return sum(values, Fraction()) / len(values)
        case "median":
            middle = len(values) // 2
            return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
        case _:
            raise AssertionError(f"{query.measure} is no measure of numbers")


def _amount(measured: Column, row: int) -> Amount:
    found = measured.amounts[row]
    assert found is not None, "rows without a value were left out"
    return found


def _place(table: Table, name: str) -> int:
    found = table.columns.index(name) if name in table.columns else named(table.columns, name)
    if found is None:
        raise InputError(f"There is no column {name!r}; the columns are {', '.join(table.columns)}.")
    return found


def _names(query: Query, table: Table, rows: Sequence[int]) -> str:
    if not query.show:
        return ""
    place = _place(table, query.show)
    names = [table.rows[row].cell(place) or "(no name)" for row in rows]
    if len(names) > SHOWN_ROWS:
        names = [*names[:SHOWN_ROWS], f"{len(names) - SHOWN_ROWS} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _row(table: Table, row: int) -> dict[str, Json]:
    return {name: table.rows[row].cell(place) for place, name in enumerate(table.columns)}


def _quotes(name: str, text: str, rows: Sequence[Row]) -> tuple[Evidence, ...]:
    return tuple(Evidence(name, row.start, row.end, text[row.start : row.end]) for row in rows[:SHOWN_ROWS])


def _with_unit(value: Fraction, measured: Column) -> str:
    said, exact = shown(value)
    about = "" if exact else "about "
    if measured.unit == "%":
        return f"{about}{said} %"
    cents = "0" if measured.unit and re.search(r"\.\d$", said) else ""
    return f"{about}{measured.unit}{said}{cents}"


def _of(query: Query) -> str:
    """Return whose rows are meant, as it stands behind what is measured."""
    if not query.where:
        return ""
    return f" of {query.equals}" if query.where == query.show else f" where {query.where} is {query.equals}"


def _number(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _without(left_out: int) -> str:
    return f"; {left_out} without a value left out" if left_out else ""


def claim(text: str, table: Table) -> Mapping[str, Json] | None:
    """Return {"query": …} when the whole question can be worked out of the table, else None."""
    query = understood(text, table)
    return None if query is None else {"query": query.to_json()}
