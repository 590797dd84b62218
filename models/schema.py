"""JSON Schema as the specialists need it: read it from any source, check it, check values against it.

One mark of our own is understood beside the standard's words: `x-substring-of-input: true` on a string
means that its value is copied from the input; `models/grammar.py` enforces it while the value is written.
A schema never loads anything from elsewhere: `$ref` must begin with `#`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from models.errors import ConstraintError, InputError
from models.references import references, refuse_circles
from models.types import Json

SUBSTRING = "x-substring-of-input"
MAX_SCHEMA_CHARS = 60_000
"""Characters as JSON; a larger schema costs more to compile than the answer is worth, and may be an attack."""
MAX_SCHEMA_DEPTH = 16
"""Levels; deeper nesting can't be filled by a small model and could exhaust the stack."""
MAX_JSON_DEPTH = 4 * MAX_SCHEMA_DEPTH
"""Lists and objects within each other, two or three of which make a level. Beyond 200 no message carries them."""
MAX_FIELDS = 32
"""Named fields of one request; more should be asked in parts."""

_TYPES = {
    "any": None,
    "array": "array",
    "bool": "boolean",
    "boolean": "boolean",
    "dict": "object",
    "double": "number",
    "enum": "string",
    "float": "number",
    "hashmap": "object",
    "int": "integer",
    "integer": "integer",
    "list": "array",
    "long": "integer",
    "none": "null",
    "null": "null",
    "number": "number",
    "object": "object",
    "str": "string",
    "string": "string",
    "tuple": "array",
}
"""Type names that function lists in the wild use, and what JSON Schema calls them (None: no restriction)."""
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def schema_of(source: object) -> dict[str, Json]:
    """Return the JSON Schema of a schema, a list of field names, or a pydantic model class.

    Raises InputError, ConstraintError.
    """
    if isinstance(source, Mapping):
        return normalise(source)
    if hasattr(source, "model_json_schema"):
        return normalise(source.model_json_schema())
    if isinstance(source, Sequence) and not isinstance(source, str):
        return of_fields([str(name) for name in source])
    raise InputError(
        "A schema must be a JSON Schema object, a list of field names or a pydantic model; give one of these."
    )


def of_fields(names: Sequence[str]) -> dict[str, Json]:
    """Return a schema of optional strings that are copied from the input. Raises InputError."""
    wanted = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not wanted or len(wanted) > MAX_FIELDS:
        raise InputError(f"Name between 1 and {MAX_FIELDS} fields to extract, for example vendor, date, total.")
    field: Json = {"type": ["string", "null"], SUBSTRING: True}
    return {
        "type": "object",
        "properties": {name: field for name in wanted},
        "required": cast(Json, wanted),
        "additionalProperties": False,
    }


def normalise(schema: Mapping[str, Any]) -> dict[str, Json]:
    """Return the schema with the type names of other dialects replaced by the standard's.

    Raises ConstraintError when it is too large, too deep or not valid.
    """
    try:
        size = len(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConstraintError(f"The schema is not JSON ({error}); correct it and ask again.") from error
    if size > MAX_SCHEMA_CHARS:
        raise ConstraintError(
            f"The schema has {size} characters, at most {MAX_SCHEMA_CHARS} are allowed; make it smaller."
        )
    refuse_deep(schema)
    plain = _normalised(dict(schema), 0)
    check(plain)
    return plain


def refuse_deep(value: object, left: int = MAX_JSON_DEPTH) -> None:
    """Raise ConstraintError for what is nested so deep that it can't even be sent."""
    if not isinstance(value, Mapping | list):
        return
    if not left:
        raise _too_deep()
    for part in value.values() if isinstance(value, Mapping) else value:
        refuse_deep(part, left - 1)


def _too_deep() -> ConstraintError:
    return ConstraintError(f"The schema is nested more than {MAX_SCHEMA_DEPTH} levels deep; make it flatter.")


def _normalised(schema: dict[str, Any], depth: int) -> dict[str, Json]:
    if depth > MAX_SCHEMA_DEPTH:
        raise _too_deep()
    done: dict[str, Json] = {}
    for key, value in schema.items():
        if key == "type":
            done.update(_type(value))
        elif key in _MAPS and isinstance(value, dict):
            done[key] = {name: _part(part, depth) for name, part in value.items()}
        elif key in _LISTS and isinstance(value, list):
            done[key] = [_part(part, depth) for part in value]
        elif key == "items" and isinstance(value, list):
            done["prefixItems"] = [_part(part, depth) for part in value]
        elif key in ("items", "additionalProperties", "not"):
            done[key] = _part(value, depth)
        elif key == "required" and not isinstance(value, list):
            continue  # some dialects write `required: true` on the property itself
        elif not (key == "optional" and isinstance(value, bool)):
            done[key] = value
    return done


def _part(part: Any, depth: int) -> Json:
    return _normalised(part, depth + 1) if isinstance(part, dict) else cast(Json, part)


def _type(value: Any) -> dict[str, Json]:
    if isinstance(value, list):
        names = [_TYPES.get(str(name).lower(), str(name)) for name in value]
        return {} if None in names else {"type": cast(Json, list(dict.fromkeys(names)))}
    name = _TYPES.get(str(value).lower(), str(value))
    return {} if name is None else {"type": name}


def check(schema: Mapping[str, Json]) -> None:
    """Raise ConstraintError unless the schema is valid and complete in itself."""
    import jsonschema  # heavy (0.1 s), first use only

    for reference in references(cast(Json, schema)):
        if not reference.startswith("#"):
            raise ConstraintError(f"The schema refers to {reference!r}; only references inside it (`#/…`) are allowed.")
    refuse_circles(schema)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "the top"
        raise ConstraintError(
            f"The schema is not valid at {where}: {error.message}. Correct it and ask again."
        ) from error


def problem(value: Json, schema: Mapping[str, Json]) -> str | None:
    """Return what is wrong with a value, as one sentence, or None when the schema accepts it."""
    import jsonschema  # heavy (0.1 s), first use only

    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    errors = jsonschema.Draft202012Validator(schema, format_checker=checker).iter_errors(value)
    first = next(iter(errors), None)
    if first is None:
        return None
    where = "/".join(str(part) for part in first.absolute_path) or "the top"
    return f"at {where}: {first.message}"


def copied(schema: Mapping[str, Json]) -> bool:
    """Return whether any string of the schema must be copied from the input."""
    if schema.get(SUBSTRING) is True:
        return True
    return any(copied(part) for part in _parts(schema))


def _parts(schema: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            yield from (part for part in value.values() if isinstance(part, dict))
        elif key in _LISTS and isinstance(value, list):
            yield from (part for part in value if isinstance(part, dict))
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            yield value


def mark_copied(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema with every free string marked as copied from the input.

    A string with an enum, a constant, a pattern, a format or a mark of its own keeps what it has.
    """
    done: dict[str, Json] = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            done[key] = {name: mark_copied(part) if isinstance(part, dict) else part for name, part in value.items()}
        elif key in _LISTS and isinstance(value, list):
            done[key] = [mark_copied(part) if isinstance(part, dict) else part for part in value]
        elif key == "items" and isinstance(value, dict):
            done[key] = mark_copied(value)
        else:
            done[key] = value
    if _is_free_string(schema):
        done[SUBSTRING] = True
    return done


def _is_free_string(schema: Mapping[str, Json]) -> bool:
    kinds = schema.get("type")
    names = kinds if isinstance(kinds, list) else [kinds]
    if set(map(str, names)) - {"string", "null"} or "string" not in names:
        return False
    return not any(key in schema for key in ("enum", "const", "pattern", "format", SUBSTRING))


def may_be_null(schema: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema with every field named, and null where a field may be left out.

    A model that must write `null` decides about each field; one that may leave it out forgets some.
    """
    done = dict(schema)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required")
        needed = required if isinstance(required, list) else []
        parts = {name: may_be_null(part) if isinstance(part, dict) else part for name, part in properties.items()}
        done["properties"] = {name: part if name in needed else _nullable(part) for name, part in parts.items()}
        done["required"] = list(properties)
        done["additionalProperties"] = False
    items = schema.get("items")
    if isinstance(items, dict):
        done["items"] = may_be_null(items)
    return done


def _nullable(part: Json) -> Json:
    if not isinstance(part, dict) or "$ref" in part or not ("type" in part or "enum" in part):
        return {"anyOf": [part, {"type": "null"}]} if isinstance(part, dict) else part
    done = dict(part)
    kinds = part.get("type")
    if kinds is not None:
        names: list[Json] = list(kinds) if isinstance(kinds, list) else [kinds]
        done["type"] = names if "null" in names else [*names, "null"]
    values = part.get("enum")
    if isinstance(values, list) and None not in values:
        done["enum"] = [*values, None]
    return done


def without_nulls(value: Json, schema: Mapping[str, Json]) -> Json:
    """Return the value without the nulls of fields that may be left out but not be null."""
    if isinstance(value, list):
        items = schema.get("items")
        return [without_nulls(item, items) for item in value] if isinstance(items, dict) else value
    properties = schema.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return value
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    done: dict[str, Json] = {}
    for name, item in value.items():
        part = properties.get(name)
        known = part if isinstance(part, dict) else {}
        if item is None and name not in needed and problem(None, known) is not None:
            continue
        done[name] = without_nulls(item, known)
    return done
