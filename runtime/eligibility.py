"""Who may and can do a step: rules that say who is out, and why. Pure; nothing here compares cost."""

from __future__ import annotations

from collections.abc import Callable

from runtime.seats import Need, Seat, Skill

LOW_BATTERY = 0.2
"""Part of a full battery below which a device that is not plugged in gets no work of others."""
HOT_C = 85.0
"""Degrees at which small computers slow themselves down."""

Rule = Callable[[Seat, Skill, Need], str]
"""Returns why a seat is out; nothing when it is not."""


def refusal(seat: Seat, skill: Skill | None, need: Need) -> str:
    """Return why a device is out, by the first rule that says so; empty when it may and can."""
    if skill is None:
        return f"it has no model for {need.capability}" if need.models else f"it does not offer {need.capability}"
    rules = RULES if seat.is_here else (*RULES, *RULES_FOR_OTHERS)
    return next((why for rule in rules if (why := rule(seat, skill, need))), "")


def _tier(seat: Seat, skill: Skill, need: Need) -> str:
    if seat.tier <= need.ceiling:
        return ""
    return f"this may not go further than the {need.ceiling.name.lower()}"


def _label(seat: Seat, skill: Skill, need: Need) -> str:
    if need.label <= seat.label:
        return ""
    return f"this is {need.label.name.lower()}, and it may see {seat.label.name.lower()} things at most"


def _capability(seat: Seat, skill: Skill, need: Need) -> str:
    parts = need.capability.split(".")
    names = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    if seat.capabilities is None or names & seat.capabilities:
        return ""
    return f"it was not granted {need.capability}"


def _digest(seat: Seat, skill: Skill, need: Need) -> str:
    if not need.artifacts or skill.artifacts == need.artifacts:
        return ""
    return "the answer has begun with another model than it has"


def _context(seat: Seat, skill: Skill, need: Need) -> str:
    if not need.whole or skill.context_tokens is None or need.prompt_tokens <= skill.context_tokens:
        return ""
    return f"about {need.prompt_tokens} tokens, and its model reads {skill.context_tokens} at once"


def _health(seat: Seat, skill: Skill, need: Need) -> str:
    return "it has not answered for a while" if seat.suspect else ""


def _draining(seat: Seat, skill: Skill, need: Need) -> str:
    return "it is about to sleep or stop" if seat.draining else ""


def _resting(seat: Seat, skill: Skill, need: Need) -> str:
    return seat.resting


def _battery(seat: Seat, skill: Skill, need: Need) -> str:
    if seat.battery is None or seat.plugged or seat.battery >= LOW_BATTERY:
        return ""
    return f"its battery is at {seat.battery:.0%} and it is not plugged in"


def _heat(seat: Seat, skill: Skill, need: Need) -> str:
    if seat.temperature_c is None or seat.temperature_c < HOT_C:
        return ""
    return f"it is too hot ({seat.temperature_c:.0f} °C)"


def _memory(seat: Seat, skill: Skill, need: Need) -> str:
    if skill.load_s is None or skill.needs_bytes is None or seat.free_bytes is None:
        return ""
    if skill.needs_bytes <= seat.free_bytes:
        return ""
    return f"{skill.model} needs {skill.needs_bytes // 10**6} MB there and {seat.free_bytes // 10**6} MB are free"


RULES: tuple[Rule, ...] = (_tier, _label, _capability, _digest)
"""What no patience cures."""
RULES_FOR_OTHERS: tuple[Rule, ...] = (_context, _health, _draining, _resting, _battery, _heat, _memory)
"""How another device is just now. On this one the owner sees that, and the request is the owner's own."""
