"""From a schema and the input to a constraint: the output is JSON of that schema, copies are whole words of the input.

Written compactly with one space after commas and colons, as models were trained to write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from models.backend import Constraint
from models.errors import ConstraintError
from models.schema import MAX_SCHEMA_DEPTH, SUBSTRING, copied
from models.types import Json

MAX_ITEMS = 64
"""Elements of a list whose schema names no bound, so that writing it ends."""

_JSON_OPTIONS: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Japanese and Chinese are written without spaces: there every character may begin or end a copy."""
_PIECES = re.compile(rf"\s|[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")


def constraint(schema: Mapping[str, Json], text: str) -> Constraint:
    """Return the constraint that lets only JSON of this schema through, compact, copies taken from `text`.

    Raises ConstraintError when no output can satisfy the schema.
    """
    if not copied(schema):
        made = Constraint("json_schema", {**schema, "x-guidance": _JSON_OPTIONS})
    else:
        made = Constraint("grammar", _Lark(schema, text).grammar())
    reason = unsatisfiable(made)
    if reason:
        raise ConstraintError(f"No output can satisfy the schema ({reason}); correct it and ask again.")
    return made


def grammar_of(made: Constraint) -> str:
    """Return a constraint in the form that llguidance compiles. Raises ConstraintError."""
    from llguidance import LLMatcher  # heavy, first use only

    try:
        match made.kind:
            case "json_schema":
                return str(LLMatcher.grammar_from_json_schema(json.dumps(made.value), overrides=_JSON_OPTIONS))
            case "regex":
                return str(LLMatcher.grammar_from_regex(str(made.value)))
            case "grammar":
                return str(LLMatcher.grammar_from_lark(str(made.value)))
            case "choice":
                choices = made.value if isinstance(made.value, list) else []
                if not choices:
                    raise ConstraintError("The list of choices is empty; give at least one.")
                lark = "start: " + " | ".join(json.dumps(str(choice), ensure_ascii=False) for choice in choices)
                return str(LLMatcher.grammar_from_lark(lark))
    except ValueError as error:  # a number that it does not take, or half a character
        raise ConstraintError(f"This output can't be enforced: {error}. Correct the schema and ask again.") from error


def unsatisfiable(made: Constraint) -> str:
    """Return why a constraint can't be met, or an empty string."""
    from llguidance import LLMatcher  # heavy, first use only

    message = str(LLMatcher.validate_grammar(grammar_of(made)))
    return "" if message.startswith("WARNING") else message.split("\n")[0]


def accepts(made: Constraint, text: str) -> bool:
    """Return whether a whole text satisfies a constraint, byte by byte, without any model."""
    from llguidance import LLMatcher, LLTokenizer  # heavy, first use only

    matcher = LLMatcher(LLTokenizer("byte"), grammar_of(made), log_level=0)
    return bool(matcher.consume_tokens(list(text.encode())) and matcher.is_accepting())


def chunks_of(text: str) -> list[str]:
    """Return the words, spaces and signs of a text, each as it is written inside a JSON string."""
    return [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in _PIECES.findall(text)]


def copy_rule(name: str, text: str, *, most: int | None = None) -> str:
    """Return Lark rules for a terminal that is a run of whole words of `text`, as inside a JSON string.

    `most` bounds its characters.
    """
    raw = json.dumps({"substring_chunks": chunks_of(text)}, ensure_ascii=False)
    inside = ".*" if most is None else f".{{0,{max(0, most - 2)}}}"
    return f"{name}_RAW: %regex {raw}\n{name}: {name}_RAW & /[^ ]({inside}[^ ])?/"


class _Lark:
    """Writes a Lark grammar for a schema some of whose strings are copied from a text."""

    def __init__(self, schema: Mapping[str, Json], text: str) -> None:
        self._root = schema
        self._text = text
        self._rules: list[str] = []

    def grammar(self) -> str:
        top = self._rule(self._root, 0)
        return "\n".join([f"start: {top}", *self._rules, copy_rule("COPY", self._text)])

    def _add(self, body: str) -> str:
        name = f"r{len(self._rules)}"
        self._rules.append(f"{name}: {body}")
        return name

    def _rule(self, schema: Mapping[str, Json], depth: int) -> str:
        if depth > MAX_SCHEMA_DEPTH:
            raise ConstraintError("The schema refers to itself; a schema with copied strings must be finite.")
        schema = self._resolved(schema)
        if not copied(schema) and "$ref" not in json.dumps(schema):
            leaf = {**schema, "x-guidance": _JSON_OPTIONS}
            return self._add(f"%json {json.dumps(leaf, ensure_ascii=False)}")
        kinds = schema.get("type")
        names = kinds if isinstance(kinds, list) else [kinds]
        alternatives = [self._kind(str(name), schema, depth) for name in names if name is not None]
        for key in ("anyOf", "oneOf"):
            parts = schema.get(key)
            if isinstance(parts, list):
                alternatives += [self._rule(part, depth + 1) for part in parts if isinstance(part, dict)]
        if not alternatives:
            raise ConstraintError("A copied string needs a type beside it in the schema; add `type: string`.")
        return self._add(" | ".join(alternatives))

    def _resolved(self, schema: Mapping[str, Json]) -> Mapping[str, Json]:
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        part: Json = cast(Json, self._root)
        for name in reference.removeprefix("#").strip("/").split("/"):
            part = part.get(name) if isinstance(part, dict) else None
        if not isinstance(part, dict):
            raise ConstraintError(
                f"The schema refers to {reference!r}, which it does not hold; correct it and ask again."
            )
        return {**part, **{key: value for key, value in schema.items() if key != "$ref"}}

    def _kind(self, name: str, schema: Mapping[str, Json], depth: int) -> str:
        match name:
            case "string" if schema.get(SUBSTRING) is True:
                return '"\\"" COPY "\\""'
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case _:
                leaf = {key: value for key, value in schema.items() if key != SUBSTRING}
                return self._rule({**leaf, "type": name}, depth + 1)

    def _object(self, schema: Mapping[str, Json], depth: int) -> str:
        properties = schema.get("properties")
        required = schema.get("required")
        needed = set(map(str, required)) if isinstance(required, list) else set()
        pairs = [
            (
                _quoted(f"{json.dumps(key, ensure_ascii=False)}: ") + " " + self._rule(_opened(part), depth + 1),
                key in needed,
            )
            for key, part in (properties.items() if isinstance(properties, dict) else ())
            if part is not False or key in needed
        ]
        return f'"{{" {self._first_of(pairs)} "}}"'

    def _first_of(self, pairs: list[tuple[str, bool]]) -> str:
        """Pairs in order, the optional ones possibly left out, with commas only between those present."""
        rest = '""'
        first = '""'
        for pair, needed in reversed(pairs):
            here = f"{pair} {rest}"
            first = self._add(here if needed else f"{here} | {first}")
            comma = f'", " {pair}'
            rest = self._add(f"{comma} {rest}" if needed else f"({comma})? {rest}")
        return first

    def _array(self, schema: Mapping[str, Json], depth: int) -> str:
        items = schema.get("items")
        item = self._rule(items if isinstance(items, dict) else {}, depth + 1)
        least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
        low = least if isinstance(least, int) else 0
        high = most if isinstance(most, int) else MAX_ITEMS
        some = f'{item} (", " {item}){{{max(0, low - 1)},{max(0, high - 1)}}}'
        return f'"[" {some} "]"' if low > 0 else f'"[" ({some})? "]"'


def _opened(part: Json) -> Mapping[str, Json]:
    """A schema may also be `true` (anything) or `false` (nothing)."""
    if part is False:
        raise ConstraintError("No output can satisfy the schema (a required field may hold nothing); correct it.")
    return part if isinstance(part, dict) else {}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
