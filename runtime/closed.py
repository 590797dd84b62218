"""Takes out of a record what its schema chooses from a list: such a word need not stand in the text. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from models.types import Json

Part = Mapping[str, Json]


def without_closed(value: Json, schema: Part) -> Json:
    """Return the value with None where the schema leaves a choice from a list, or none at all.

    >>> record = {"name": "Ann", "urgent": "yes"}
    >>> without_closed(record, {"properties": {"urgent": {"enum": ["yes", "no"]}}})
    {'name': 'Ann', 'urgent': None}
    """
    return _open(value, dict(schema), schema)


def _open(value: Json, part: Json, root: Part) -> Json:
    known = _referred(part, root)
    if _is_closed(known, root):
        return None
    match value:
        case dict():
            fields = known.get("properties")
            parts = fields if isinstance(fields, dict) else {}
            return {name: _open(item, parts.get(name), root) for name, item in value.items()}
        case list():
            return [_open(item, known.get("items"), root) for item in value]
        case _:
            return value


def _is_closed(part: Part, root: Part) -> bool:
    choices = [option for key in ("anyOf", "oneOf") for option in _items(part.get(key))]
    return "enum" in part or "const" in part or any({"enum", "const"} & _referred(one, root).keys() for one in choices)


def _referred(part: Json, root: Part) -> Part:
    """Return a part, or what it refers to inside the schema, one step far."""
    if not isinstance(part, dict):
        return {}
    found: Json = dict(root) if "$ref" in part else part
    for name in str(part.get("$ref", "#")).removeprefix("#").strip("/").split("/"):
        if name:
            found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _items(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
