"""A schema that only refers back to itself is refused with what to do; one that holds itself further inside is not."""

from __future__ import annotations

import pytest

from models import schema
from models.backend import Constraint
from models.engine.constrain import to_grammar
from models.errors import ConstraintError
from models.references import references, refuse_circles
from models.types import Json

SELF: Json = {"$ref": "#"}
A: Json = {"$ref": "#/$defs/a"}
B: Json = {"$ref": "#/$defs/b~1c"}


@pytest.mark.parametrize(
    "circle",
    [
        {"$ref": "#"},
        {"$ref": "#", "type": "object"},
        {"allOf": [SELF]},
        {"$ref": "#/$defs/a", "$defs": {"a": A}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"type": "object"}, B]}, "b/c": A}},
        {"type": "object", "properties": {"x": A}, "$defs": {"a": A}},
        {"type": "array", "items": {"anyOf": [{"type": "null"}, A]}, "$defs": {"a": B, "b/c": A}},
    ],
)
def test_a_schema_that_only_refers_back_to_itself_is_refused_with_what_to_do(circle: dict[str, Json]) -> None:
    for refuse in (
        refuse_circles,
        schema.normalise,
        lambda circle: to_grammar(Constraint("json_schema", circle)),
    ):
        with pytest.raises(ConstraintError, match="Give that part a `type`, and refer to it from inside"):
            refuse(circle)


@pytest.mark.parametrize(
    "good",
    [
        {"type": "object", "properties": {"next": SELF}},
        {"type": "array", "items": SELF},
        {"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, A]}}, "$defs": {"a": SELF}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object", "properties": {"more": {"allOf": [A]}}}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [B, B, B]}, "b/c": {"type": "string"}}},
        {"$ref": "#/properties/a", "properties": {"a": {"type": "string"}}},
        {"$ref": "#a", "$defs": {"a": {"$anchor": "a", "type": "string"}}},
        {"type": "object", "properties": {"$ref": {"type": "string"}}},
        {"const": {"$ref": "#"}},
        {"anyOf": [{"type": "null"}, SELF]},
    ],
)
def test_a_schema_that_holds_itself_further_inside_is_none(good: dict[str, Json]) -> None:
    refuse_circles(good)
    schema.check(good)


def test_a_row_of_references_takes_no_longer_than_it_is_long() -> None:
    row: dict[str, Json] = {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 3} for n in range(5000)}
    refuse_circles({"$ref": "#/$defs/0", "$defs": {**row, "5000": {"type": "string"}}})


def test_every_reference_is_found() -> None:
    assert list(references({"allOf": [SELF, {"items": A}], "$defs": {"a": {"type": "string"}}})) == ["#", "#/$defs/a"]
