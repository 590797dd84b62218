"""Tables as spreadsheets export them: what is a number, which column is meant, where a row stands."""

from __future__ import annotations

from fractions import Fraction

import pytest

from models.tables import Amount, NotATable, amount, column, named, read


def test_rows_know_where_they_stand_in_the_text() -> None:
    text = 'name,note\r\nAnn,"two\nlines"\nBob,x\n'
    table = read(text)
    assert [text[row.start : row.end] for row in table.rows] == ['Ann,"two\nlines"', "Bob,x"]


@pytest.mark.parametrize("text", ["a,b\n1,2,3\n", 'a,b\n"open,2\n', 'a,b\n"x"y,1\n'])
def test_what_is_no_table_says_where(text: str) -> None:
    with pytest.raises(NotATable):
        read(text)


def test_a_short_row_ends_in_empty_cells() -> None:
    assert read("a,b,c\n1\n").rows[0].cell(2) == ""


@pytest.mark.parametrize(
    ("cell", "value", "unit"),
    [
        ("7", 7, ""),
        ("-1,250.50", Fraction(-2501, 2), ""),
        ("$ 3", 3, "$"),
        ("3 €", 3, "€"),
        ("12.5%", Fraction(25, 2), "%"),
        ("1.234,5", Fraction(2469, 2), ""),
    ],
)
def test_numbers_are_read_exactly(cell: str, value: Fraction, unit: str) -> None:
    assert amount(cell) == Amount(Fraction(value), unit)


@pytest.mark.parametrize("cell", ["", "9" * 5000, "12,5", "3 km", "12-05-2026", "$3€", "nan", "1e", "--4", "0x10"])
def test_what_could_be_two_numbers_or_none_is_not_read(cell: str) -> None:
    assert amount(cell) is None


def test_a_column_of_two_currencies_measures_nothing() -> None:
    assert column(read("a,b\n1,$1\n2,€1\n"), 1).kind == "text"


def test_empty_cells_do_not_keep_a_column_from_being_numbers() -> None:
    found = column(read("a,b\n1,2\n2,n/a\n3,\n"), 1)
    assert (found.kind, found.amounts) == ("number", (Amount(Fraction(2)), None, None))


def test_days_are_told_from_numbers_and_from_what_is_no_day() -> None:
    assert column(read("a,b\n1,2026-02-28\n"), 1).kind == "date"
    assert column(read("a,b\n1,2026-02-30\n"), 1).kind == "text"


@pytest.mark.parametrize(
    ("words", "place"),
    [("Score", 1), ("scores", 1), ("unit price", 2), ("prices", None), ("", None), ("first name", 0), ("weight", None)],
)
def test_a_column_is_found_by_its_words_and_never_guessed(words: str, place: int | None) -> None:
    assert named(["First_Name", "Score (%)", "UnitPrice", "list price"], words) == place
