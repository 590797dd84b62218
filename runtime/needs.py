"""What a step will ask of a device, estimated before it runs: how much is read and written, by which models."""

from __future__ import annotations

import hashlib
import json

from models.specialist import SpecialistSpec
from models.types import Digest
from runtime.plan import Given, Input, Step
from runtime.seats import Need

CHARS_PER_TOKEN = 4
"""Of European text; enough to compare devices, which read the same text."""
TEMPLATE_TOKENS = 32
"""What a chat template adds."""
WRITTEN_SHARE = 0.5
"""Part of its token budget that an answer takes; most end early, and all devices are compared by the same guess."""
FROM_STEP_TOKENS = 64
"""An input that another step is yet to produce."""
WHOLE = frozenset({"generate", "code", "call"})
"""Kinds of specialists that can't read a long text in parts."""


def need_of(step: Step, spec: SpecialistSpec, artifacts: tuple[Digest, ...] = ()) -> Need:
    """Return what a step asks of a device.

    `spec` is the specialist that serves it. `artifacts`: the only weights that will do; empty: any.
    """
    if not spec.models:
        return Need(step.capability, step.label, step.ceiling)
    own = prompt_of(spec)
    prefix_tokens = len(own) // CHARS_PER_TOKEN
    read = sum(_tokens(value) for value in step.inputs.values())
    most = spec.max_tokens if step.budget.tokens is None else min(step.budget.tokens, spec.max_tokens)
    return Need(
        step.capability,
        step.label,
        step.ceiling,
        prompt_tokens=prefix_tokens + TEMPLATE_TOKENS + read,
        decode_tokens=max(1, int(most * WRITTEN_SHARE)),
        models=spec.models,
        whole=spec.runner in WHOLE,
        artifacts=artifacts,
        prefix=prefix_of(spec),
        prefix_tokens=prefix_tokens,
    )


def prompt_of(spec: SpecialistSpec) -> str:
    """Return the text that a specialist puts before every request."""
    return "\n".join([spec.system, *(f"{example.input}\n{example.output}" for example in spec.examples)])


def prefix_of(spec: SpecialistSpec) -> str:
    """Return the digest by which devices tell each other that a specialist's own prompt is warm."""
    return hashlib.sha256(prompt_of(spec).encode()).hexdigest() if spec.models else ""


def _tokens(source: Input) -> int:
    if not isinstance(source, Given):
        return FROM_STEP_TOKENS
    value = source.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return len(text) // CHARS_PER_TOKEN + 1
