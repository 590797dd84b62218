"""Extracts and summaries with tokens proposed from the prompt, against one token after the other."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib import resources
from pathlib import Path

from models.backend import Delta, Finish, GenerateCall, Message
from models.backends.llama import LlamaModel
from models.backends.scripted import ScriptedPool
from models.specialist import build, read_spec
from models.types import Digest, Json, ModelId, Request, Specialist, last
from scripts.benches import papers
from scripts.benches.client import at_once
from scripts.benches.figures import Report, Row, alone, cell, compared
from scripts.benches.setup import Setup, say
from scripts.benches.tuned import tuned

ABOUT = "answers that repeat their prompt: tokens looked up in it and checked together, against one at a time"
SIDES = ("looked up", "one at a time")
WIDTH = 4
"""Requests side by side, in the last rows."""
NOTES = (
    "Tokens a second are those after an answer's first; of several at a time, all together.",
    "Rounding depends on the rows of a step, in company too; where two tokens are close, either may be chosen.",
)


async def run(setup: Setup) -> Report:
    rounds = setup.count(4, 24)
    rows: list[Row] = []
    same: list[float] = []
    with setup.as_shipped() as here, tuned(setup) as (there, chose):
        for weights, where in (("as shipped", here), ("tuned", there)):
            rows += await _both(where, weights, rounds, same)
    rows.append(alone("the same answer", "share", [sum(same) / len(same)], "higher"))
    settings: dict[str, object] = {"rounds": rounds, "answers": len(same), "model": setup.model, "tuned": chose}
    return Report("speculation", ABOUT, tuple(rows), SIDES, settings, NOTES)


async def _both(setup: Setup, weights: str, rounds: int, same: list[float]) -> list[Row]:
    """Measure extracts and summaries with these weights; adds to `same` which answers were equal."""
    rows: list[Row] = []
    async with setup.loaded() as quick, setup.loaded(lookup=False) as plain:
        sides = (Timed(quick), Timed(plain))
        for kind in ("extract", "summarize"):
            specialists = [_specialist(kind, side) for side in sides]
            for width in (1, WIDTH):
                count = max(2, rounds // width)
                rates = await _in_turn(sides, specialists, kind, count, width, same)
                several = "one at a time" if width == 1 else f"{width} at a time"
                rows.append(compared(f"weights {weights}, {kind}, {several}", "tok/s", rates))
                say(f"{rows[-1].what}: {cell(rows[-1].ratio)} times as fast")
    return rows


async def _in_turn(
    sides: Sequence[Timed], specialists: Sequence[Specialist], kind: str, rounds: int, width: int, same: list[float]
) -> tuple[list[float], list[float]]:
    """Ask both sides in turn, the one that begins changing; return the tokens a second of each."""
    rates: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        said: list[list[str]] = [[], []]
        for place in (0, 1) if number % 2 else (1, 0):
            sides[place].forget()
            requests = [_request(kind, number * width + i + width * 1000) for i in range(width)]
            jobs = [lambda one=one, place=place: last(specialists[place].run(one)) for one in requests]
            results, _ = await at_once(jobs, width)
            said[place] = [result.text for result in results]
            rates[place].append(sides[place].rate)
        same += [float(one == other) for one, other in zip(*said, strict=True)]
    return rates


def _request(kind: str, number: int) -> Request:
    if kind == "extract":
        letter = papers.letter(number)
        fields: Json = list(letter.fields)
        return Request("extract", {"text": letter.text, "fields": fields})
    return Request("summarize", {"documents": [{"name": "article", "text": papers.article(number)}], "sentences": 3})


def _specialist(kind: str, side: Timed) -> Specialist:
    with resources.as_file(resources.files("models.specialists") / f"{kind}.toml") as path:
        spec = read_spec(Path(path))
    return build(spec, ScriptedPool(dict.fromkeys(spec.models, side)))


class Timed:
    """A model that notes when its tokens come. Offers what specialists need of a TextModel."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        self.forget()

    def forget(self) -> None:
        self._tokens = 0
        self._began: float | None = None
        self._ended = 0.0

    @property
    def rate(self) -> float:
        """Tokens a second from the first one to the last."""
        return self._tokens / (self._ended - self._began) if self._began is not None else 0.0

    @property
    def id(self) -> ModelId:
        return self._model.id

    @property
    def artifacts(self) -> tuple[Digest, ...]:
        return ()

    @property
    def memory_bytes(self) -> int:
        return 0

    @property
    def context_tokens(self) -> int:
        return self._model.context_tokens

    async def close(self) -> None:
        """The bench itself closes the model."""

    async def count_tokens(self, text: str) -> int:
        return await self._model.count_tokens(text)

    async def score(
        self,
        messages: Sequence[Message],
        labels: Sequence[str],
        prefill: str = "",
        *,
        asker: str = "",
        own_messages: int = 0,
        deadline_s: float | None = None,
    ) -> list[float]:
        return await self._model.score(
            messages, labels, prefill, asker=asker, own_messages=own_messages, deadline_s=deadline_s
        )

    async def generate(self, call: GenerateCall) -> AsyncGenerator[Delta | Finish, None]:
        async with aclosing(self._model.generate(call)) as items:
            async for item in items:
                now = time.perf_counter()
                if isinstance(item, Delta):
                    if self._began is None:
                        self._began = now
                    else:
                        self._tokens += len(item.token_ids)
                    self._ended = now
                yield item
