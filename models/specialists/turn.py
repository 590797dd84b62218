"""One request to a specialist that asks a language model: its bounds, its cost so far, how it ends.

A specialist may call the model several times for one request; tokens, seconds and the deadline are
counted over all of them here.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from models.backend import Constraint, Finish, GenerateCall, Message, Sampling, TextModel, whole
from models.errors import DeadlineExceeded, InputError
from models.lengths import tokens_of
from models.specialist import SpecialistSpec
from models.types import Evidence, Json, Refusal, RefusalCode, Request, Result, Signals, Usage

MESSAGE_TOKENS = 8
"""Tokens that a chat template adds to a message, taken generously."""
DRAFT_MARGIN_TOKENS = 16
"""Tokens by which a draft may grow when it is read again as a text."""
LEAST_DRAFT_TOKENS = 8
"""A draft that must be shorter says nothing."""
_OBJECT = re.compile(r"""[{[]\s*["'{[]""")
"""Where JSON begins."""
LEAST_ANSWER_TOKENS = 48
"""A prompt that leaves less room than this is refused instead of answered in half a sentence."""


class Turn:
    """Work on one request. `clock` counts seconds."""

    def __init__(
        self, spec: SpecialistSpec, request: Request, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.spec = spec
        self.request = request
        self.usage = Usage()
        self.model: TextModel | None = None
        self.notes: list[str] = []
        self._clock = clock
        self._started = clock()

    def tokens(self, wanted: int | None = None) -> int:
        """Return how many tokens the next call may write. Raises InputError when the budget is used up."""
        left = wanted or self.spec.max_tokens
        if self.request.budget_tokens is not None:
            left = min(left, self.request.budget_tokens - self.usage.completion_tokens)
        if left <= 0:
            raise InputError("The token budget of this request is used up; ask for less or allow more tokens.")
        return left

    def seconds_left(self) -> float | None:
        """Raises DeadlineExceeded."""
        if self.request.deadline_s is None:
            return None
        left = self.request.deadline_s - (self._clock() - self._started)
        if left <= 0:
            raise DeadlineExceeded(
                f"The request took longer than its {self.request.deadline_s:g} s; allow more time or ask for less."
            )
        return left

    def call(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        constraint: Constraint | None = None,
        prefill: str = "",
        stop: tuple[str, ...] = (),
        seed: int | None = None,
        temperature: float | None = None,
        resume_tokens: tuple[int, ...] = (),
        copies: bool = False,
    ) -> GenerateCall:
        """Return the call within this request's bounds. Raises DeadlineExceeded, InputError."""
        return GenerateCall(
            messages=tuple(messages),
            max_tokens=self.tokens(max_tokens),
            own_messages=self._own(messages),
            prefill=prefill,
            sampling=Sampling(
                temperature=self.spec.temperature if temperature is None else temperature,
                seed=self.request.seed if seed is None else seed,
                presence_penalty=self.spec.presence_penalty,
                frequency_penalty=self.spec.frequency_penalty,
            ),
            constraint=constraint,
            stop=stop,
            resume_tokens=resume_tokens,
            deadline_s=self.seconds_left(),
            asker=self.request.asker,
            conversation=None if self.request.asker else self.request.conversation,
            copies=copies,
        )

    def _own(self, messages: Sequence[Message]) -> int:
        """Return how many of the first messages are the specialist's, whatever is asked."""
        return int(bool(messages) and messages[0] == Message("system", self.spec.system))

    async def weigh(self, model: TextModel, messages: Sequence[Message], labels: Sequence[str]) -> list[float]:
        """Return the probability of each label within this request's bounds. Raises DeadlineExceeded."""
        return await model.score(
            messages,
            labels,
            asker=self.request.asker,
            own_messages=self._own(messages),
            deadline_s=self.seconds_left(),
        )

    async def ask(self, model: TextModel, call: GenerateCall) -> Finish:
        """Run a call to its end and count what it cost; a constrained one after a draft, where the spec wants it."""
        if call.constraint is not None and self.spec.draft_tokens:
            call = await self._after_draft(model, call)
        return self.count(model, await whole(model.generate(call)))

    async def _after_draft(self, model: TextModel, call: GenerateCall) -> GenerateCall:
        """Let the model write freely first; return the call whose answer goes on from there.

        The answer's tokens come first: of the request's budget and of the context the draft gets what they leave.
        """
        prompt = await prompt_tokens(model, call.messages) + await model.count_tokens(call.prefill)
        room = model.context_tokens - prompt - call.max_tokens - DRAFT_MARGIN_TOKENS
        left = self.tokens(self.spec.draft_tokens + call.max_tokens) - call.max_tokens
        most = min(self.spec.draft_tokens, room, left)
        if most < LEAST_DRAFT_TOKENS:
            return call
        free = replace(call, constraint=None, copies=False, max_tokens=most, resume_tokens=())
        draft = drafted(self.count(model, await whole(model.generate(free))).text)
        prefill = f"{call.prefill}{draft}\n\n" if draft else call.prefill
        return replace(call, prefill=prefill, deadline_s=self.seconds_left())

    def count(self, model: TextModel, finish: Finish) -> Finish:
        self.model = model
        self.usage = self.usage + finish.usage
        return finish

    async def room(self, model: TextModel, messages: Sequence[Message]) -> int:
        """Return how many tokens of the context are left for the answer (negative: the prompt is too long)."""
        return model.context_tokens - await prompt_tokens(model, messages)

    def result(
        self,
        output: Json,
        text: str,
        signals: Signals,
        *,
        confidence: float | None = None,
        evidence: tuple[Evidence, ...] = (),
    ) -> Result:
        """Return the answer, or 'not sure' when its confidence is below the specialist's floor."""
        sure = certainty(signals) if confidence is None else confidence
        if sure < self.spec.floor:
            reason = "I am not sure enough of this to give it as an answer; ask again with more detail."
            return self.refuse(RefusalCode.NOT_SURE, reason, found=text, signals=signals, confidence=sure)
        return self._end(output, None, text, signals, sure, evidence)

    def refuse(
        self,
        code: RefusalCode,
        reason: str,
        *,
        found: str = "",
        signals: Signals | None = None,
        confidence: float = 0.0,
        evidence: tuple[Evidence, ...] = (),
    ) -> Result:
        return self._end(None, Refusal(code, reason, found), reason, signals or Signals(), confidence, evidence)

    def truncated(self, finish: Finish) -> Result:
        """Return the refusal for an answer that did not end inside its budget."""
        reason = f"The answer did not end within {len(finish.token_ids)} tokens; ask for less or allow more tokens."
        return self.refuse(RefusalCode.TRUNCATED, reason, found=finish.text, signals=finish.signals)

    def too_long(self, prompt: int, context: int) -> Result:
        """Return the refusal for a prompt that leaves no room for an answer."""
        reason = f"The request has about {prompt} tokens and the model reads {context} at once; shorten it."
        return self.refuse(RefusalCode.TOO_LONG, reason)

    def _end(
        self,
        output: Json,
        refusal: Refusal | None,
        text: str,
        signals: Signals,
        confidence: float,
        evidence: tuple[Evidence, ...],
    ) -> Result:
        spent = self.usage
        seconds = self._clock() - self._started
        return Result(
            output=output,
            refusal=refusal,
            text=text,
            confidence=confidence,
            signals=signals,
            usage=Usage(
                spent.prompt_tokens,
                spent.cached_tokens,
                spent.completion_tokens,
                seconds,
                min(seconds, spent.model_seconds),
                spent.energy_j,
            ),
            evidence=evidence,
            specialist=self.spec.name,
            model=self.model.id if self.model else "",
            artifacts=self.model.artifacts if self.model else (),
            notes=tuple(self.notes),
        )


def drafted(text: str) -> str:
    """Return a draft without the answer that it may end in already: that one is written under the constraint."""
    before, _, _ = text.partition("```")
    return _OBJECT.split(before, maxsplit=1)[0].strip()


def certainty(signals: Signals) -> float:
    """Return the geometric mean of the token probabilities, 0 where unknown. Not calibrated."""
    logprob = signals.mean_logprob
    return 0.0 if logprob is None or math.isnan(logprob) else math.exp(min(0.0, logprob))


async def prompt_tokens(model: TextModel, messages: Sequence[Message]) -> int:
    """Return about how many tokens the messages have inside the chat template."""
    return await tokens_of(model, [message.content for message in messages]) + MESSAGE_TOKENS * len(messages)


def text_in(request: Request, field: str) -> str:
    """Return a text of the input that must not be empty. Raises InputError naming the field."""
    given = request.input.get(field)
    if not isinstance(given, str) or not given.strip():
        raise InputError(f"{request.capability} needs `{field}`, a text that is not empty; give it one.")
    return given


def documents_in(request: Request, *, needed: bool = True) -> list[tuple[str, str]]:
    """Return (name, text) of each document that holds any text. Raises InputError."""
    given = request.input.get("documents", [])
    if not isinstance(given, list):
        raise InputError(f"{request.capability} needs `documents`, a list of objects with `name` and `text`.")
    found: list[tuple[str, str]] = []
    for entry in given:
        if not isinstance(entry, dict) or not isinstance(entry.get("text"), str):
            raise InputError(f"Each of the documents of {request.capability} needs a `name` and a `text`.")
        if str(entry["text"]).strip():
            found.append((str(entry.get("name", "document")), str(entry["text"])))
    if needed and not found:
        raise InputError(f"{request.capability} was given no document with any text; name a file that has some.")
    return found


def between(text: str, name: str = "text") -> str:
    """Return a text fenced off as material, so that a sentence in it can't pass for an instruction."""
    return f"<{name}>\n{text.replace(f'</{name}>', f'< /{name}>')}\n</{name}>"
