"""Shortens documents: in one call when they fit, else part by part and then the parts' summaries.

Nothing is cut off silently: every sentence of the documents is read by some call, or the request is refused.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from models.backend import Constraint, Finish, Message, TextModel
from models.errors import InputError
from models.passages import Passage, passages, sentences
from models.specialists.central import central
from models.specialists.runner import Runner
from models.specialists.turn import Turn, between, documents_in, prompt_tokens
from models.types import Chunk, RefusalCode, Request, Result, Signals

MOST_SENTENCES = 20
"""More is no summary."""
SENTENCE_TOKENS = 48
"""Tokens allowed per sentence asked for."""
MOST_PARTS = 64
"""Parts of one request: at about five seconds each, some minutes; more is refused."""
MOST_ROUNDS = 4
"""Rounds of summaries of summaries."""
PART_SENTENCES = 2
"""Sentences kept of each part."""
_NUMBER = re.compile(r"(?<!\d)\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3})+(?!\d)|\d+")
"""Digits, in groups of three or not."""


class Summarize(Runner):
    """Input `{"documents": [{"name", "text"}], "sentences"?: int, "instruction"?: str}`, output a text."""

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        documents = documents_in(request)
        wanted = sentences_in(request)
        turn = Turn(self._spec, request)
        async with self._pool.text(self._spec.models) as model:
            turn.model = model
            result = await self._reduced(turn, model, documents, wanted)
        if not result.abstained:
            yield Chunk(0, result.text)
        yield result

    async def _reduced(
        self, turn: Turn, model: TextModel, documents: list[tuple[str, str]], wanted: int | None
    ) -> Result:
        room = model.context_tokens - await prompt_tokens(model, self._messages(turn, "", wanted)) - _budget(wanted)
        if room < 2 * PART_SENTENCES * SENTENCE_TOKENS:
            return turn.too_long(model.context_tokens - room, model.context_tokens)
        texts = [text for _, text in documents]
        for _ in range(MOST_ROUNDS):
            joined = "\n\n".join(texts)
            if await model.count_tokens(joined) <= room:
                return await self._last(turn, model, joined, wanted)
            parts = await split(model, texts, room)
            if len(parts) > MOST_PARTS:
                reason = f"The documents make {len(parts)} parts, at most {MOST_PARTS} are read; give fewer pages."
                return turn.refuse(RefusalCode.TOO_LONG, reason)
            if not turn.notes:
                turn.notes.append(f"Read in {len(parts)} parts, whose summaries were then joined.")
            texts = []
            for part in parts:
                finish = await self._ask(turn, model, part, PART_SENTENCES)
                texts.append(kept(finish, PART_SENTENCES))
        return turn.refuse(RefusalCode.TOO_LONG, "The documents could not be shortened enough; give fewer pages.")

    async def _last(self, turn: Turn, model: TextModel, text: str, wanted: int | None) -> Result:
        there = len(sentences(text))
        finish = await self._ask(turn, model, text, wanted and min(wanted, there))
        summary = kept(finish, wanted)
        why = "did not come to an end" if not summary else "had a number that the text does not have"
        if not summary and len(finish.token_ids) < _budget(wanted):
            return turn.truncated(finish)  # the asker allows no more
        if not summary or not backed(summary, text):
            quoted = central(text, wanted or PART_SENTENCES)
            if not quoted:
                return turn.truncated(finish)
            turn.notes.append(f"These are sentences of the text itself: the model's own summary {why}.")
            return turn.result(quoted, quoted, Signals())
        if wanted is not None and (count := len(sentences(summary))) < wanted:
            turn.notes.append(f"The summary has {count} sentences, not {wanted}: the text gave no more.")
        return turn.result(summary, summary, finish.signals if finish.reason == "stop" else Signals())

    async def _ask(self, turn: Turn, model: TextModel, text: str, wanted: int | None) -> Finish:
        constraint = None if wanted is None else Constraint("regex", sentence_pattern(wanted))
        call = turn.call(
            self._messages(turn, text, wanted), max_tokens=_budget(wanted), constraint=constraint, copies=True
        )
        return await turn.ask(model, call)

    def _messages(self, turn: Turn, text: str, wanted: int | None) -> list[Message]:
        given = turn.request.input.get("instruction")
        how = "in a few sentences" if wanted is None else "in one sentence" if wanted == 1 else f"in {wanted} sentences"
        also = f" {given.strip()}" if isinstance(given, str) and given.strip() else ""
        asked = f"{between(text)}\nSummarize the text {how}.{also}"
        system = [Message("system", self._spec.system)] if self._spec.system else []
        return [*system, Message("user", asked)]


def backed(summary: str, text: str) -> bool:
    """Return whether the text has every number of a summary, however the two group the digits.

    `1,000` may be one number or two, so it stands in a text that has `1000`, and in one that has `1` and `000`.
    """
    there = {number for run in _NUMBER.findall(text) for number in (_joined(run), *_apart(run))}
    return all(_joined(run) in there or there.issuperset(_apart(run)) for run in _NUMBER.findall(summary))


def _joined(run: str) -> str:
    return re.sub(r"\D", "", run).lstrip("0")


def _apart(run: str) -> list[str]:
    first, *others = re.findall(r"\d+", run)
    return [first.lstrip("0"), *others]


def _budget(wanted: int | None) -> int:
    return SENTENCE_TOKENS * (wanted or 5)


def sentences_in(request: Request) -> int | None:
    """Raises InputError."""
    given = request.input.get("sentences")
    if given is None:
        return None
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_SENTENCES:
        raise InputError(f"`sentences` must be a number between 1 and {MOST_SENTENCES}; correct it and ask again.")
    return given


def sentence_pattern(count: int) -> str:
    """Return the regular expression of a text of `count` sentences on one line."""
    one = r"[^.!?\n]{8,240}(\.[0-9][^.!?\n]{0,80}){0,3}[.!?]"
    return one if count == 1 else f"{one}( {one}){{{count - 1}}}"


def kept(finish: Finish, wanted: int | None) -> str:
    """Return the whole sentences of an answer, at most `wanted`; an unfinished last one is dropped."""
    text = finish.text.strip()
    spans = sentences(text)
    if finish.reason == "length" and spans and text[-1] not in ".!?。！？":
        spans = spans[:-1]
    spans = spans[:wanted]
    return text[spans[0].start : spans[-1].end] if spans else ""


async def split(model: TextModel, texts: list[str], tokens: int) -> list[str]:
    """Return parts of at most `tokens` tokens each, cut between sentences, in order, nothing left out."""
    parts: list[str] = []
    open_part, used = "", 0
    for text in texts:
        for piece in _pieces(text, tokens):
            count = await model.count_tokens(piece.text) + 1
            if open_part and used + count > tokens:
                parts.append(open_part)
                open_part, used = "", 0
            open_part = f"{open_part} {piece.text}".strip()
            used += count
    return [*parts, open_part] if open_part else parts


def _pieces(text: str, tokens: int) -> list[Passage]:
    """Pieces small enough that one is never longer than a part, even at one token a character."""
    return passages("", text, chars=max(80, min(600, tokens)))
