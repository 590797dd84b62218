"""What placing work knows: devices as they are now, what they can do and how fast, what a step needs. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter

from models.types import Digest, Json, Label, Tier


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing that a device can do, and how fast."""

    capability: str
    model: str = ""
    """Catalog id; empty: it is computed."""
    artifacts: tuple[Digest, ...] = ()
    """Digests of the weights: an answer that has begun goes on only where they are the same."""
    prefill_tps: float | None = None
    """Tokens of a prompt read per second; None: never measured."""
    decode_tps: float | None = None
    """Tokens written per second."""
    measured: bool = False
    """Whether this device measured the speeds itself; else they are what the other one says."""
    load_s: float | None = None
    """To load the model; None when it is loaded, or there is none."""
    context_tokens: int | None = None
    prefixes: frozenset[str] = frozenset()
    """Digests of the specialist prompts whose state is warm."""
    needs_bytes: int | None = None
    """Memory of the model, where it is known here."""
    success: float | None = None
    """Share of its last answers that were sure and passed their checks, as the device says; None: too few to tell."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A device where work can be done, as it is now."""

    node: str
    """What people call it."""
    tier: Tier
    skills: tuple[Skill, ...]
    id: str = ""
    """Its node id; empty: this device."""
    label: Label = Label.SECRET
    """The highest label that it may see."""
    capabilities: frozenset[str] | None = None
    """Work it may be given; None means any. `extract` includes `extract.event`."""
    ahead: int = 0
    """Tasks that run or wait there."""
    rtt_s: float = 0.0
    suspect: bool = False
    """It has not answered for a while."""
    draining: bool = False
    """It is about to sleep or stop."""
    resting: str = ""
    """Why it takes no work now, in its own words: quiet hours, too many at once."""
    battery: float | None = None
    """0..1; None without one."""
    plugged: bool | None = None
    temperature_c: float | None = None
    free_bytes: int | None = None
    """Memory that is free for models."""

    @property
    def is_here(self) -> bool:
        return not self.id


@dataclass(frozen=True, slots=True)
class Need:
    """What a step asks of a device."""

    capability: str
    label: Label = Label.PERSONAL
    ceiling: Tier = Tier.DEVICE
    prompt_tokens: int = 0
    """Expected, the specialist's own prompt included."""
    decode_tokens: int = 0
    """Expected."""
    models: tuple[str, ...] = ()
    """Best first."""
    whole: bool = False
    """Whether the model must read all of it at once; most specialists read a long text in parts."""
    artifacts: tuple[Digest, ...] = ()
    """The only weights that will do, for an answer that has begun; empty: any."""
    prefix: str = ""
    """Digest of the specialist's own prompt."""
    prefix_tokens: int = 0


def skill_for(seat: Seat, capability: str) -> Skill | None:
    """Return how a device does something: by that name, else by the general one (`extract` for `extract.event`)."""
    known = {skill.capability: skill for skill in reversed(seat.skills)}
    wanted = capability
    while wanted:
        if wanted in known:
            return known[wanted]
        wanted = wanted.rpartition(".")[0]
    return None


def seats_to_json(seats: Sequence[Seat]) -> Json:
    """Return devices as a program of the same owner reads them."""
    found: Json = _adapter().dump_python(tuple(seats), mode="json")
    return found


def seats_from_json(value: Json) -> tuple[Seat, ...]:
    """Return devices that a running node told of. Raises ValueError."""
    return _adapter().validate_python(value)


@cache
def _adapter() -> TypeAdapter[tuple[Seat, ...]]:
    return TypeAdapter(tuple[Seat, ...])
