"""Where steps go: who may and can, then who is soonest done. Ties stay here, and every reason is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.types import Digest, Label, Tier
from runtime.plan import Given, Par, Plan, Run, Seq, Step, StepId, single
from runtime.scheduler import LESSER_MODEL_S, Placement, Unplaceable, place, place_step
from runtime.seats import Need, Seat, Skill

A, B, C = StepId("a"), StepId("b"), StepId("c")
SMALL, LARGE = Digest("1" * 64), Digest("2" * 64)
WRITES = Skill("generate", "small", (SMALL,), prefill_tps=100, decode_tps=10, measured=True, context_tokens=2048)
NEED = Need("generate", ceiling=Tier.HOME, prompt_tokens=100, decode_tokens=100, models=("large", "small"))
HERE = Seat("here", Tier.DEVICE, (WRITES, Skill("when")))
KITCHEN = Seat("kitchen", Tier.HOME, (WRITES, replace(WRITES, capability="summarize")), "K", Label.PERSONAL, rtt_s=0.01)
FAST = replace(WRITES, prefill_tps=1000, decode_tps=100)
DESKTOP = Seat("desktop", Tier.HOME, (FAST,), "D", Label.PERSONAL, rtt_s=0.01)


def _placed(need: Need = NEED, *seats: Seat) -> Placement:
    return place_step(A, need, seats or (HERE, KITCHEN))


@pytest.mark.parametrize(("capability", "node"), [("when", "here"), ("generate", "here"), ("summarize", "kitchen")])
def test_work_goes_where_it_can_be_done_and_a_tie_stays_here(capability: str, node: str) -> None:
    assert _placed(replace(NEED, capability=capability)).node == node


def test_a_clearly_faster_device_is_taken() -> None:
    placement = _placed(NEED, HERE, DESKTOP)
    assert (placement.node, placement.id, placement.tier) == ("desktop", "D", Tier.HOME)
    assert placement.reason == "soonest done of 2: about 1.1 s (way 0.03 s, read 0.10 s, write 1.0 s)"


def test_a_little_faster_is_no_reason_to_send_anything_away() -> None:
    placement = _placed(NEED, HERE, replace(DESKTOP, skills=(replace(WRITES, decode_tps=10.5),)))
    assert placement.node == "here"
    assert "stays here" in placement.reason


def test_the_general_capability_serves_the_special_one() -> None:
    assert _placed(replace(NEED, capability="generate.letter"), KITCHEN).node == "kitchen"


REFUSED = [
    ({}, {"ceiling": Tier.DEVICE}, "not go further than the device"),
    ({}, {"label": Label.SENSITIVE}, "this is sensitive, and it may see personal things at most"),
    ({"capabilities": frozenset({"summarize"})}, {}, "not granted generate"),
    ({}, {"artifacts": (LARGE,)}, "begun with another model"),
    ({}, {"prompt_tokens": 4000, "whole": True}, "reads 2048 at once"),
    ({"suspect": True}, {}, "not answered for a while"),
    ({"draining": True}, {}, "about to sleep or stop"),
    ({"resting": "it does not work for others until 07:30"}, {}, "until 07:30"),
    ({"battery": 0.15, "plugged": False}, {}, "battery is at 15%"),
    ({"temperature_c": 91.0}, {}, "too hot"),
    ({"skills": (replace(WRITES, load_s=2, needs_bytes=9 * 10**8),), "free_bytes": 10**8}, {}, "needs 900 MB there"),
    ({"skills": ()}, {}, "no model for generate"),
]


@pytest.mark.parametrize(("seat", "need", "why"), REFUSED)
def test_a_device_that_may_not_or_can_not_is_out_with_its_reason(
    seat: dict[str, object], need: dict[str, object], why: str
) -> None:
    given = (replace(KITCHEN, **seat), replace(NEED, **need))  # type: ignore[arg-type]
    with pytest.raises(Unplaceable, match=why) as caught:
        place_step(A, given[1], [given[0]])
    assert caught.value.candidates[0].seconds is None


@pytest.mark.parametrize("seat", [{"battery": 0.15, "plugged": True}, {"battery": 0.9}, {"temperature_c": 60.0}])
def test_a_device_that_is_well_is_in(seat: dict[str, object]) -> None:
    assert _placed(NEED, replace(KITCHEN, **seat)).node == "kitchen"  # type: ignore[arg-type]


def test_how_this_device_is_keeps_none_of_its_owners_work_away() -> None:
    assert _placed(NEED, replace(HERE, battery=0.05, temperature_c=95.0)).node == "here"


def test_a_queue_counts() -> None:
    assert _placed(NEED, replace(HERE, ahead=1), KITCHEN).node == "kitchen"
    assert _placed(NEED, replace(HERE, ahead=1), replace(KITCHEN, ahead=2)).node == "here"


def test_loading_counts_and_a_warm_prompt_is_worth_its_reading_time() -> None:
    warm = replace(KITCHEN, skills=(replace(WRITES, prefixes=frozenset({"p"})),))
    cold = replace(HERE, skills=(replace(WRITES, load_s=5.0),))
    need = replace(NEED, prompt_tokens=100, prefix="p", prefix_tokens=90)
    placement = _placed(need, cold, warm)
    assert placement.node == "kitchen"
    assert placement.candidates[0].seconds == pytest.approx(0.03 + 0.1 + 10)
    assert "load 5.0 s" in placement.candidates[1].reason


def test_the_better_model_is_waited_for_but_not_for_ever() -> None:
    large = Skill("generate", "large", (LARGE,), prefill_tps=100, decode_tps=5, measured=True)
    assert _placed(NEED, HERE, replace(KITCHEN, skills=(large,))).node == "kitchen"
    slow = replace(large, decode_tps=100 / (11 + LESSER_MODEL_S + 1))
    placement = _placed(NEED, HERE, replace(KITCHEN, skills=(slow,)))
    assert placement.node == "here"
    assert "not the best model at hand" in placement.candidates[0].reason


def test_a_speed_that_nobody_measured_is_said_to_be_a_guess() -> None:
    placement = _placed(NEED, replace(HERE, skills=(Skill("generate", "small"),)))
    assert "a guess" in placement.reason
    claimed = Seat("k", Tier.HOME, (replace(WRITES, measured=False),), "K", Label.PERSONAL)
    assert "nobody here measured" in _placed(NEED, claimed).reason


def test_a_device_that_lost_the_step_does_not_get_it_again() -> None:
    assert place_step(A, NEED, (HERE, KITCHEN), tried=frozenset({""})).node == "kitchen"
    with pytest.raises(Unplaceable, match="tried before"):
        place_step(A, NEED, (HERE, KITCHEN), tried=frozenset({"", "K"}))


def test_nobody_at_all_is_said() -> None:
    with pytest.raises(Unplaceable, match="there is no device"):
        place_step(A, NEED, ())


def _steps(*ids: StepId) -> tuple[Step, ...]:
    return tuple(Step(one, "generate", {"prompt": Given("x")}, ceiling=Tier.HOME) for one in ids)


def _nodes(plan: Plan, *seats: Seat) -> list[str]:
    return [placement.node for placement in place(plan, seats, {step.id: NEED for step in plan.steps})]


def test_two_steps_side_by_side_go_to_two_devices() -> None:
    plan = Plan(_steps(A, B), Par((Run(A), Run(B))), B)
    assert _nodes(plan, HERE, KITCHEN) == ["here", "kitchen"]


def test_steps_one_after_the_other_do_not_wait_for_each_other() -> None:
    plan = Plan(_steps(A, B), Seq((Run(A), Run(B))), B)
    assert _nodes(plan, HERE, KITCHEN) == ["here", "here"]


def test_four_steps_side_by_side_are_shared_evenly() -> None:
    ids = (A, B, C, StepId("d"))
    plan = Plan(_steps(*ids), Par(tuple(Run(one) for one in ids)), A)
    assert sorted(_nodes(plan, HERE, KITCHEN)) == ["here", "here", "kitchen", "kitchen"]


def test_a_plan_that_fits_nowhere_is_refused() -> None:
    plan = single(_steps(A)[0])
    with pytest.raises(Unplaceable, match=r"step a \(generate\) can't be placed"):
        place(plan, (), {A: NEED})
