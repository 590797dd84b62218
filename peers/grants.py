"""What a paired device may do here and see of ours: a value, and one pure question about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from models.types import Label
from peers.policy import Place, covers

Whose = Literal["own", "guest"]


class What(Enum):
    """What a device may ask for."""

    RUN = "run"
    """Work for one specialist."""
    COPY_MODEL = "copy_model"
    RELAY = "relay"
    """Work that this device gives to its hub."""
    ADMIN = "admin"
    """Acts that bind this device, such as revoking another one."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of this device another one may take."""

    tasks_per_minute: int = 60
    at_once: int = 2
    """Tasks that run at the same time."""
    tokens_per_task: int = 4096


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A part of each day in which this device does no work for that one."""

    start: int
    """Minutes since midnight, by this device's clock."""
    end: int
    """The same; a smaller number than the start means the next morning."""

    def holds(self, minute: int) -> bool:
        """Return whether a minute of the day is quiet."""
        if self.start <= self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end


@dataclass(frozen=True, slots=True)
class Grant:
    """What one paired device may do. Made when it is paired, changed by the owner only."""

    whose: Whose
    """The owner's own device, or a guest's."""
    label: Label
    """The highest label that it may see or send."""
    capabilities: frozenset[str] | None = None
    """Work that it may ask for and be given; None means any. `extract` includes `extract.event`."""
    copy_models: bool = False
    relay: bool = False
    admin: bool = False
    limits: Limits = Limits()
    quiet: QuietHours | None = None
    expires_ns: int | None = None
    """Nanoseconds since 1970; None means never."""
    tasks: int | None = None
    """Tasks that it may have run in all; None means any number."""

    @property
    def place(self) -> Place:
        """A guest takes what it is given out of the home."""
        return Place.HOME if self.whose == "own" else Place.AWAY


@dataclass(frozen=True, slots=True)
class Ask:
    """What a device asks for."""

    what: What
    capability: str = ""
    label: Label = Label.PUBLIC
    tokens: int = 0
    """The most that it wants to have generated; 0 where that does not apply."""


@dataclass(frozen=True, slots=True)
class Now:
    """What the answer depends on besides the grant."""

    time_ns: int
    """Nanoseconds since 1970."""
    minute: int
    """Minutes since midnight, local time."""
    tasks_done: int = 0
    """Tasks that the device has had run here since it was paired."""
    running: int = 0
    """Its tasks that run now."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. A refusal names its rule (for programs) and says why (for the owner of the asking device)."""

    allowed: bool
    rule: str = ""
    reason: str = ""


Rule = Callable[[Grant, Ask, Now], Verdict | None]


def own_device() -> Grant:
    """Return what the owner's other device may do by default."""
    return Grant("own", Label.PERSONAL, copy_models=True)


def guest_device(expires_ns: int | None) -> Grant:
    """Return what a guest's device may do by default: public things, a little at a time."""
    few = Limits(tasks_per_minute=10, at_once=1, tokens_per_task=1024)
    return Grant("guest", Label.PUBLIC, limits=few, expires_ns=expires_ns)


def allows(grant: Grant, ask: Ask, now: Now) -> Verdict:
    """Return whether the device may have what it asks for; the first rule that refuses wins."""
    refusals = (rule(grant, ask, now) for rule in RULES)
    return next((refusal for refusal in refusals if refusal is not None), Verdict(True))


def _expired(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    if grant.expires_ns is None or now.time_ns < grant.expires_ns:
        return None
    return Verdict(False, "expired", "The time for which this device was paired is over. Pair it again.")


def _power(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    held = {What.RUN: True, What.COPY_MODEL: grant.copy_models, What.RELAY: grant.relay, What.ADMIN: grant.admin}
    if held[ask.what]:
        return None
    return Verdict(False, ask.what.value, f"This device was not granted {ask.what.value!r}. Its owner can change that.")


def _label(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    if ask.label <= min(grant.label, Label.SENSITIVE):
        return None
    return Verdict(
        False,
        "label",
        f"This is {ask.label.name.lower()}, and only {grant.label.name.lower()} things were granted. "
        "Its owner can change that.",
    )


def _capability(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    if ask.what is not What.RUN or covers(grant.capabilities, ask.capability):
        return None
    return Verdict(False, "capability", f"{ask.capability!r} was not granted. Its owner can change that.")


def _quiet(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    if grant.quiet is None or not grant.quiet.holds(now.minute):
        return None
    return Verdict(False, "quiet", f"This device does not work for others until {clock(grant.quiet.end)}.")


def _count(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    if ask.what is not What.RUN or grant.tasks is None or now.tasks_done < grant.tasks:
        return None
    return Verdict(False, "tasks", f"The {grant.tasks} tasks that were granted are used up. Pair it again.")


def _tokens(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    if ask.tokens <= grant.limits.tokens_per_task:
        return None
    return Verdict(False, "tokens", f"A task may have {grant.limits.tokens_per_task} tokens here. Ask for fewer.")


def _at_once(grant: Grant, ask: Ask, now: Now) -> Verdict | None:
    if ask.what is not What.RUN or now.running < grant.limits.at_once:
        return None
    return Verdict(False, "at_once", f"{now.running} of its tasks run already. Ask again when one is done.")


RULES: tuple[Rule, ...] = (_expired, _power, _label, _capability, _quiet, _count, _tokens, _at_once)
"""In this order: what ends the pairing, what the owner decides, what a little patience cures."""
TEMPORARY = frozenset({"quiet", "at_once"})
"""Rules that refuse now and not later."""


def clock(minute: int) -> str:
    """Return `07:30` for the 450th minute of the day."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
