"""Models whose replies are written beforehand: for tests, demonstrations and dry runs.

They keep every promise of the real ones (token by token, stop strings, budgets, deadlines, resumption,
refusal of what does not fit) and can be told to fail in the ways that real ones do.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from models.backend import (
    Classifier,
    Delta,
    Encoder,
    Finish,
    GenerateCall,
    Loaded,
    Message,
    Reranker,
    Tagger,
    TextModel,
    TokenDetail,
    TokenSignal,
    TokenStates,
)
from models.errors import ConstraintError, ContextOverflow, DeadlineExceeded, NotInstalled, WorkerDied
from models.grammar import accepts, unsatisfiable
from models.specialist import AtHand
from models.types import Digest, ModelId, Signals, Usage

Fault = Literal["dies", "garbage", "slow", "too_long"]
"""dies: the worker ends half-way · garbage: text that keeps to nothing · slow: 50 ms a token · too_long: never ends."""
Script = Sequence[str] | Callable[[GenerateCall], str]
Scorer = Callable[[Sequence[Message], Sequence[str], str], Sequence[float]]

SLOW_S = 0.05
"""Seconds per token of a slow model: long enough for a deadline to pass, short enough for a test."""
_TEMPLATE_TOKENS = 4
"""Tokens that a chat template adds to each message."""
_MARGIN = 1.0
_TOKEN = re.compile(r"\s*\w{1,8}|\s*[^\w\s]|\s+")
_GARBAGE = "\u2591 }{ ]] %% null-ish ::"


class ScriptedModel:
    """A loaded model of which only the name is real."""

    def __init__(self, name: str) -> None:
        self.closed = False
        self._name = name

    @property
    def id(self) -> ModelId:
        return ModelId(self._name)

    @property
    def artifacts(self) -> tuple[Digest, ...]:
        return (Digest(f"{zlib.crc32(self._name.encode()):064x}"),)

    @property
    def memory_bytes(self) -> int:
        return 1

    async def close(self) -> None:
        self.closed = True


class ScriptedText(ScriptedModel):
    """A TextModel that answers from a script: a list used up in order, or a function of the call."""

    def __init__(
        self,
        script: Script = (),
        *,
        name: str = "scripted",
        context_tokens: int = 2048,
        fault: Fault | None = None,
        scorer: Scorer | None = None,
        logprob: float = -0.05,
        seconds_per_token: float = 0.0,
        at_once: int = 1000,
    ) -> None:
        """`at_once`: generations that run side by side; more wait, as on a device of a fixed speed."""
        super().__init__(name)
        self.calls: list[GenerateCall] = []
        """What it was asked, oldest first."""
        self.running = 0
        """Generations that are open now; 0 once every iterator is closed."""
        self._script = script if callable(script) else list(script)
        self._context_tokens = context_tokens
        self._fault = fault
        self._scorer = scorer or likeness
        self._logprob = logprob
        self._places = asyncio.Semaphore(at_once)
        self._token_s = SLOW_S if fault == "slow" else seconds_per_token

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    async def count_tokens(self, text: str) -> int:
        return len(_TOKEN.findall(text))

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
        weights = [max(0.0, weight) for weight in self._scorer(messages, labels, prefill)]
        total = sum(weights)
        return [weight / total if total else 1 / len(weights) for weight in weights]

    async def generate(self, call: GenerateCall) -> AsyncGenerator[Delta | Finish, None]:
        """Yield the scripted reply. Raises what the real one raises, and AssertionError when the script
        is used up or its reply breaks the call's constraint."""
        prompt_tokens = self._admit(call)
        self.calls.append(call)
        reply = self._reply(call)
        self.running += 1
        try:
            async with self._places:
                async for item in self._write(call, reply, prompt_tokens):
                    yield item
        finally:
            self.running -= 1

    def _admit(self, call: GenerateCall) -> int:
        texts = [message.content for message in call.messages] + [call.prefill]
        prompt = sum(len(_TOKEN.findall(text)) for text in texts) + _TEMPLATE_TOKENS * len(call.messages)
        if prompt + call.max_tokens > self._context_tokens:
            raise ContextOverflow(
                f"The request has {prompt} tokens and may write {call.max_tokens}, the context holds "
                f"{self._context_tokens}; shorten the text or ask for less."
            )
        if call.constraint is not None and (reason := unsatisfiable(call.constraint)):
            raise ConstraintError(f"No output can satisfy the schema ({reason}); correct it and ask again.")
        return prompt

    def _reply(self, call: GenerateCall) -> str:
        if self._fault == "garbage":
            return _GARBAGE
        if callable(self._script):
            reply = self._script(call)
        else:
            assert self._script, f"the script has no reply left for: {call.messages[-1].content[:80]!r}"
            reply = self._script.pop(0)
        if call.constraint is not None and self._fault is None:
            assert accepts(call.constraint, reply), f"the scripted reply breaks the constraint of the call: {reply!r}"
        return reply

    async def _write(self, call: GenerateCall, reply: str, prompt_tokens: int) -> AsyncGenerator[Delta | Finish, None]:
        whole = _until(reply, call.stop)
        pieces: list[str] = _TOKEN.findall(whole)
        if self._fault == "too_long":
            pieces = [pieces[n % len(pieces)] if pieces else "on" for n in range(call.max_tokens + 1)]
        kept = pieces[: call.max_tokens]
        ids = tuple(zlib.crc32(piece.encode()) & 0x7FFFFFFF for piece in kept)
        done = len(call.resume_tokens)
        for index in range(done, len(kept)):
            if self._fault == "dies" and index >= len(kept) // 2:
                raise WorkerDied("The model's process ended unexpectedly. Ask again: it is started afresh.")
            await asyncio.sleep(self._token_s)
            if call.deadline_s is not None and (index - done + 1) * self._token_s > call.deadline_s:
                raise DeadlineExceeded(
                    f"The answer took longer than {call.deadline_s:g} s; allow more time or ask for less."
                )
            before = "".join(kept[:done]) if index == done else ""
            yield Delta(index, kept[index], (ids[index],), before, self._details(call, kept[index]))
        signals = Signals(
            mean_logprob=self._logprob,
            min_margin=_MARGIN,
            mean_entropy=-self._logprob,
            feasible_mass=_mass(call),
            tokens=len(kept),
        )
        usage = Usage(prompt_tokens, 0, len(kept) - done, self._token_s * len(kept), self._token_s * len(kept))
        yield Finish("".join(kept), "length" if len(pieces) > len(kept) else "stop", ids, signals, usage)

    def _details(self, call: GenerateCall, piece: str) -> tuple[TokenDetail, ...]:
        """Under a constraint, what is no word counts as what the model was not asked about."""
        if not call.details:
            return ()
        data = piece.encode()
        if call.constraint is not None and not words(piece):
            return (TokenDetail(data, None),)
        signal = TokenSignal(self._logprob, _MARGIN, -self._logprob, _mass(call))
        return (TokenDetail(data, signal, ((data, self._logprob),) if call.alternatives else ()),)


def _mass(call: GenerateCall) -> float:
    return 1.0 if call.constraint is None else 0.95


def _until(text: str, stops: Sequence[str]) -> str:
    ends = [at for stop in stops if stop and (at := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def likeness(messages: Sequence[Message], labels: Sequence[str], prefill: str) -> list[float]:
    """Weigh each label by the words it shares with the last message."""
    asked = set(words(messages[-1].content if messages else prefill))
    return [0.05 + len(asked & set(words(label))) / max(1, len(words(label))) for label in labels]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


class ScriptedEncoder(ScriptedModel):
    """An Encoder whose vectors come from the words of a text: equal words, near vectors."""

    def __init__(self, *, dimensions: int = 64, name: str = "scripted-encoder") -> None:
        super().__init__(name)
        self.encoded: list[str] = []
        self._dimensions = dimensions

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.encoded.extend(texts)
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row, 0] = 1e-3  # an empty text has a direction too
            for word in words(text):
                code = zlib.crc32(word.encode())
                vectors[row, code % self._dimensions] += 1.0 if code & 0x10000 else -1.0
        unit: NDArray[np.float32] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return unit

    async def states(self, text: str) -> TokenStates:
        """One token a word, with the vector of that word."""
        found = [word.span() for word in re.finditer(r"\w+", text)]
        return TokenStates(tuple(found), await self.encode([text[start:end] for start, end in found]))


class ScriptedReranker(ScriptedModel):
    """A Reranker that scores a passage by the share of the query's words it holds."""

    def __init__(self, *, name: str = "scripted-reranker") -> None:
        super().__init__(name)

    async def scores(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        asked = {word for word in words(query) if len(word) > 3} or set(words(query))
        shares = [len(asked & set(words(passage))) / max(1, len(asked)) for passage in passages]
        return np.asarray(shares, dtype=np.float32)


_M = TypeVar("_M")


class ScriptedPool:
    """A Pool of scripted models by catalog id; what is not given is not installed."""

    def __init__(
        self,
        text: Mapping[str, TextModel] | None = None,
        encoder: Mapping[str, Encoder] | None = None,
        reranker: Mapping[str, Reranker] | None = None,
        classifier: Mapping[str, Classifier] | None = None,
        tagger: Mapping[str, Tagger] | None = None,
    ) -> None:
        self._text = dict(text or {})
        self._encoder = dict(encoder or {})
        self._reranker = dict(reranker or {})
        self._classifier = dict(classifier or {})
        self._tagger = dict(tagger or {})
        self.leased = 0
        """Leases that are open now."""

    def text(self, models: Sequence[str]) -> AbstractAsyncContextManager[TextModel]:
        return self._lease(self._text, models)

    def encoder(self, models: Sequence[str]) -> AbstractAsyncContextManager[Encoder]:
        return self._lease(self._encoder, models)

    def reranker(self, models: Sequence[str]) -> AbstractAsyncContextManager[Reranker]:
        return self._lease(self._reranker, models)

    def classifier(self, models: Sequence[str]) -> AbstractAsyncContextManager[Classifier]:
        return self._lease(self._classifier, models)

    def tagger(self, models: Sequence[str]) -> AbstractAsyncContextManager[Tagger]:
        return self._lease(self._tagger, models)

    def installed(self, models: Sequence[str], kind: str = "") -> list[str]:
        held: dict[str, Mapping[str, object]] = {
            "text": self._text,
            "encoder": self._encoder,
            "reranker": self._reranker,
            "classifier": self._classifier,
            "tagger": self._tagger,
        }
        here = {name for each, names in held.items() if kind in ("", each) for name in names}
        return [name for name in models if name in here]

    def at_hand(self, models: Sequence[str]) -> AtHand | None:
        """Every scripted model is loaded, and of no size."""
        held: dict[str, Loaded] = {
            **self._text,
            **self._encoder,
            **self._reranker,
            **self._classifier,
            **self._tagger,
        }
        name = next((name for name in models if name in held), None)
        if name is None:
            return None
        model = held[name]
        context = getattr(model, "context_tokens", 512)
        return AtHand(name, model.artifacts, context, model.memory_bytes, loaded=True)

    @asynccontextmanager
    async def _lease(self, held: dict[str, _M], models: Sequence[str]) -> AsyncIterator[_M]:
        name = next((name for name in models if name in held), None)
        if name is None:
            raise NotInstalled(f"None of the models {', '.join(models)} is on this device. Run `covey models pull`.")
        self.leased += 1
        try:
            yield held[name]
        finally:
            self.leased -= 1
