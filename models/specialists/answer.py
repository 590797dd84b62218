"""Answers a question from given documents: first a quote copied from them, then a sentence around it.

It never answers from the model's memory: the quote is a run of words of a passage, enforced while it
is written, or the explicit choice that the text does not say.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from models.backend import Constraint, Finish, GenerateCall, Message, TextModel
from models.grammar import copy_rule
from models.passages import Passage, lexical_scores, passages, sentences, statements
from models.specialists.runner import Runner
from models.specialists.turn import LEAST_ANSWER_TOKENS, Turn, between, certainty, documents_in, text_in
from models.types import Chunk, Evidence, RefusalCode, Request, Result

RERANKERS = ("reranker-en",)
CANDIDATES = 16
"""Passages the reranker sees: half a second of work; the words of the question choose them."""
MOST_PASSAGES = 3
"""Passages shown to the model: small models lose the thread in more."""
MOST_SENTENCES = 3
"""Sentences shown of them, where a reranker can tell which: the fewer, the better a small model quotes."""
NEAR_BEST = 0.1
"""Share of the best sentence's score that another needs to be shown too."""
QUOTE_CHARS = 160
"""Longest quote, characters."""
QUOTE_TOKENS = 64
SENTENCE_TOKENS = 64
LEAST_RELEVANCE = 0.05
"""Score of the best sentence under which the text does not say. Measured on 60 questions of a tuning half:
95 % of the right paragraphs pass, no paragraph of another article, 13 % of others of the same article."""
NONE = "none"
_ENGLISH = frozenset("the what who whom whose which how when where why did does is are of".split())
"""Words of nearly every English question and of few others: the reranker reads English only."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"\b[A-Z][\w'-]+")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage and how well it fits the question, 0..1."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Focus:
    """What the model gets to read (never empty), and how well the best of it fits the question."""

    pieces: Sequence[Passage]
    score: float
    """0..1; 1 where no reranker can tell."""


class Answer(Runner):
    """Input `{"question": str, "documents": [{"name", "text"}], "short"?: bool}`, output the quoted answer.

    `text` is a sentence that contains the quote, or the quote itself when `short` is true or no
    sentence could be made that stays with the evidence.
    """

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        question = text_in(request, "question").strip()
        documents = documents_in(request)
        turn = Turn(self._spec, request)
        ranked = await self._ranked(question, documents)
        focus = await self._focused(question, [best.passage for best in ranked[:MOST_PASSAGES]])
        if focus.score < LEAST_RELEVANCE:
            yield _not_found(turn, focus.pieces, confidence=1 - focus.score)
            return
        async with self._pool.text(self._spec.models) as model:
            shown = await fitting(turn, model, question, focus.pieces)
            if not shown:
                yield turn.too_long(await model.count_tokens(question), model.context_tokens)
                return
            finish = await turn.ask(model, self._quote_call(turn, question, shown))
            evidence = located(finish.text, shown) if finish.reason == "stop" else None
            if evidence is None:
                yield turn.truncated(finish) if finish.reason == "length" else _not_found(turn, shown, finish)
                return
            sentence = evidence.quote
            if request.input.get("short") is not True:
                sentence = await self._sentence(turn, model, question, evidence, documents)
            if len(ranked) > MOST_PASSAGES:
                turn.notes.append(f"Read {MOST_PASSAGES} of {len(ranked)} passages, the nearest to the question.")
            result = turn.result(
                evidence.quote,
                sentence,
                replace(finish.signals, scores={"relevance": focus.score}),
                confidence=certainty(finish.signals) * focus.score,
                evidence=(evidence,),
            )
        if not result.abstained:
            yield Chunk(0, result.text)
        yield result

    async def _ranked(self, question: str, documents: Sequence[tuple[str, str]]) -> list[Ranked]:
        """Return all passages, best first; at least one."""
        found = [passage for name, text in documents for passage in passages(name, text)]
        lexical = lexical_scores(question, [passage.text for passage in found])
        order = sorted(range(len(found)), key=lambda i: -lexical[i])
        if not self._reads(question) or len(found) < 2:
            return [Ranked(found[i], lexical[i]) for i in order]
        near, far = order[:CANDIDATES], order[CANDIDATES:]
        async with self._pool.reranker(RERANKERS) as reranker:
            scores = [float(score) for score in await reranker.scores(question, [found[i].text for i in near])]
        best = sorted(zip(scores, near, strict=True), reverse=True)
        return [Ranked(found[i], score) for score, i in best] + [Ranked(found[i], 0.0) for i in far]

    async def _focused(self, question: str, shown: Sequence[Passage]) -> Focus:
        """Return the sentences or lines of the passages that are nearest to the question, in their order."""
        if not self._reads(question):
            return Focus(shown, 1.0)
        pieces = [piece for passage in shown for piece in statements_of(passage)]
        async with self._pool.reranker(RERANKERS) as reranker:
            scores = [float(score) for score in await reranker.scores(question, [piece.text for piece in pieces])]
        best = sorted(range(len(pieces)), key=lambda i: -scores[i])[:MOST_SENTENCES]
        near = [i for i in sorted(best) if scores[i] >= NEAR_BEST * max(scores)]
        return Focus([pieces[i] for i in near], max(scores))

    def _reads(self, question: str) -> bool:
        """Whether a reranker is here that understands the question."""
        return bool(self._pool.installed(RERANKERS)) and not _ENGLISH.isdisjoint(question.lower().split())

    def _quote_call(self, turn: Turn, question: str, shown: Sequence[Passage]) -> GenerateCall:
        return turn.call(self._messages(question, shown), max_tokens=QUOTE_TOKENS, constraint=quote_constraint(shown))

    def _messages(self, question: str, shown: Sequence[Passage]) -> list[Message]:
        turns = [Message("system", self._spec.system)]
        for example in self._spec.examples:
            turns += [Message("user", example.input), Message("assistant", example.output)]
        return [*turns, Message("user", asked(question, shown))]

    async def _sentence(
        self,
        turn: Turn,
        model: TextModel,
        question: str,
        evidence: Evidence,
        documents: Sequence[tuple[str, str]],
    ) -> str:
        """Return a sentence that holds the quote and nothing the source does not say; else the quote."""
        around = sentence_around(evidence, documents)
        prompt = (
            f"{between(around)}\nQuestion: {question}\nAnswer in one short sentence that contains: {evidence.quote}"
        )
        wrapped = sentence_constraint(evidence.quote)
        finish = await turn.ask(
            model, turn.call([Message("user", prompt)], max_tokens=SENTENCE_TOKENS, constraint=wrapped)
        )
        sentence = finish.text.strip()
        if finish.reason != "stop" or not grounded(sentence, f"{around} {question}"):
            return evidence.quote
        return sentence


def statements_of(passage: Passage) -> list[Passage]:
    """Return the sentences of a passage, or the lines of a list, each with its place in the document."""
    at = passage.start
    return [Passage(passage.source, at + s.start, at + s.end, s.text) for s in statements(passage.text)]


def asked(question: str, shown: Sequence[Passage]) -> str:
    """Return the user's turn: the passages as material, then the question."""
    material = between("\n".join(passage.text for passage in shown))
    return f"{material}\nQuestion: {question}"


def quote_constraint(shown: Sequence[Passage]) -> Constraint:
    """Return the constraint: a JSON string copied from one passage, or the word for 'not in the text'."""
    names = [f"COPY{number}" for number in range(len(shown))]
    rules = [copy_rule(name, passage.text, most=QUOTE_CHARS) for name, passage in zip(names, shown, strict=True)]
    return Constraint("grammar", "\n".join([f'start: "\\"" ({" | ".join(names)}) "\\"" | "{NONE}"', *rules]))


def sentence_constraint(quote: str) -> Constraint:
    """Return the constraint: one line, one sentence, the quote somewhere in it; a dot in a number ends none."""
    words = "/([^\\n.!?]|[0-9]([.][0-9]+)+){0,120}/"
    return Constraint("grammar", f'start: LINE\nLINE: {words} {json.dumps(quote)} {words} "."')


def located(answer: str, shown: Sequence[Passage]) -> Evidence | None:
    """Return where a quote stands in its document, or None when there is no quote."""
    if answer.strip() == NONE or not answer.strip():
        return None
    quote = str(json.loads(answer)).strip()
    for passage in shown:
        at = passage.text.find(quote)
        if at >= 0:
            return Evidence(passage.source, passage.start + at, passage.start + at + len(quote), quote)
    raise AssertionError("the constraint lets only words of a passage through")


async def fitting(turn: Turn, model: TextModel, question: str, pieces: Sequence[Passage]) -> list[Passage]:
    """Return as many of the pieces as fit into the context together, from the first on."""
    spec = turn.spec
    fixed = [Message("system", spec.system), Message("user", question)]
    fixed += [Message("user", example.input + example.output) for example in spec.examples]
    left = await turn.room(model, fixed) - QUOTE_TOKENS - LEAST_ANSWER_TOKENS
    shown: list[Passage] = []
    for piece in pieces:
        left -= await model.count_tokens(between(piece.text))
        if left < 0:
            break
        shown.append(piece)
    return shown


def sentence_around(evidence: Evidence, documents: Sequence[tuple[str, str]]) -> str:
    """Return the sentences of the document that the quote touches."""
    text = next(
        text
        for name, text in documents
        if name == evidence.source and text[evidence.start : evidence.end] == evidence.quote
    )
    return " ".join(span.text for span in sentences(text) if span.end > evidence.start and span.start < evidence.end)


def grounded(sentence: str, source: str) -> bool:
    """Return whether every number and every name of the sentence stands in the source."""
    known = source.lower()
    first = sentence.split(" ", 1)[0]
    if not set(_NUMBER.findall(sentence)) <= set(_NUMBER.findall(source)):
        return False
    return all(found.lower() in known for found in _NAME.findall(sentence) if found != first)


def _not_found(
    turn: Turn, shown: Sequence[Passage], finish: Finish | None = None, *, confidence: float | None = None
) -> Result:
    nearest = shown[0]
    return turn.refuse(
        RefusalCode.NOT_FOUND,
        "The given text does not say; name another file, or ask in other words.",
        found=nearest.text,
        signals=finish.signals if finish else None,
        confidence=certainty(finish.signals) if finish else confidence or 0.0,
        evidence=(Evidence(nearest.source, nearest.start, nearest.end, nearest.text),),
    )
