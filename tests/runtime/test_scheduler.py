"""Where steps go: the nearest seat that may and can."""

from __future__ import annotations

import pytest

from models.types import Label, Tier
from runtime.plan import Given, Step, StepId, single
from runtime.scheduler import Seat, Unplaceable, place

HERE = Seat("here", Tier.DEVICE, frozenset({"when", "generate"}))
KITCHEN = Seat("kitchen", Tier.HOME, frozenset({"generate", "summarize"}))


def _step(capability: str, label: Label = Label.PERSONAL, ceiling: Tier = Tier.HOME) -> Step:
    return Step(StepId("s1"), capability, {"prompt": Given("x")}, label=label, ceiling=ceiling)


@pytest.mark.parametrize(("capability", "node"), [("when", "here"), ("generate", "here"), ("summarize", "kitchen")])
def test_the_nearest_seat_that_can_is_taken(capability: str, node: str) -> None:
    (placement,) = place(single(_step(capability)), (KITCHEN, HERE))
    assert placement.node == node


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (_step("fly"), "no node offers it"),
        (_step("summarize", label=Label.SENSITIVE), "the label or the tier"),
        (_step("summarize", ceiling=Tier.DEVICE), "the label or the tier"),
    ],
)
def test_what_no_seat_may_or_can_do_is_refused_with_the_reason(step: Step, why: str) -> None:
    with pytest.raises(Unplaceable, match=why):
        place(single(step), (HERE, KITCHEN))
