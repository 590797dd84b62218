"""Plans as data."""

from __future__ import annotations

import pytest

from runtime.plan import FromStep, Given, Par, Plan, Run, Seq, Step, StepId, draw, single, steps_of

A, B, C = StepId("a"), StepId("b"), StepId("c")


def test_a_step_knows_its_parents_once_each() -> None:
    step = Step(C, "generate", {"prompt": FromStep(A), "history": FromStep(A), "documents": Given([])})
    assert step.parents == (A,)


def test_a_single_step_is_the_whole_plan() -> None:
    plan = single(Step(A, "calculate", {"expression": Given("1 + 1")}))
    assert (plan.term, plan.output, plan.step(A).capability) == (Run(A), A, "calculate")


def test_an_unknown_step_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        single(Step(A, "calculate", {})).step(B)


def test_terms_nest_and_draw_as_one_line() -> None:
    term = Seq((Run(A), Par((Run(B), Seq((Run(C),))))))
    assert list(steps_of(term)) == [A, B, C]
    assert draw(term) == "seq(a, par(b, seq(c)))"


def test_plans_of_the_same_parts_are_equal() -> None:
    step = Step(A, "when", {"question": Given("today?")})
    assert Plan((step,), Run(A), A) == single(step)
