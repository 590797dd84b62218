"""Server-sent events, as chat clients read them: `data: `, one line of JSON, an empty line."""

from __future__ import annotations

import json

from models.types import Json

DONE = b"data: [DONE]\n\n"
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # a proxy in between must not collect what should flow
}


def event(value: Json) -> bytes:
    """Return one event. JSON has no raw line breaks, so the value is always one line.

    >>> event({"a": "x\\ny"})
    b'data: {"a":"x\\\\ny"}\\n\\n'
    """
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
