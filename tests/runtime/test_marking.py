"""When a step is marked as needing deeper reasoning, and who is tried then: a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.types import Label, RefusalCode, Tier
from runtime.marking import HARD, NOT_ACCEPTED, STEADY, Height, Look, Past, Rung, doubt, ladder, mark

SURE = Look("generate", True, "every check passed", model="small")
UNSURE = replace(SURE, accepted=False, reason="the check names failed", refusal=RefusalCode.NOT_SURE)


@pytest.mark.parametrize(
    ("look", "hard", "says"),
    [
        (SURE, False, "accepted here"),
        (UNSURE, True, "not sure here: the check names failed"),
        (replace(UNSURE, refusal=RefusalCode.TOO_LONG), True, "not sure here"),
        (replace(UNSURE, refusal=RefusalCode.NOT_FOUND), False, "no stronger model cures it"),
        (replace(UNSURE, refusal=RefusalCode.INVALID_INPUT), False, "no stronger model cures it"),
        (replace(UNSURE, capability="when"), False, "nothing that a stronger model does better"),
        (replace(UNSURE, capability="extract.event"), True, "not sure here"),
        (replace(SURE, model=""), False, "computed"),
        (replace(SURE, hardness=0.83), True, "looks hard (0.83"),
        (replace(SURE, hardness=0.83, confidence=0.95), False, "accepted here"),
        (replace(SURE, hardness=0.3), False, "accepted here"),
        (replace(SURE, hardness=0.83, calibrated=True), False, "calibrated confidence"),
        (replace(SURE, past=Past(12, 3)), True, "of the last 12 of this kind only 3"),
        (replace(SURE, past=Past(9, 0)), False, "accepted here"),
        (replace(SURE, past=Past(12, 8)), False, "accepted here"),
        (replace(SURE, model="", hardness=0.99), False, "computed"),
    ],
)
def test_a_mark_has_its_reason(look: Look, hard: bool, says: str) -> None:
    found = mark(look)
    assert found.hard is hard and says in found.reason


@pytest.mark.parametrize("accepted", [True, False])
@pytest.mark.parametrize("refusal", [None, *RefusalCode])
@pytest.mark.parametrize("capability", ["generate", "when"])
def test_doubt_is_1_where_the_mark_begins(accepted: bool, refusal: RefusalCode | None, capability: str) -> None:
    """Else the curve over all bounds would not go through what is marked."""
    for hardness in (None, 0.0, HARD - 0.01, HARD + 0.01, 1.0):
        for confidence in (0.0, STEADY - 0.01, STEADY + 0.01, 1.0):
            look = Look(capability, accepted, "", "small", None if accepted else refusal, confidence, False, hardness)
            assert (doubt(look) >= 1) is mark(look).hard, look
            assert accepted or doubt(look) == 0 or doubt(look) >= NOT_ACCEPTED


PEER = Rung(Height.PEER, "attic", "A")
HOME = Rung(Height.HOME_HUB, "big-box", "hub:big-box")
AWAY = Rung(Height.AWAY_HUB, "far", "hub:far", "ask")


def test_the_nearest_is_tried_first() -> None:
    found = ladder([AWAY, HOME, PEER], ceiling=Tier.HUB, label=Label.PERSONAL)
    assert found.rungs == (PEER, HOME, AWAY) and found.left_out == ()


def test_a_hub_that_is_lent_comes_after_an_own_one_as_near() -> None:
    home, away = replace(HOME, height=Height.LENT_HOME_HUB, id="1"), replace(AWAY, height=Height.LENT_AWAY_HUB, id="2")
    found = ladder([away, AWAY, home, HOME, PEER], ceiling=Tier.HUB, label=Label.PERSONAL)
    assert found.rungs == (PEER, HOME, home, AWAY, away)
    found = ladder([away, home], ceiling=Tier.HOME, label=Label.PERSONAL)
    assert found.rungs == (home,) and "through a paired device" in found.left_out[0]


@pytest.mark.parametrize(
    ("ceiling", "kept"),
    [(Tier.HUB, (PEER, HOME, AWAY)), (Tier.HOME, (PEER, HOME)), (Tier.DEVICE, ()), (Tier.PROCESS, ())],
)
def test_the_ceiling_is_a_ceiling(ceiling: Tier, kept: tuple[Rung, ...]) -> None:
    found = ladder([PEER, HOME, AWAY], ceiling=ceiling, label=Label.PERSONAL)
    assert found.rungs == kept
    assert all("may not go further than" in why for why in found.left_out)


def test_never_is_never_and_each_one_left_out_has_its_reason() -> None:
    never, broken = replace(AWAY, permission="never"), replace(HOME, why_not="its price is not known")
    found = ladder([never, broken, PEER], ceiling=Tier.HUB, label=Label.PERSONAL, tried=frozenset({"A"}))
    assert found.rungs == ()
    assert found.left_out == (
        "attic: it was tried already",
        "big-box: its price is not known",
        "far: you said never for this kind",
    )


def test_what_is_secret_goes_nowhere() -> None:
    assert ladder([PEER, HOME, AWAY], ceiling=Tier.HUB, label=Label.SECRET).rungs == ()
