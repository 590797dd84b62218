"""The question whether something may leave, and its answer, as JSON between a node and the owner's terminal.

What can't be read is no answer, and no answer is no.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping

from hub.consent import Asker, Question, Reply, Wish
from hub.errors import NoConsent
from models.types import Json, Label
from peers.policy import Place
from runtime.errors import UsageError


def question_to_json(question: Question) -> dict[str, Json]:
    wish = question.wish
    return {
        "label": wish.label.name,
        "capability": wish.capability,
        "hub": wish.hub,
        "place": wish.place.value,
        "via": wish.via,
        "before": list(question.before),
        "after": list(question.after),
        "body": base64.b64encode(question.body).decode(),
        "cost": question.cost,
        "reason": question.reason,
    }


def question_from_json(given: Mapping[str, Json]) -> Question:
    """Return the question. Raises ValueError where it is none: then nobody is asked, which is no."""
    try:
        wish = Wish(
            Label[_text(given, "label")],
            _text(given, "capability"),
            _text(given, "hub"),
            Place(_text(given, "place")),
            _text(given, "via") if "via" in given else "",
        )
        before, after = given["before"], given["after"]
        if not isinstance(before, list) or not isinstance(after, list) or len(before) != len(after):
            raise ValueError("the texts before and after are not in pairs")
        body = base64.b64decode(_text(given, "body"), validate=True)
        cost = float(str(given["cost"]))
        return Question(wish, tuple(map(str, before)), tuple(map(str, after)), body, cost, _text(given, "reason"))
    except KeyError as error:
        raise ValueError(f"the question lacks {error}") from error


def _text(given: Mapping[str, Json], field: str) -> str:
    value = given[field]
    if not isinstance(value, str):
        raise ValueError(f"{field} is no text")
    return value


def reply_from_json(data: bytes) -> tuple[str, Reply | None]:
    """Return which question is answered, and how; None is silence, or what is no answer. Raises UsageError."""
    try:
        given = json.loads(data)
        asked = given["id"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UsageError("This answers no question: give its `id` and a `reply`.") from error
    replies = {reply.value: reply for reply in Reply}
    said = given.get("reply")
    return str(asked), replies.get(said) if isinstance(said, str) else None


async def replied(asker: Asker | None, given: Mapping[str, Json], within_s: float) -> str | None:
    """Ask the owner and return the answer for the node; None: nobody answered in time."""
    if asker is None:
        return None
    try:
        async with asyncio.timeout(within_s):
            return (await asker(question_from_json(given))).value
    except (TimeoutError, NoConsent, ValueError):
        return None
