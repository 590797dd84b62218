"""What goes into each kind of specialist and what comes out: the types that the plan compiler checks edge by edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from models.types import Effect, Json

Kind = Literal["text", "texts", "documents", "object", "objects", "number", "flag", "vectors"]
"""The type of one value. `documents` is a list of {"name", "text"}; `objects` any other list of objects."""


@dataclass(frozen=True, slots=True)
class Signature:
    """The typed face of a runner."""

    output: Kind
    required: Mapping[str, Kind]
    optional: Mapping[str, Kind]
    effects: frozenset[Effect] = frozenset()
    """What running it does besides computing."""

    def field(self, name: str) -> Kind | None:
        return self.required.get(name) or self.optional.get(name)


SIGNATURES: Mapping[str, Signature] = {
    "generate": Signature("text", {"prompt": "text"}, {"history": "objects", "documents": "documents"}),
    "answer": Signature("text", {"question": "text", "documents": "documents"}, {}),
    "extract": Signature(
        "object",
        {"text": "text"},
        {"schema": "object", "fields": "texts", "instruction": "text", "documents": "documents"},
    ),
    "classify": Signature("text", {"text": "text"}, {"labels": "texts", "examples": "objects"}),
    "code": Signature("text", {"prompt": "text"}, {"language": "text"}),
    "call": Signature("object", {"prompt": "text", "functions": "objects"}, {}),
    "embed": Signature("vectors", {"texts": "texts"}, {}),
    "names": Signature("objects", {"text": "text"}, {}),
    "rerank": Signature("objects", {"query": "text", "passages": "texts"}, {}),
    "summarize": Signature("text", {"documents": "documents"}, {"sentences": "number", "instruction": "text"}),
    "table": Signature("object", {"documents": "documents", "query": "object"}, {}),
    "tag": Signature("objects", {"text": "text"}, {}),
    "calculate": Signature("object", {"expression": "text"}, {}),
    "convert": Signature("object", {"quantity": "text", "from": "text", "to": "text"}, {}),
    "when": Signature("object", {"question": "text", "today": "text"}, {}),
    "find": Signature("objects", {"pattern": "text", "documents": "documents"}, {"fuzzy": "flag"}),
    "filetype": Signature("object", {"path": "text"}, {}, frozenset({Effect.READ_FILE})),
}
"""By runner name; a user's specialist has the signature of the runner that its spec names."""


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_object(value: Json) -> bool:
    return isinstance(value, dict)


def _is_objects(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_documents(value: Json) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("text"), str)
        for item in value
    )


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def _is_vectors(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(row, list) and all(map(_is_number, row)) for row in value)


_TESTS: Mapping[Kind, Callable[[Json], bool]] = {
    "text": _is_text,
    "texts": _is_texts,
    "documents": _is_documents,
    "object": _is_object,
    "objects": _is_objects,
    "number": _is_number,
    "flag": _is_flag,
    "vectors": _is_vectors,
}


def is_of(kind: Kind, value: Json) -> bool:
    """Return whether a value has the type."""
    return _TESTS[kind](value)


def fits(produced: Kind, wanted: Kind) -> bool:
    """Return whether an output of one type may be an input of the other."""
    return produced == wanted or (produced, wanted) == ("documents", "objects")
