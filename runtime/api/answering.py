"""Where an answer comes from: one model by name, or the node's own judgement. Both stream alike.

A lost worker is not the client's concern: the same draws continue behind what was sent already.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from models.backend import Finish, GenerateCall, TextModel, TokenDetail
from models.errors import ContextOverflow, WorkerDied
from models.lengths import tokens_of
from models.specialist import Pool
from models.types import Chunk, Json, RefusalCode, Usage
from runtime.api.openai import ChatBody, as_json_text, ask_of, call_of
from runtime.asking import Answer, Restarted
from runtime.node import Node

DEFAULT_TOKENS = 512
"""Room for an answer whose length the client leaves open. All of the context would keep others waiting."""
TEMPLATE_TOKENS = 8
"""What a chat template adds around one message; with a margin, because too long a prompt is refused."""
TEMPLATE_START_TOKENS = 64
"""What a chat template puts before them all: some add a system message of their own."""
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the answer."""

    text: str
    details: tuple[TokenDetail, ...] | None = None
    """What the model thought of each token; None where that is not asked for, or not known."""
    tokens: int = 0
    """How many it has; several where they came at once."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the answer ended."""

    text: str
    """The whole answer, without what was withdrawn."""
    reason: Literal["stop", "length"]
    usage: Usage
    fingerprint: str = ""
    """Stands for the weights that wrote it."""
    refusal: str | None = None
    """Why there is no answer."""
    more: Mapping[str, Json] = field(default_factory=dict)
    """Covey's own figures beside the documented ones."""
    details: tuple[TokenDetail, ...] | None = None
    """Those of all pieces."""


Reply = AsyncGenerator[Said | Ended, None]


async def from_model(pool: Pool, body: ChatBody) -> Reply:
    """Let the model of that name answer. Raises ModelsError."""
    async with pool.text((body.model,)) as model:
        call = await _fitted(model, body)
        had: list[int] = []
        details: list[TokenDetail] = []
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with aclosing(model.generate(replace(call, resume_tokens=tuple(had)))) as items:
                    resumed = len(had)
                    async for item in items:
                        if isinstance(item, Finish):
                            ended = _finished(model, item, resumed)
                            yield replace(ended, details=tuple(details)) if call.details else ended
                            return
                        had.extend(item.token_ids)
                        details.extend(item.details)
                        yield Said(item.text, item.details if call.details else None, len(item.token_ids))
            except WorkerDied:
                if attempt == ATTEMPTS:
                    raise


async def _fitted(model: TextModel, body: ChatBody) -> GenerateCall:
    """Return the call, its budget cut to what the context leaves; a prompt that is too long the model refuses."""
    if len(body.messages) > model.context_tokens:
        raise ContextOverflow(
            f"There are {len(body.messages)} messages, and the model reads {model.context_tokens} tokens at once. "
            "Leave out the oldest."
        )
    wanted = body.wanted_tokens or DEFAULT_TOKENS
    frame = TEMPLATE_START_TOKENS + TEMPLATE_TOKENS * len(body.messages)
    texts = [message.text() for message in body.messages]
    prompt = frame + sum(len(text.encode()) for text in texts)  # a token has at least one byte
    if prompt + wanted > model.context_tokens:
        prompt = frame + await tokens_of(model, [text for text in texts if text])
    left = max(model.context_tokens - prompt, 1)
    return call_of(body, max_tokens=min(wanted, left), seed=secrets.randbits(31))


def _finished(model: TextModel, finish: Finish, resumed: int) -> Ended:
    usage = replace(finish.usage, completion_tokens=finish.usage.completion_tokens + resumed)
    reason: Literal["stop", "length"] = "length" if finish.reason == "length" else "stop"
    return Ended(finish.text, reason, usage, _fingerprint(*model.artifacts))


async def from_node(node: Node, body: ChatBody) -> Reply:
    """Let the node decide who answers. Raises CoveyError, ModelsError."""
    ask = ask_of(body, node.settings.label)
    as_object = ask.schema is not None
    said = ""
    async with aclosing(node.stream(ask)) as items:
        async for item in items:
            match item:
                case Chunk() if not as_object:
                    said += item.text
                    yield Said(item.text, tokens=len(item.token_ids))
                case Restarted() if said:
                    said = ""
                    yield Said(f"\n\n[Withdrawn, it begins again: {item.reason}]\n\n")
                case Answer():
                    ended = _answered(item, as_object=as_object)
                    if rest := _unsaid(ended, said):
                        yield Said(rest)
                    yield ended


def _answered(answer: Answer, *, as_object: bool) -> Ended:
    result, refusal = answer.result, answer.result.refusal
    more: dict[str, Json] = {
        "covey": {
            "status": answer.status.value,
            "abstained": result.abstained,
            "confidence": round(result.confidence, 4),
            "calibrated": result.calibrated,
            "unsure": answer.is_guess,
            "specialists": list(answer.specialists),
            "model": result.model or None,
            "tier": answer.tier.name.lower(),
            "trace_id": answer.task_id,
        }
    }
    fingerprint = _fingerprint(*result.artifacts)
    if refusal is None:
        text = as_json_text(result.output) if as_object else result.text
        return Ended(text, "stop", result.usage, fingerprint, more=more)
    if refusal.code is RefusalCode.TRUNCATED and not as_object:
        return Ended(refusal.found, "length", result.usage, fingerprint, more=more)
    found = f"\nWhat I found: {refusal.found}" if refusal.found else ""
    return Ended(
        "" if as_object else f"Not sure: {refusal.reason}{found}",
        "length" if refusal.code is RefusalCode.TRUNCATED else "stop",
        result.usage,
        fingerprint,
        refusal=refusal.reason,
        more=more,
    )


def _unsaid(ended: Ended, said: str) -> str:
    """Return what the client has not seen yet of the answer."""
    if not said:
        return ended.text
    return f"\n\n{ended.text}" if ended.refusal else ""


def _fingerprint(*digests: str) -> str:
    return f"fp_{digests[0][:10]}" if digests else ""
