"""What this device can do and how fast: its own seat, from its specialists, its models and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from models.specialist import Pool
from models.types import Tier
from runtime.needs import prefix_of
from runtime.registry import Entry, Registry
from runtime.scheduler import LOAD_S
from runtime.seats import Seat, Skill
from runtime.speeds import HERE, Speed

Known = Mapping[tuple[str, str], Speed]
"""By node id and model."""


def own_seat(
    name: str,
    registry: Registry,
    pool: Pool,
    known: Known,
    *,
    capabilities: Iterable[str],
    ahead: int,
    warm: frozenset[str],
) -> Seat:
    """Return this device as a place for work of these kinds.

    `ahead`: tasks that run now. `warm`: digests of the specialist prompts that were used since the start.
    """
    return Seat(name, Tier.DEVICE, tuple(own_skills(registry, pool, known, capabilities, warm)), ahead=ahead)


def own_skills(
    registry: Registry, pool: Pool, known: Known, capabilities: Iterable[str], warm: frozenset[str]
) -> Iterator[Skill]:
    """Yield one skill for each of the capabilities that can be served now: without its model none is."""
    for capability in capabilities:
        entry = registry.serving(capability)
        skill = _skill(capability, entry, pool, known, warm) if entry else None
        if skill is not None:
            yield skill


def _skill(capability: str, entry: Entry, pool: Pool, known: Known, warm: frozenset[str]) -> Skill | None:
    if entry.deterministic:
        return Skill(capability)
    found = pool.at_hand(entry.spec.models)
    if found is None:
        return None
    speed = known.get((HERE, found.model), Speed())
    prefix = prefix_of(entry.spec)
    return Skill(
        capability,
        found.model,
        found.artifacts,
        speed.prefill_tps,
        speed.decode_tps,
        measured=speed.decode_tps is not None,
        load_s=None if found.loaded else LOAD_S if speed.load_s is None else speed.load_s,
        context_tokens=found.context_tokens,
        prefixes=frozenset({prefix}) & warm if found.loaded else frozenset(),
        needs_bytes=found.memory_bytes,
    )
