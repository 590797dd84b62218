"""Turns a row into a specialist's input by a template, and a result back into what is scored.

A template is data: in it `{field}` stands for a field of the row, `{a.0.b}` for a nested one and
`{field|filter}` for a filtered one; `{field?}` is left out where a row has none. A string that is
nothing but one placeholder keeps the field's type, so that a list stays a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from models.types import Json
from runtime.evals.errors import SuiteError
from runtime.evals.rows import Row

_PLACEHOLDER = re.compile(r"\{([a-zA-Z_][\w.]*)(\?)?(?:\|(\w+))?\}")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")
_LETTERS = "ABCDEFGHIJ"

_SCHEMA_TYPES = {"dict": "object", "float": "number", "tuple": "array"}
"""Types that some function lists use where JSON Schema has another word."""


def fill(template: Json, row: Row) -> Json:
    """Return the template with the row's values in it. Raises RowsError and SuiteError."""
    match template:
        case str():
            return _fill_text(template, row)
        case list():
            return [fill(item, row) for item in template]
        case dict():
            return {key: fill(value, row) for key, value in template.items()}
        case _:
            return template


def _fill_text(template: str, row: Row) -> Json:
    whole = _PLACEHOLDER.fullmatch(template)
    if whole:
        return _value(whole, row)
    return _PLACEHOLDER.sub(lambda found: str(_value(found, row)), template)


def _value(found: re.Match[str], row: Row) -> Json:
    name, optional, filtered_by = found.groups()
    if optional and not row.has(name):
        return None
    value: Json = row.at(name)
    if filtered_by is None:
        return value
    if filtered_by not in FILTERS:
        raise SuiteError(f"There is no filter {filtered_by!r} for a template. Use one of {', '.join(sorted(FILTERS))}.")
    filtered: Json = FILTERS[filtered_by](value)
    return filtered


def json_schema(value: Any) -> Any:
    """Return a schema in JSON Schema's own words: `object` for `dict`, `number` for `float`, no `any`."""
    if isinstance(value, list):
        return [json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: json_schema(item) for key, item in value.items() if not (key == "type" and item == "any")}
    if isinstance(out.get("type"), str):
        out["type"] = _SCHEMA_TYPES.get(out["type"], out["type"])
    return out


FILTERS: Mapping[str, Callable[[Any], Any]] = {
    "json_schema": json_schema,
    "lettered": lambda choices: "\n".join(f"{_LETTERS[n]}. {text}" for n, text in enumerate(choices)),
    "letters": lambda choices: list(_LETTERS[: len(choices)]),
    "letter": lambda index: _LETTERS[int(index)],
    "joined": lambda parts: "\n\n".join(str(part) for part in parts),
    "lines": lambda parts: "\n".join(str(part) for part in parts),
    "contents": lambda messages: "\n".join(str(message["content"]) for message in messages),
    "imports": lambda code: "\n".join(line for line in code.splitlines() if line.startswith(("import ", "from "))),
    "texts": lambda parts: [part["text"] for part in parts],
    "number": lambda value: number(str(value)),
}
"""Filter name to function of one value."""


def as_is(output: Json) -> Json:
    return output


def letter(output: Json) -> Json:
    """Return the first lone capital letter of an answer: `B`, `B.`, `The answer is B`."""
    found = re.search(rf"\b([{_LETTERS}])\b", output) if isinstance(output, str) else None
    return found[1] if found else None


def number(output: Json) -> Json:
    """Return the last number in an answer, in plain digits: `so 1,250.0` gives `1250`."""
    text = str(output.get("value", "")) if isinstance(output, dict) else output if isinstance(output, str) else ""
    found = _NUMBER.findall(text)
    if not found:
        return None
    try:
        value = Decimal(found[-1].replace(",", "").rstrip("."))
    except InvalidOperation:
        return None
    return format(value.normalize(), "f")


def text(output: Json) -> Json:
    return output if isinstance(output, str) else None


def spans(output: Json) -> Json:
    """Return the spans of a redaction."""
    return output.get("spans") if isinstance(output, dict) else None


READERS: Mapping[str, Callable[[Json], Json]] = {
    "as_is": as_is,
    "letter": letter,
    "number": number,
    "text": text,
    "spans": spans,
}
"""Reader name to the function that takes what is scored out of a result's output."""
