"""Decode speeds of several ways to write an answer, each of full length: a rate over the few tokens of a short one, or
over other numbers of tokens, says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import aclosing

from models.backend import Delta, Finish, GenerateCall, TextModel
from scripts.benches.client import Unanswered

TOKENS = 96
"""Of every answer that counts."""
TRIES = 20
"""Requests in a row whose answers may end by themselves before they have that length."""

Ways = Sequence[tuple[TextModel, GenerateCall]]
"""Models and calls that are compared."""


async def rates(asked: Callable[[], Ways], *, turned: bool = False) -> list[float]:
    """Return the tokens a second of each way, asked one after the other (`turned`: the last one first).

    `asked` gives the next request in all ways; it is asked until all answers have their full length. Raises Unanswered.
    """
    for _ in range(TRIES):
        ways = list(enumerate(asked()))
        found = {place: await decoded(*way) for place, way in (reversed(ways) if turned else ways)}
        if all(tokens == TOKENS for tokens, _ in found.values()):
            return [found[place][1] for place, _ in ways]
    raise Unanswered(f"{TRIES} answers ended before they had {TOKENS} tokens; choose another model")


async def decoded(model: TextModel, call: GenerateCall) -> tuple[int, float]:
    """Return the tokens of an answer, and how many a second came after the first piece."""
    times: list[tuple[float, int]] = []
    tokens = 0
    async with aclosing(model.generate(call)) as items:
        async for item in items:
            match item:
                case Delta():
                    times.append((time.perf_counter(), len(item.token_ids)))
                case Finish():
                    tokens = len(item.token_ids)
    later = sum(count for _, count in times[1:])
    return tokens, later / (times[-1][0] - times[0][0]) if len(times) > 1 else 0.0
