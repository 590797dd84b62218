"""Between the words all folders share (`models.types`) and the messages of the wire. Pure, one function a direction.

What comes from another device is untrusted input, whoever owns that device: it is checked for type and
bound by the messages, and its trust, authority and ceiling are set here, never taken over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from models.types import (
    Authority,
    Chunk,
    Digest,
    Evidence,
    Label,
    Refusal,
    RefusalCode,
    Request,
    Result,
    Signals,
    Tier,
    Trust,
    Usage,
)
from peers.chain_entry import Head
from peers.codec import refused
from peers.errors import LocalProtocolError
from peers.link_messages import LedgerHead, Revocation
from peers.messages import (
    MAX_EVIDENCE,
    MAX_NOTES,
    MAX_SCORES,
    MAX_SENTENCE,
    Delta,
    Done,
    Subtask,
    WireEvidence,
    WireRefusal,
    WireSignals,
    WireUsage,
)
from peers.node_id import NodeId
from peers.tombstones import Tombstone


def subtask_of(request: Request, subtask_id: str, sender: NodeId, *, relay: str = "") -> Subtask:
    """Return a request as it is sent; `sender` becomes the last hop. Raises LocalProtocolError.

    `relay`: which of the receiver's hubs is to do it; empty: the receiver itself.
    """
    if request.label >= Label.SECRET:
        raise LocalProtocolError("A secret request has no form on the wire. Ask without the secret part.")
    given: dict[str, Any] = {
        "id": subtask_id,
        "capability": request.capability,
        "input": dict(request.input),
        "label": request.label.name.lower(),
        "ceiling": request.ceiling.name.lower(),
        "hops": [*request.hops, sender],
        "budget_tokens": request.budget_tokens,
        "deadline_s": None if request.deadline_s is None else float(request.deadline_s),
        "seed": request.seed,
        "resume_tokens": list(request.resume_tokens),
        "resume_artifacts": [str(digest) for digest in request.resume_artifacts],
        "idempotency_key": request.idempotency_key,
        "traceparent": request.traceparent,
        "relay": relay,
    }
    with _ours("request"):
        return Subtask.model_validate(given)


def request_of(subtask: Subtask) -> Request:
    """Return a request that another device sent: untrusted, without any effect, and not to be passed on."""
    return Request(
        capability=subtask.capability,
        input=subtask.input,
        label=Label[subtask.label.upper()],
        trust=Trust.UNTRUSTED,
        authority=Authority(capabilities=frozenset({subtask.capability})),
        ceiling=min(Tier[subtask.ceiling.upper()], Tier.DEVICE),
        hops=tuple(subtask.hops),
        budget_tokens=subtask.budget_tokens,
        deadline_s=subtask.deadline_s,
        seed=subtask.seed,
        resume_tokens=tuple(subtask.resume_tokens),
        resume_artifacts=tuple(Digest(digest) for digest in subtask.resume_artifacts),
        idempotency_key=subtask.idempotency_key,
        traceparent=subtask.traceparent,
    )


def delta_of(chunk: Chunk) -> Delta:
    return Delta(index=chunk.index, text=chunk.text, tokens=list(chunk.token_ids))


def chunk_of(delta: Delta) -> Chunk:
    return Chunk(delta.index, delta.text, tuple(delta.tokens))


def done_of(result: Result) -> Done:
    """Return a result as it is sent; lists that are longer than the wire allows lose their end."""
    signals, usage = result.signals, result.usage
    scores = list(signals.scores.items())[:MAX_SCORES]
    with _ours("answer"):
        return Done(
            output=result.output,
            refusal=None if result.refusal is None else _wire_refusal(result.refusal),
            text=result.text,
            confidence=float(result.confidence),
            calibrated=result.calibrated,
            signals=WireSignals(
                mean_logprob=_finite(signals.mean_logprob),
                min_margin=_finite(signals.min_margin),
                mean_entropy=_finite(signals.mean_entropy),
                feasible_mass=_finite(signals.feasible_mass),
                tokens=signals.tokens,
                scores={name: float(score) for name, score in scores if math.isfinite(score)},
            ),
            usage=WireUsage(
                prompt_tokens=usage.prompt_tokens,
                cached_tokens=usage.cached_tokens,
                completion_tokens=usage.completion_tokens,
                seconds=float(usage.seconds),
                model_seconds=float(usage.model_seconds),
                energy_j=_finite(usage.energy_j),
            ),
            evidence=[
                WireEvidence(source=one.source, start=one.start, end=one.end, quote=one.quote)
                for one in result.evidence[:MAX_EVIDENCE]
            ],
            specialist=result.specialist,
            model=result.model,
            artifacts=[str(digest) for digest in result.artifacts],
            notes=[note[:MAX_SENTENCE] for note in result.notes[:MAX_NOTES]],
        )


def result_of(done: Done) -> Result:
    """Return a result that another device sent. Raises RemoteProtocolError."""
    signals, usage = done.signals, done.usage
    if done.refusal is not None and done.output is not None:
        raise refused("it has an output and a refusal")
    return Result(
        output=done.output,
        refusal=None if done.refusal is None else _refusal_of(done.refusal),
        text=done.text,
        confidence=done.confidence,
        calibrated=done.calibrated,
        signals=Signals(
            signals.mean_logprob,
            signals.min_margin,
            signals.mean_entropy,
            signals.feasible_mass,
            signals.tokens,
            dict(signals.scores),
        ),
        usage=Usage(
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            usage.seconds,
            usage.model_seconds,
            usage.energy_j,
        ),
        evidence=tuple(Evidence(one.source, one.start, one.end, one.quote) for one in done.evidence),
        specialist=done.specialist,
        model=done.model,
        artifacts=tuple(Digest(digest) for digest in done.artifacts),
        notes=tuple(done.notes),
    )


def revocation_of(stone: Tombstone) -> Revocation:
    return Revocation(
        issuer=stone.issuer,
        subject=stone.subject,
        counter=stone.counter,
        time_ns=stone.time_ns,
        certificate=stone.certificate,
        signature=stone.signature,
    )


def tombstone_of(said: Revocation) -> Tombstone:
    """Return a revocation that another device passed on; whether it is genuine is yet to be checked."""
    issuer, subject = NodeId(said.issuer), NodeId(said.subject)
    return Tombstone(issuer, subject, said.counter, said.time_ns, said.certificate, said.signature)


def ledger_head_of(head: Head) -> LedgerHead:
    return LedgerHead(number=head.number, hash=head.hash, signature=head.signature)


def head_of(said: LedgerHead) -> Head:
    return Head(said.number, said.hash, said.signature)


def _refusal_of(said: WireRefusal) -> Refusal:
    known = {code.value: code for code in RefusalCode}
    return Refusal(known.get(said.code, RefusalCode.NOT_CAPABLE), said.reason, said.found)


def _wire_refusal(refusal: Refusal) -> WireRefusal:
    return WireRefusal(code=refusal.code.value, reason=refusal.reason[:MAX_SENTENCE], found=refusal.found)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


@contextmanager
def _ours(what: str) -> Iterator[None]:
    """Turn a message of ours that does not fit its own rules into an error that blames this side."""
    try:
        yield
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])
        raise LocalProtocolError(
            f"This {what} can't be sent to another device: its {field} does not fit. Ask with `--tier device`."
        ) from error
