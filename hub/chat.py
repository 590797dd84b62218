"""The OpenAI chat API as values: the body that goes out, and the events of the answer. No socket, no clock.

What comes back is untrusted: every size is bounded, and whatever does not fit is HubNonsense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub.errors import HubEndless, HubNonsense
from models.backend import Message
from models.types import Json

MAX_EVENT_BYTES = 256 * 1024
"""Of one event: a token or two, with some providers' wrapping."""
MAX_ANSWER_BYTES = 8 * 2**20
"""Of the whole stream: a long answer takes 100 KB with all its wrapping."""
MAX_TEXT_CHARS = 200_000
DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What the hub says it took."""

    tokens_in: int
    tokens_out: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The answer is whole."""

    reason: str
    """`stop`, `length`, or another word of the hub's."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Which model speaks."""

    model: str


Event = Piece | Counted | Ended | Answered


def body(
    model: str, messages: Sequence[Message], *, max_tokens: int, schema: Mapping[str, Json] | None = None, seed: int = 0
) -> bytes:
    """Return the request as it goes out: the messages, the bounds, and nothing about who asks."""
    asked: dict[str, Any] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "max_tokens": max_tokens,
        "temperature": 0,
        "seed": seed % 2**31,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if schema is not None:
        named = {"name": "answer", "schema": dict(schema)}
        asked["response_format"] = {"type": "json_schema", "json_schema": named}
    return json.dumps(asked, ensure_ascii=False).encode()


class EventReader:
    """Turns the bytes of a server-sent stream into events, in whatever pieces they arrive."""

    def __init__(self, name: str) -> None:
        """`name`: what the owner calls the hub, for the errors."""
        self._name = name
        self._buffer = bytearray()
        self._seen = 0
        self._chars = 0
        self.done = False
        """Whether the hub said that nothing follows."""

    def feed(self, data: bytes) -> list[Event]:
        """Take some bytes and return the events that they complete. Raises HubNonsense, HubEndless."""
        self._seen += len(data)
        if self._seen > MAX_ANSWER_BYTES:
            raise HubEndless(f"The answer of {self._name} does not end; it was cut off. Try another hub.")
        self._buffer += data
        events: list[Event] = []
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end]).strip()
            del self._buffer[: end + 1]
            events += self._line(line)
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise self._nonsense("a line without end")
        return events

    def _line(self, line: bytes) -> list[Event]:
        if self.done or not line.startswith(b"data:"):
            return []  # comments, event names, the empty lines between events
        data = line.removeprefix(b"data:").strip()
        if data == DONE:
            self.done = True
            return []
        return self.events_of(data)

    def events_of(self, data: bytes) -> list[Event]:
        """Return what one JSON object of the stream says; also that of an answer that came in one piece."""
        try:
            event = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._nonsense("it is no JSON") from error
        if not isinstance(event, dict):
            raise self._nonsense("it is no object")
        if event.get("error"):
            raise self._nonsense("it reports an error in the middle")
        events: list[Event] = []
        if isinstance(event.get("model"), str):
            events.append(Answered(event["model"][:200]))
        choices = event.get("choices")
        if not isinstance(choices, list):
            raise self._nonsense("it has no choices")
        for choice in choices[:1]:
            events += self._choice(choice)
        usage = event.get("usage")
        if isinstance(usage, dict):
            events.append(Counted(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))))
        return events

    def _choice(self, choice: object) -> list[Event]:
        if not isinstance(choice, dict):
            raise self._nonsense("a choice is no object")
        said = choice.get("delta", choice.get("message"))
        text = said.get("content") if isinstance(said, dict) else None
        if text is not None and not isinstance(text, str):
            raise self._nonsense("its text is no text")
        events: list[Event] = [Piece(text)] if text else []
        self._chars += len(text or "")
        if self._chars > MAX_TEXT_CHARS:
            raise HubEndless(f"The answer of {self._name} does not end; it was cut off. Try another hub.")
        reason = choice.get("finish_reason")
        return [*events, Ended(str(reason)[:40])] if reason else events

    def _nonsense(self, why: str) -> HubNonsense:
        return HubNonsense(f"What {self._name} sent is no answer ({why}). Check its address with `covey hub test`.")


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**40 else 0


def is_same_model(asked: str, answered: str) -> bool:
    """Return whether the model that answered is the one asked for, or a dated edition of it.

    >>> is_same_model("big", "big-2026-01-31"), is_same_model("big", "bigger"), is_same_model("org/big", "big")
    (True, False, True)
    """
    wanted, got = asked.casefold(), answered.casefold()
    short = got.rpartition("/")[2]
    return any(
        one == two or one.startswith((f"{two}-", f"{two}:", f"{two}@"))
        for one in (got, short)
        for two in (wanted, wanted.rpartition("/")[2])
    )
