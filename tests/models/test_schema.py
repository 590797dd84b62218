"""Schemas from any source are read, checked, and never load anything from elsewhere."""

from __future__ import annotations

import math

import pytest
from pydantic import BaseModel

from models import schema
from models.errors import ConstraintError, InputError
from models.types import Json


class Invoice(BaseModel):
    vendor: str
    total: float
    notes: str | None = None


def test_other_dialects_become_json_schema() -> None:
    plain = schema.normalise(
        {
            "type": "dict",
            "properties": {
                "a": {"type": "float", "required": True},
                "b": {"type": "tuple", "items": {"type": "any"}},
                "c": {"type": "String", "optional": True},
            },
        }
    )
    assert plain == {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "array", "items": {}}, "c": {"type": "string"}},
    }


def test_a_property_called_type_stays_a_property() -> None:
    plain = schema.normalise({"type": "object", "properties": {"type": {"type": "str"}, "items": {"type": "int"}}})
    assert plain["properties"] == {"type": {"type": "string"}, "items": {"type": "integer"}}


def test_schema_comes_from_fields_a_model_class_or_a_schema() -> None:
    assert schema.schema_of(["vendor", "date", "vendor"])["required"] == ["vendor", "date"]
    assert "vendor" in str(schema.schema_of(Invoice)["properties"])
    assert schema.schema_of({"type": "object"}) == {"type": "object"}
    with pytest.raises(InputError):
        schema.schema_of(7)
    with pytest.raises(InputError, match="between 1 and 32"):
        schema.schema_of([" "])


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"type": "strin"}, "not valid"),
        ({"properties": {"a": {"$ref": "https://example.org/x.json"}}}, "inside it"),
        ({"enum": "x"}, "not valid"),
        ({"description": "x" * 70_000}, "characters"),
        ({"a": object()}, "not JSON"),
        ({"type": "number", "maximum": math.nan}, "not JSON"),
        ({"type": "number", "minimum": -math.inf}, "not JSON"),
    ],
)
def test_bad_schema_is_refused_in_a_sentence(bad: dict[str, object], says: str) -> None:
    with pytest.raises(ConstraintError, match=says):
        schema.normalise(bad)


def test_deep_nesting_is_refused() -> None:
    deep: dict[str, object] = {"type": "string"}
    for _ in range(40):
        deep = {"type": "array", "items": deep}
    with pytest.raises(ConstraintError, match="levels"):
        schema.normalise(deep)


def test_values_nested_deeper_than_a_message_carries_are_refused() -> None:
    deep: list[object] = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(ConstraintError, match="levels"):
        schema.normalise({"enum": [deep]})


def test_free_strings_are_marked_as_copied_and_closed_ones_are_not() -> None:
    marked = schema.mark_copied(
        {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "day": {"type": "string", "format": "date"},
                "free": {"type": "string", schema.SUBSTRING: False},
                "tags": {"type": "array", "items": {"type": ["string", "null"]}},
            },
        }
    )
    properties = marked["properties"]
    assert isinstance(properties, dict)
    copied = {name for name, part in properties.items() if isinstance(part, dict) and schema.copied(part)}
    assert copied == {"name", "tags"}


def test_problem_names_the_place() -> None:
    wanted: dict[str, Json] = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert schema.problem({"a": 1}, wanted) is None
    assert "at a" in str(schema.problem({"a": "x"}, wanted))


def test_optional_fields_may_be_null_while_written_and_are_left_out_afterwards() -> None:
    promised = schema.normalise(
        {
            "type": "object",
            "properties": {
                "a": {"type": "string"},
                "b": {"type": "integer"},
                "c": {"type": ["string", "null"]},
                "d": {"type": "string", "enum": ["x"]},
            },
            "required": ["a"],
        }
    )
    written = schema.may_be_null(promised)
    assert written["required"] == ["a", "b", "c", "d"]
    assert schema.problem({"a": "x", "b": None, "c": None, "d": None}, written) is None
    assert schema.problem({"a": None, "b": None, "c": None, "d": None}, written) is not None
    given: Json = {"a": "x", "b": None, "c": None, "d": None}
    assert schema.without_nulls(given, promised) == {"a": "x", "c": None}
