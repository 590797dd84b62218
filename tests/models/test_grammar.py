"""Only JSON of the schema gets through, and copied strings are words of the input."""

from __future__ import annotations

import json

import pytest

from models import schema
from models.backend import Constraint
from models.errors import ConstraintError
from models.grammar import accepts, constraint, copy_rule, unsatisfiable
from models.types import Json

TEXT = 'He said "hi" to\nTom Jones \\ Søn, 5 km away'


def record(**properties: Json) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


COPIED: Json = {"type": "string", schema.SUBSTRING: True}


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("Tom Jones", True),
        ('said "hi" to\nTom', True),
        ("\\ Søn", True),
        ("5 km", True),
        (TEXT, True),
        ("om Jones", False),
        ("Tom  Jones", False),
        ("Jones Tom", False),
        (" Tom", False),
        ("", False),
        ("Anna", False),
    ],
)
def test_copied_string_is_a_run_of_whole_words_of_the_input(value: str, allowed: bool) -> None:
    made = constraint(record(name=COPIED), TEXT)
    assert accepts(made, json.dumps({"name": value}, ensure_ascii=False)) is allowed


def test_text_without_spaces_can_be_copied_by_the_character() -> None:
    made = constraint(record(name=COPIED), "山田太郎は東京に住んでいます")
    assert accepts(made, '{"name": "山田太郎"}')
    assert not accepts(made, '{"name": "鈴木"}')


def test_optional_fields_keep_their_order_and_commas() -> None:
    wanted: dict[str, Json] = {
        "type": "object",
        "properties": {"a": COPIED, "b": {"type": "integer"}, "c": {"enum": ["x", None]}},
        "required": ["b"],
    }
    made = constraint(wanted, TEXT)
    good = ['{"b": 1}', '{"a": "Tom", "b": 1}', '{"b": 1, "c": null}', '{"a": "Tom", "b": 1, "c": "x"}']
    assert all(accepts(made, text) for text in good)
    bad = ["{}", '{"a": "Tom"}', '{, "b": 1}', '{"b": 1, }', '{"b": 1, "a": "Tom"}', '{"b": 1, "d": 2}', '{"b":1}']
    assert not any(accepts(made, text) for text in bad)


def test_lists_and_nested_records_hold_copies_too() -> None:
    people: Json = {"type": "array", "items": record(name=COPIED, age={"type": ["integer", "null"]}), "maxItems": 2}
    made = constraint(record(people=people), TEXT)
    assert accepts(made, '{"people": []}')
    assert accepts(made, '{"people": [{"name": "Tom", "age": null}, {"name": "He", "age": 5}]}')
    assert not accepts(made, '{"people": [{"name": "Eve", "age": null}]}')
    three = ", ".join(['{"name": "Tom", "age": null}'] * 3)
    assert not accepts(made, f'{{"people": [{three}]}}')


def test_local_references_are_followed_and_endless_ones_refused() -> None:
    wanted: dict[str, Json] = {**record(a={"$ref": "#/$defs/name"}), "$defs": {"name": COPIED}}
    assert accepts(constraint(wanted, TEXT), '{"a": "Tom"}')
    endless: dict[str, Json] = {
        **record(a=COPIED, b={"$ref": "#/$defs/again"}),
        "$defs": {"again": {"type": "object", "properties": {"a": COPIED, "b": {"$ref": "#/$defs/again"}}}},
    }
    with pytest.raises(ConstraintError, match="refers to itself"):
        constraint(endless, TEXT)


@pytest.mark.parametrize(
    "impossible",
    [
        record(a={"enum": []}),
        record(a={"type": "integer", "minimum": 3, "maximum": 1}),
        record(a=False, b=COPIED),
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
    ],
)
def test_schema_that_nothing_satisfies_is_refused_in_a_sentence(impossible: dict[str, Json]) -> None:
    with pytest.raises(ConstraintError, match="correct it"):
        constraint(impossible, TEXT)


def test_long_input_compiles_quickly() -> None:
    text = " ".join(f"Item {n} costs {n} euros." for n in range(4000))
    assert accepts(constraint(record(a=COPIED), text), '{"a": "3999 costs 3999 euros"}')


def test_copy_is_bounded_in_length() -> None:
    made = Constraint("grammar", f'start: "\\"" COPY "\\""\n{copy_rule("COPY", "one two three", most=7)}')
    assert accepts(made, '"one two"') and not accepts(made, '"one two three"')


@pytest.mark.parametrize(
    "made",
    [
        Constraint("json_schema", {"type": "number", "maximum": float("nan")}),
        Constraint("json_schema", {"type": "number", "maximum": 10**400}),
        Constraint("choice", ["\ud800"]),
    ],
)
def test_what_no_json_or_text_can_hold_is_refused_in_a_sentence(made: Constraint) -> None:
    with pytest.raises(ConstraintError, match="can't be enforced"):
        unsatisfiable(made)
