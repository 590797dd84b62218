"""How a language model is loaded: how much it reads, how many requests at once, and how much state that takes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from models import gguf
from models.engine import memory
from models.manifest import Manifest
from models.tuned import Tuned

BESIDE_TOKENS = 1024
"""Tokens of state beyond one request's context: some short answers go on beside a request that fills it."""
SHOW_S = 0.1
"""Between two times that pieces are shown, those of all answers together: each time wakes the node on a core that the
model needs. Eight answers at once, each with a time of its own every 0.05 s, were 5 % slower."""
REPRODUCIBLE_SLOTS = 4
"""Requests at once, and as many labels, in reproducible mode: each has a whole context's state of its own."""


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """How a model is loaded."""

    context_tokens: int = 2048
    """Most tokens of one request, prompt and answer together."""
    kv_tokens: int | None = None
    """Tokens of state, all requests together; None means one request's context."""
    slots: int = 8
    """Requests that run at once; more wait."""
    scratch: int = 8
    """Sequences for weighing labels."""
    threads: int = max(1, (os.cpu_count() or 2))
    rows: int = 512
    """Most tokens computed in one step."""
    reproducible: bool = False
    """Make answers independent of what else runs in the batch, at some cost in memory and speed."""
    show_s: float = SHOW_S
    """Seconds between two times that pieces of answers are shown; 0 shows every token at once."""

    signals: bool = True
    """Gather what each token's logits say about it; off only to measure what that costs."""
    lookup: bool = True
    """Propose tokens of the prompt where a call says that its answer repeats them."""
    prefix_folder: Path | None = None
    """Where the state of specialists' own prompts is kept; None keeps none."""

    @property
    def state_tokens(self) -> int:
        """Tokens of state to allocate."""
        if self.reproducible:
            return self.context_tokens * (self.slots + self.scratch)
        return self.kv_tokens or self.context_tokens

    @property
    def shelf_tokens(self) -> int:
        """Tokens of state that ended requests may leave behind, kept beside the context."""
        return 0 if self.reproducible else self.context_tokens


@dataclass(frozen=True, slots=True)
class OwnersChoice:
    """What the owner's settings say about all language models; None leaves it to the model."""

    reproducible: bool = False
    """Answers independent of what else runs, at some cost in memory and prompt speed."""
    context_tokens: int | None = None
    """Most tokens of one request; never more than the model was made for."""
    state_tokens: int | None = None
    """Tokens of state, all requests together. In reproducible mode each has a whole context of its own instead."""


DEFAULT_CHOICE = OwnersChoice()


def chosen(
    manifest: Manifest, choice: OwnersChoice = DEFAULT_CHOICE, *, threads: int = 1, tuned: Tuned | None = None
) -> LlamaSettings:
    """Return how a node loads a model. `tuned` is used for its threads and rows only."""
    context = min(choice.context_tokens or manifest.context_tokens, manifest.max_context_tokens or 2**31)
    if choice.state_tokens is not None and not choice.reproducible:
        context = min(context, choice.state_tokens)
    settings = LlamaSettings(context, kv_tokens=choice.state_tokens or context + BESIDE_TOKENS, threads=threads)
    if tuned is not None:  # never more threads than the owner lets the node have
        settings = replace(settings, threads=min(threads, tuned.threads), rows=tuned.rows)
    if choice.reproducible:
        slots = REPRODUCIBLE_SLOTS
        settings = replace(settings, reproducible=True, slots=slots, scratch=slots, kv_tokens=None)
    return settings


def layout_for(choice: OwnersChoice, tuned: Tuned | None) -> Tuned | None:
    """Return what was tuned, where its weights are to be used: in reproducible mode they stay as shipped.

    With some layouts rounding depends on how many rows a step has (models/engine/README.md).
    """
    return None if choice.reproducible else tuned


def footprint(manifest: Manifest, weights: Path, settings: LlamaSettings) -> int:
    """Return the bytes that a model takes when it is loaded so: reckoned, or measured where that was more.

    Raises BadArtifact, StoreError.
    """
    tokens = settings.state_tokens + settings.shelf_tokens
    token_bytes = gguf.state_token_bytes(weights)
    reckoned = memory.Footprint(weights.stat().st_size, token_bytes * tokens).total
    if manifest.memory_bytes is None:
        return reckoned
    return max(reckoned, manifest.memory_bytes + token_bytes * (tokens - manifest.context_tokens))
