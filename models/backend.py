"""What a loaded model offers: the interfaces that every backend, real or scripted, implements.

A `TextModel` writes and scores text, an `Encoder` turns texts into vectors, a `Reranker` scores
pairs. Backends live in `models/backends/`; specialists see only these protocols, through the pool.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from models.types import Digest, Json, ModelId, Signals, Usage

if TYPE_CHECKING:  # numpy costs 0.12 s, and most requests never need a vector
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str
    """Plain text: control tokens typed here never become control tokens."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. Temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    """Draws come from a counter-based generator keyed by (seed, token index)."""
    presence_penalty: float = 0.0
    """Nats taken from a token's logit when the answer holds it already; small models loop without it."""
    frequency_penalty: float = 0.0
    """Nats taken for each time that the answer holds it already."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the output must look like; enforced token by token."""

    kind: Literal["json_schema", "regex", "choice", "grammar"]
    value: Json
    """A JSON Schema object; a regular expression; a list of strings; a Lark grammar."""


MOST_ALTERNATIVES = 20
"""Tokens told beside each one that was chosen; what OpenAI allows."""


@dataclass(frozen=True, slots=True)
class GenerateCall:
    """One generation."""

    messages: tuple[Message, ...]
    max_tokens: int
    own_messages: int = 0
    """How many of the first messages are the specialist's own; the state of these may be kept on disk."""
    prefill: str = ""
    """Text the assistant's turn begins with; not part of the answer."""
    sampling: Sampling = Sampling()
    constraint: Constraint | None = None
    stop: tuple[str, ...] = ()
    """The answer ends before any of these strings."""
    resume_tokens: tuple[int, ...] = ()
    deadline_s: float | None = None
    asker: str = ""
    """Node id of the device that asks, `PROGRAMS`, or empty for the owner. State is shared between the requests of one
    asker only, but for the specialist's own messages; another device's is gone when its request has ended."""
    conversation: Path | None = None
    """Folder and id of the conversation that this is a turn of: its state may be kept there for the next turn."""
    copies: bool = False
    """The answer is likely to repeat stretches of the prompt, as an extract or a summary does: they are looked up
    and checked several at a time. It changes how fast the answer comes, never what it is."""
    details: bool = False
    """Say of each token what the model thought of it, with the text that it gave."""
    alternatives: int = 0
    """How many of the likeliest tokens to tell with these details, at most `MOST_ALTERNATIVES`."""


@dataclass(frozen=True, slots=True)
class TokenSignal:
    """What one row of logits says about the token chosen from it."""

    logprob: float
    """Natural log, over the whole vocabulary, at temperature 1, before penalties and constraint."""
    margin: float
    """Log-probability of the best allowed token minus that of the second best allowed one, in nats; infinite when
    only one was allowed."""
    entropy: float
    """Nats, over the whole vocabulary."""
    feasible_mass: float
    """Probability of all tokens that the constraint allows; 1 without a constraint."""


@dataclass(frozen=True, slots=True)
class TokenDetail:
    """One token of an answer, and what the model thought of it."""

    data: bytes
    """Its text; may begin or end inside a character."""
    signal: TokenSignal | None
    """None where the constraint left no choice: nobody asked the model."""
    likeliest: tuple[tuple[bytes, float], ...] = ()
    """Text and log-probability of those that the model held likeliest at this place, allowed or not, best first."""


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of a generation: whole characters, and the tokens it came from."""

    index: int
    text: str
    token_ids: tuple[int, ...]
    before: str = ""
    """In the first delta: the text of the call's `resume_tokens` that is not said again. What of it may begin a stop
    string is told with what follows."""
    details: tuple[TokenDetail, ...] = ()
    """One for each of `token_ids`, where the call asks for them."""


@dataclass(frozen=True, slots=True)
class Finish:
    """How a generation ended."""

    text: str
    """The whole answer."""
    reason: Literal["stop", "length", "cancelled"]
    """`stop`: end token, stop string or finished constraint; `length`: the budget ran out."""
    token_ids: tuple[int, ...]
    signals: Signals
    usage: Usage


class Loaded(Protocol):
    """A model that is in memory."""

    @property
    def id(self) -> ModelId: ...

    @property
    def artifacts(self) -> tuple[Digest, ...]: ...

    @property
    def memory_bytes(self) -> int:
        """Estimate of what it holds, all processes together."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Seated(Protocol):
    """A model that serves so many requests at once; more wait for a place."""

    @property
    def places(self) -> int: ...


@runtime_checkable
class Loseable(Protocol):
    """A model that can end, and whose files may be gone when it is started again."""

    @property
    def lost(self) -> bool:
        """True where it has ended and can't be started again: it has to be opened anew."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A model that holds state of earlier requests."""

    async def forget(self, conversation: Path | None = None) -> None:
        """Let go of all that was left behind by requests that have ended.

        Of one conversation: write nothing more of it. When this returns, no write of before is still to come.
        """
        ...


class TextModel(Loaded, Protocol):
    """A language model."""

    @property
    def context_tokens(self) -> int:
        """Most tokens that prompt and answer of one call may have together."""
        ...

    def generate(self, call: GenerateCall) -> AsyncGenerator[Delta | Finish, None]:
        """Yield deltas, then exactly one Finish. Closing the iterator frees the sequence at once.

        Raises ContextOverflow (before any work), ConstraintError, TemplateError, WorkerDied,
        DeadlineExceeded.
        """
        ...

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
        """Return the probability of each label as the next text, normalised over the labels (sum 1).

        Walks the labels' token trie, so that labels of several tokens compare fairly. The rest as in `GenerateCall`.
        Raises ContextOverflow, TemplateError, WorkerDied, DeadlineExceeded.
        """
        ...

    async def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a plain text (no template, no special tokens)."""
        ...


class Encoder(Loaded, Protocol):
    """A sentence embedder."""

    @property
    def dimensions(self) -> int: ...

    async def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (len(texts), dimensions)."""
        ...


@dataclass(frozen=True, slots=True)
class TokenStates:
    """What an encoder makes of each token of a text."""

    offsets: tuple[tuple[int, int], ...]
    """Start and end character of each token in the text."""
    states: NDArray[np.float32]
    """One row a token, as the model gives it (not scaled to unit length)."""


@runtime_checkable
class TokenEncoder(Encoder, Protocol):
    """An encoder that also tells what it makes of each token."""

    async def states(self, text: str) -> TokenStates:
        """Return the state of each token of a text, special tokens left out."""
        ...


class Reranker(Loaded, Protocol):
    """A cross-encoder that scores how well a passage answers a query."""

    async def scores(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Return one score per passage, shape (len(passages),), 0..1, higher is better."""
        ...


class Classifier(Loaded, Protocol):
    """A model that labels texts."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    async def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the probability of each label, shape (len(texts), len(labels)), each row of sum 1."""
        ...


@dataclass(frozen=True, slots=True)
class Tag:
    """A labelled part of a text."""

    label: str
    start: int
    """First character."""
    end: int
    """Behind the last one."""
    score: float
    """Probability, 0..1."""


class Tagger(Loaded, Protocol):
    """A model that labels the words of a text."""

    async def tags(self, text: str) -> list[Tag]:
        """Return the labelled parts in the order of the text; what belongs to nothing is left out."""
        ...


async def whole(stream: AsyncIterator[Delta | Finish]) -> Finish:
    """Run a generation to its end and return how it finished."""
    finish: Finish | None = None
    async for item in stream:
        if isinstance(item, Finish):
            finish = item
    if finish is None:
        raise AssertionError("a generation ended without a Finish")
    return finish
