"""Asks and answers as lines of JSON, between `covey ask` and a node that runs on this device.

Both ends are one owner's, and one version may be newer: unknown fields are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from models import errors as models_errors
from models.errors import BackendError, ModelsError
from models.types import Chunk, Json
from runtime import errors as runtime_errors
from runtime.asking import Answer, Ask, Restarted, StreamItem
from runtime.errors import CoveyError, UsageError


class NodeError(CoveyError):
    """The running node answered in a way that this program does not understand, or left."""

    code = "node_error"


@dataclass(frozen=True, slots=True)
class Asked:
    """The node asks the owner whether something may leave; `runtime.consent_wire` reads the question."""

    id: str
    within_s: float
    """Seconds after which silence is no."""
    question: Mapping[str, Json]


Line = StreamItem | Asked | CoveyError | ModelsError
_KINDS: dict[str, type] = {"chunk": Chunk, "restarted": Restarted, "answer": Answer, "asked": Asked}


@cache
def _adapter(kind: type) -> TypeAdapter[object]:
    return TypeAdapter(kind)


def ask_to_json(ask: Ask) -> bytes:
    return _adapter(Ask).dump_json(ask)


def ask_from_json(data: bytes) -> Ask:
    """Return the request in a body. Raises UsageError."""
    try:
        found = _adapter(Ask).validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise UsageError(f"The request can't be read ({place}: {first['msg']}). Update Covey and try again.") from error
    assert isinstance(found, Ask)
    return found


def to_line(item: Line) -> bytes:
    """Return one line of the answer's stream."""
    if isinstance(item, Exception):
        return _line({"event": "error", "code": item.code, "message": str(item)})
    kind: type = type(item)
    event = kind.__name__.lower()
    return _line({"event": event, event: _adapter(kind).dump_python(item, mode="json")})


def from_line(data: bytes) -> Line:
    """Return what a line says: a piece, the answer, or the error that the node met. Raises NodeError."""
    try:
        given = json.loads(data)
        event = given["event"]
        if event == "error":
            return _error(str(given["code"]), str(given["message"]))
        kind = _KINDS[event]
        found = _adapter(kind).validate_python(given[event])
    except (ValueError, KeyError, TypeError) as error:  # pydantic's is a ValueError
        raise NodeError(
            "The running node speaks differently than this program. Stop it and start it again: covey up"
        ) from error
    assert isinstance(found, Chunk | Restarted | Answer | Asked)
    return found


def _line(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _error(code: str, message: str) -> CoveyError | ModelsError:
    """Return the error of that code, so that it is handled as if it had been raised here."""
    kind = _classes().get(code)
    if kind is None:
        return BackendError(message)
    return kind(message)


@cache
def _classes() -> dict[str, type[CoveyError] | type[ModelsError]]:
    found: dict[str, type[CoveyError] | type[ModelsError]] = {NodeError.code: NodeError}
    for module in (runtime_errors, models_errors):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, CoveyError | ModelsError):
                found[kind.code] = kind
    return found
