"""A question about a table is worked out exactly, or left to others."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.specialists.table import claim, worked_out
from models.specialists.table_questions import Query, from_json, may_ask, understood
from models.tables import read
from models.types import Json
from tests.models.exact_runs import run

TEXT = (
    "name,class,score,joined,fee\n"
    "Ann,A,9.5,2026-01-02,$10.00\n"
    "Bob,B,7,2025-03-01,$12.50\n"
    "Cid,A,,2025-03-02,\n"
    "Dee,B,9.5,2024-01-01,$1\n"
)
TABLE = read(TEXT)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (
            "Who has the highest score?",
            "Ann and Dee have the highest score: 9.5 (of 3 rows; 1 without a value left out).",
        ),
        ("which student got the lowest score", "Bob has the lowest score: 7"),
        ("Who scored the highest score in class B?", "Dee has the highest score where class is B: 9.5 (of 2 rows)."),
        ("which class has the lowest fee?", None),
        ("Who has the earliest joined date?", None),
        ("what is the latest joined?", "Ann has the latest joined: 2026-01-02"),
        ("What is the average score?", "The average score is about 8.66666666667 (3 rows"),
        ("average score of all pupils", "The average score is about 8.66666666667"),
        ("What's the median of the scores?", "The median score is 9.5"),
        ("what is the total fee", "The total fee is $23.50 (3 rows; 1 without a value left out)."),
        ("sum of fees by class", "The total fee per class (1 row without a value left out):\nA: $10\nB: $13.50"),
        ("How many rows are there?", "4 rows."),
        ("How many pupils are in class A?", "2 rows where class is A."),
        ("how many entries per class", "Rows per class:\nA: 2\nB: 2"),
        ("What is Ann's score?", "score of Ann: 9.5"),
        ("what is the score of bob?", "score of Bob: 7"),
        ("What score does Dee have?", "score of Dee: 9.5"),
        ("Who has the best score?", None),
        ("Who is the oldest?", None),
        ("Who wrote this?", None),
        ("What is the total?", None),
        ("What is the highest score of Zoe?", None),
        ("How many pupils are there?", None),
        ("How many women are in class A?", None),
        ("Which woman has the highest score?", None),
        ("which class A student has the highest score", None),
        ("average score of all women", None),
        ("which person has the highest score in class B", "Dee has the highest score"),
        ("What is the average name?", None),
        ("Who has the highest score and why?", None),
    ],
)
def test_what_is_asked_is_worked_out_or_left_alone(question: str, said: str | None) -> None:
    query = understood(question, TABLE)
    if said is None:
        assert query is None
    else:
        assert query is not None
        assert worked_out(query, TABLE).text.startswith(said)


CHORES = read("chore,person,minutes\nDishes,Ines,20\nVacuum,Theo,45\nLaundry,Ines,35\nWindows,Theo,90\n")


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Who spent the most minutes?", None),  # one row, or all of a person together?
        ("Which person has the most minutes?", None),
        ("Which chore has the most minutes?", "Windows has the highest minutes: 90"),
        ("What is the total minutes of Ines?", "The total minutes where person is Ines is 55"),
    ],
)
def test_who_is_a_person_and_one_with_several_rows_is_left_alone(question: str, said: str | None) -> None:
    query = understood(question, CHORES)
    assert (query is None) is (said is None)
    assert said is None or (query is not None and said in worked_out(query, CHORES).text)


@pytest.mark.parametrize("column", ["Student", "Students", "Players", "First names"])
def test_a_column_of_people_may_be_called_in_the_plural(column: str) -> None:
    table = read(f"{column},Town,Score\nAnn,Ulm,3\nBob,Ulm,9\n")
    query = understood("Who has the highest score?", table)
    assert query is not None and query.show == column


def test_who_is_nobody_where_no_column_tells() -> None:
    assert understood("Who has the highest price?", read("product,maker,price\nLamp,Ono,3\nBed,Aro,9\n")) is None


def test_an_adjective_names_its_column() -> None:
    table = read("product,price\nTea,3.20\nSalt,0.90\n")
    query = understood("Which product is the cheapest?", table)
    assert query is not None
    assert worked_out(query, table).text == "Salt has the lowest price: 0.90 (of 2 rows)."


@pytest.mark.parametrize("question", ["How many apples are in Rome?", "How many apples are there?"])
def test_how_many_over_a_column_of_numbers_may_mean_two_things_and_is_left_alone(question: str) -> None:
    assert understood(question, read("city,apples\nRome,2\nOslo,3\nRome,4\n")) is None


def test_a_value_that_two_columns_hold_is_no_answer() -> None:
    assert understood("What is the sum of c for x?", read("a,b,c\nx,y,1\ny,x,2\n")) is None


def test_the_specialist_quotes_the_rows_that_it_speaks_of() -> None:
    given_query: dict[str, Json] = dict(claim("Who has the highest score?", TABLE) or {})
    result = run("table", {"documents": [{"name": "s.csv", "text": TEXT}], **given_query})
    assert [quote.quote for quote in result.evidence] == ["Ann,A,9.5,2026-01-02,$10.00", "Dee,B,9.5,2024-01-01,$1"]
    assert all(TEXT[quote.start : quote.end] == quote.quote for quote in result.evidence)
    assert (result.confidence, result.model) == (1.0, "")


@pytest.mark.parametrize(
    ("document", "query", "said"),
    [
        ("a,b\n1,2,3\n", {"measure": "count"}, "not a valid table: line 2"),
        (TEXT, {"measure": "highest", "column": "weight"}, "no column 'weight'; the columns are name"),
        (TEXT, {"measure": "total", "column": "name"}, "'name' does not hold numbers"),
        (TEXT, {"measure": "count", "where": "class", "equals": "Z"}, "No row has 'Z'"),
        (TEXT, {"measure": "best"}, "needs a `query`"),
        (TEXT, {}, "needs a `query`"),
    ],
)
def test_what_can_not_be_worked_out_says_why(document: str, query: dict[str, Json], said: str) -> None:
    with pytest.raises(InputError, match=said):
        run("table", {"documents": [{"name": "t.csv", "text": document}], "query": query})


@pytest.mark.parametrize("given_query", [None, [], {"measure": 3}, {"measure": "count", "column": ["x"]}, "count"])
def test_what_is_no_query_is_none(given_query: Json) -> None:
    assert from_json(given_query) is None


def test_a_novel_is_not_searched_for_questions() -> None:
    assert not may_ask("who has the highest score? " * 100)


@given(st.lists(st.decimals(-(10**6), 10**6, places=3, allow_nan=False), min_size=1, max_size=30))
def test_sums_and_averages_are_exact(values: list[object]) -> None:
    table = read("who,points\n" + "".join(f"p{n},{value}\n" for n, value in enumerate(values)))
    exact = [Fraction(str(value)) for value in values]
    total = worked_out(Query("total", "points"), table).output
    assert isinstance(total, dict)
    assert Fraction(str(total["value"])) == sum(exact)
    top = worked_out(Query("highest", "points", "who"), table).output
    assert isinstance(top, dict)
    assert Fraction(str(top["value"])) == max(exact)
