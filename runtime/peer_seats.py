"""Between what devices tell each other (cards, beats) and what placing work compares (skills, seats). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models.catalog import catalog, needed_bytes
from models.types import Digest, Label, Tier
from peers.book import Peer
from peers.link_messages import MAX_CARDS, SkillCard
from peers.liveness import Health
from peers.neighbourhood import Neighbour
from runtime.seats import Seat, Skill
from runtime.speeds import HERE, Speed


def seat_of(peer: Peer, neighbour: Neighbour, known: Mapping[tuple[str, str], Speed], resting: str) -> Seat:
    """Return a paired device as a place for work.

    `known`: speeds measured by this node; where there is one, the device's own word does not count. Where nobody
    measured anything, it is taken to be as fast as this device.
    `resting`: why it takes no work now, or nothing.
    """
    beat = neighbour.beat
    return Seat(
        peer.name,
        Tier.HOME,
        tuple(_skill(peer, card, known) for card in neighbour.cards or ()),
        id=peer.node_id,
        label=min(peer.grant.label, Label.SENSITIVE),
        capabilities=peer.grant.capabilities,
        ahead=beat.running + beat.queued if beat else 0,
        rtt_s=neighbour.rtt_s,
        suspect=neighbour.health is not Health.UP,
        draining=beat.draining if beat else False,
        resting=resting,
        battery=beat.battery if beat else None,
        plugged=beat.plugged if beat else None,
        temperature_c=beat.temperature_c if beat else None,
        free_bytes=beat.free_bytes if beat else None,
    )


def cards_of(skills: Iterable[Skill]) -> list[SkillCard]:
    """Return what this device tells the paired ones that it can do."""
    return [
        SkillCard(
            capability=skill.capability,
            model=skill.model,
            artifacts=[str(digest) for digest in skill.artifacts],
            prefill_tps=skill.prefill_tps,
            decode_tps=skill.decode_tps,
            load_s=skill.load_s,
            context_tokens=skill.context_tokens,
            prefixes=sorted(skill.prefixes),
            success=skill.success,
        )
        for skill in skills
    ][:MAX_CARDS]


def _skill(peer: Peer, card: SkillCard, known: Mapping[tuple[str, str], Speed]) -> Skill:
    measured = known.get((peer.node_id, card.model), Speed())
    here = known.get((HERE, card.model), Speed())
    manifest = catalog().get(card.model) if card.load_s is not None else None
    return Skill(
        card.capability,
        card.model,
        tuple(Digest(one) for one in card.artifacts),
        _first(measured.prefill_tps, card.prefill_tps, here.prefill_tps),
        _first(measured.decode_tps, card.decode_tps, here.decode_tps),
        measured=measured.decode_tps is not None,
        load_s=card.load_s,
        context_tokens=card.context_tokens,
        prefixes=frozenset(card.prefixes),
        needs_bytes=needed_bytes(manifest) if manifest else None,
        success=card.success,
    )


def _first(*speeds: float | None) -> float | None:
    return next((speed for speed in speeds if speed is not None), None)
