"""How answers and plans look: for people, and as the one object of `--json`. Returns texts, prints none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from models.types import Evidence, Json, Label, Result, Tier, Usage
from runtime.asking import THIS_DEVICE, Answer
from runtime.claims import Claim
from runtime.plan import FromStep, Step, draw
from runtime.prepare import Prepared
from runtime.router import THRESHOLDS, Routing, confident
from runtime.scheduler import Candidate

TRACE_DIGITS = 8
"""Digits of a trace id that are shown: enough to find it again."""
SHOWN_CHARS = 72
"""Of an input's value in a plan; the rest is cut."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """Return a text without control characters: a terminal would obey them, whoever wrote them."""
    return _CONTROL.sub("", text)


def spoken(result: Result, shown: str = "") -> str:
    """Return the answer as a person reads it: the text, or why there is none and what was found.

    `shown` is what was streamed already: it is not said twice.
    """
    if result.refusal is None:
        return harmless(result.text)
    found = harmless(result.refusal.found).strip()
    said = f"Not sure: {harmless(result.refusal.reason)}"
    return said if not found or found in shown else f"{said}\nWhat I found: {found}"


def byline(answer: Answer) -> str:
    """Return one line: what produced the answer, how sure it is, how long it took, where its trace is."""
    result = answer.result
    parts = [*answer.specialists, result.model] if result.model else list(answer.specialists)
    if answer.tier >= Tier.HOME:
        sent = f"{answer.bytes_out} bytes sent"
        elsewhere = answer.node != THIS_DEVICE
        parts.append(f"on {place_name(answer.node, answer.tier)}, {sent}" if elsewhere else sent)
    if result.abstained:
        parts.append("not sure")
    elif not result.model and result.confidence == 1:
        parts.append("computed, not guessed")
    else:
        sure = f"confidence {result.confidence:.2f}" + ("" if result.calibrated else " (uncalibrated)")
        parts.append(f"unsure, check it: {sure}" if answer.is_guess else sure)
    parts.extend((f"{answer.seconds:.2f} s", f"trace {answer.task_id[:TRACE_DIGITS]}"))
    return " · ".join(part for part in parts if part)


def answer_object(answer: Answer) -> dict[str, Json]:
    """Return the object that `covey ask --json` prints."""
    result, refusal = answer.result, answer.result.refusal
    return {
        "answer": None if refusal else result.text,
        "output": result.output,
        "status": answer.status.value,
        "confidence": round(result.confidence, 4),
        "calibrated": result.calibrated,
        "unsure": answer.is_guess,
        "abstained": result.abstained,
        "reason": refusal.reason if refusal else None,
        "refusal": refusal.code.value if refusal else None,
        "found": refusal.found if refusal and refusal.found else None,
        "capability": answer.routing.capability,
        "stage": answer.routing.claim.stage if answer.routing.claim else None,
        "tier": answer.tier.name.lower(),
        "node": answer.node,
        "specialists": list(answer.specialists),
        "model": result.model or None,
        "evidence": [_evidence(quote) for quote in result.evidence],
        "checks": [
            {"check": verdict.check, "verdict": verdict.outcome, "reason": verdict.reason}
            for verdict in answer.verdicts
        ],
        "usage": _usage(result.usage),
        "seconds": round(answer.seconds, 4),
        "bytes_out": answer.bytes_out,
        "notes": list(answer.notes),
        "trace_id": answer.task_id,
    }


def _evidence(quote: Evidence) -> dict[str, Json]:
    return {"source": quote.source, "start": quote.start, "end": quote.end, "quote": quote.quote}


def _usage(usage: Usage) -> dict[str, Json]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "seconds": round(usage.seconds, 4),
        "model_seconds": round(usage.model_seconds, 4),
        "energy_j": usage.energy_j,
    }


def stage_lines(routing: Routing) -> Iterator[str]:
    """Yield what every stage said, and which one decided."""
    for claim in routing.claims:
        mark = "→" if claim is routing.claim else " "
        what = claim.capability or ("nothing here can do this" if confident(claim) else "no claim")
        yield f"  {mark} {claim.stage:<8} {claim.score:.2f} of {THRESHOLDS[claim.stage]:.2f}  {what}: {claim.reason}"
        if claim.near:
            yield f"      looks like: {'; '.join(claim.near)}"


def plan_text(routing: Routing, prepared: Prepared | None) -> str:
    """Return a plan for people: the stages, the steps, where they would run, what the compiler says."""
    lines = ["Stages (first confident claim decides):", *stage_lines(routing)]
    if prepared is None:
        return "\n".join([*lines, "", "Nothing would run: no stage is sure who should do this."])
    plan = prepared.plan
    lines += ["", f"Plan: {draw(plan.term)}, answer from {plan.output}"]
    for step in plan.steps:
        lines += _step_lines(step, prepared)
    if prepared.problems:
        return "\n".join([*lines, "", "Turned down by the plan compiler:", *(f"  - {p}" for p in prepared.problems)])
    leaves = any(where.tier > Tier.DEVICE for where in prepared.placements)
    where_to = "what stands under a paired device would leave this one" if leaves else "nothing would leave this device"
    lines += ["", f"The plan compiler found nothing wrong. Nothing was run, and {where_to}."]
    return "\n".join(lines)


def _step_lines(step: Step, prepared: Prepared) -> Iterator[str]:
    where = next((place for place in prepared.placements if place.step == step.id), None)
    models = ", ".join(prepared.entry.spec.models) or "none, it is computed"
    on = place_name(where.node, where.tier) if where else "no device"
    yield f"  {step.id}  {step.capability} by {prepared.entry.spec.name} on {on}"
    if where:
        yield f"      why there: {where.reason}"
        for other in where.candidates[1:]:
            yield f"      not {other.node}: {other.reason}"
    yield f"      models: {models}"
    yield f"      label {_name(step.label)}, trust {step.trust.value}, not further than {_name(step.ceiling)}"
    yield f"      checks: {', '.join(step.checks) or 'none'}; least confidence {step.floor:.2f}"
    for name, source in step.inputs.items():
        value = f"from {source.step}" if isinstance(source, FromStep) else _short(source.value)
        yield f"      {name}: {value}"


def place_name(node: str, tier: Tier) -> str:
    """Return what a device is called where it should be clear whose it is."""
    return f"{node} (paired device)" if tier is Tier.HOME else node


def plan_object(routing: Routing, prepared: Prepared | None) -> dict[str, Json]:
    """Return the object that `covey plan --json` prints."""
    made: dict[str, Json] = {
        "capability": routing.capability,
        "reason": routing.reason,
        "stages": [_claim(claim, claim is routing.claim) for claim in routing.claims],
        "plan": None,
        "problems": [],
        "bytes_out": 0,
    }
    if prepared is not None:
        plan = prepared.plan
        made["plan"] = {
            "term": draw(plan.term),
            "output": plan.output,
            "steps": [_step(step, prepared) for step in plan.steps],
        }
        made["problems"] = list(prepared.problems)
    return made


def _claim(claim: Claim, decided: bool) -> dict[str, Json]:
    return {
        "stage": claim.stage,
        "capability": claim.capability,
        "score": round(claim.score, 4),
        "threshold": THRESHOLDS[claim.stage],
        "decided": decided,
        "reason": claim.reason,
        "near": list(claim.near),
    }


def _step(step: Step, prepared: Prepared) -> dict[str, Json]:
    where = next((place for place in prepared.placements if place.step == step.id), None)
    return {
        "id": step.id,
        "capability": step.capability,
        "specialist": prepared.entry.spec.name,
        "models": list(prepared.entry.spec.models),
        "node": where.node if where else None,
        "tier": _name(where.tier) if where else None,
        "placement": where.reason if where else None,
        "candidates": [_candidate(one) for one in where.candidates] if where else [],
        "label": _name(step.label),
        "trust": step.trust.value,
        "ceiling": _name(step.ceiling),
        "floor": step.floor,
        "checks": list(step.checks),
        "budget_tokens": step.budget.tokens,
        "deadline_s": step.budget.seconds,
        "inputs": {
            name: {"from": source.step} if isinstance(source, FromStep) else {"value": source.value}
            for name, source in step.inputs.items()
        },
    }


def _candidate(one: Candidate) -> dict[str, Json]:
    return {
        "node": one.node,
        "seconds": None if one.seconds is None else round(one.seconds, 3),
        "reason": one.reason,
    }


def _short(value: Json) -> str:
    if isinstance(value, list) and value and all(isinstance(item, dict) and "text" in item for item in value):
        names: Sequence[str] = [str(item.get("name")) for item in value if isinstance(item, dict)]
        return f"{len(names)} document(s): {', '.join(names)}"
    text = harmless(value if isinstance(value, str) else repr(value)).replace("\n", " ")
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 1]}…"


def _name(value: Label | Tier) -> str:
    return value.name.lower()
