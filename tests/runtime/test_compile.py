"""The plan compiler turns down, with a readable reason, whatever can be known to be wrong beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from models.types import Authority, Effect, Json, Label, Tier, Trust
from runtime.compile import MAX_STEPS, Offer, compile_plan, furthest
from runtime.plan import Budget, FromStep, Given, Input, Par, Plan, Run, Seq, Step, StepId, Term, single
from runtime.signatures import SIGNATURES, Kind, fits, is_of

OFFERS = {name: Offer(name, SIGNATURES[name], 0 if name in ("calculate", "when") else 100) for name in SIGNATURES}
READS = Authority(effects=frozenset({Effect.READ_FILE}))
A, B, C = StepId("a"), StepId("b"), StepId("c")
DOCUMENT: Json = [{"name": "n", "text": "t"}]


def _step(step_id: StepId, capability: str, **inputs: Input) -> Step:
    return Step(step_id, capability, inputs)


def _write(step_id: StepId, prompt: Input | None = None) -> Step:
    return _step(step_id, "generate", prompt=prompt or Given("hello"))


def _problems(plan: Plan, grant: Authority = READS, budget: Budget | None = None) -> tuple[str, ...]:
    return compile_plan(plan, offers=OFFERS, grant=grant, budget=budget or Budget())


def _chain(*steps: Step, term: Term | None = None) -> Plan:
    return Plan(steps, term or Seq(tuple(Run(step.id) for step in steps)), steps[-1].id)


def test_a_sound_plan_has_no_problems() -> None:
    plan = _chain(_write(A), _step(B, "summarize", documents=Given(DOCUMENT)), _write(C, FromStep(B)))
    assert _problems(plan) == ()


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (Plan((), Run(A), A), "the plan has no steps"),
        (Plan((_write(A), _write(A)), Seq((Run(A), Run(A))), A), "two steps are both called a"),
        (Plan((_write(A, FromStep(B)),), Run(A), A), "step a reads from b, which is not in the plan"),
        (Plan((_write(A),), Run(A), B), "the answer is to come from b, which is not in the plan"),
        (Plan((_write(A), _write(B)), Run(A), A), "the term runs a, but the steps are a, b"),
        (_chain(_write(A, FromStep(B)), _write(B, FromStep(A))), "the steps a → b wait for each other"),
        (
            _chain(_write(A, FromStep(B)), _write(B)),
            "step a reads from b, which has not finished when it starts",
        ),
        (
            _chain(_write(A), _write(B, FromStep(A)), term=Par((Run(A), Run(B)))),
            "step b reads from a, which has not finished when it starts",
        ),
        (single(_step(A, "fly", height=Given("3 m"))), "step a needs 'fly', and no specialist here offers it"),
        (single(_step(A, "generate")), "step a: generate needs 'prompt', and nothing provides it"),
        (single(_step(A, "generate", prompt=Given("x"), tone=Given("y"))), "step a: generate has no input 'tone'"),
        (single(_step(A, "generate", prompt=Given(3))), "step a: 'prompt' must be text"),
        (
            _chain(_step(A, "embed", texts=Given(["x"])), _write(B, FromStep(A))),
            "step b: 'prompt' must be text, but a produces vectors",
        ),
    ],
)
def test_a_faulty_plan_is_turned_down_with_its_reason(plan: Plan, reason: str) -> None:
    assert _problems(plan) == (reason,)


def test_too_many_steps_are_a_runaway_plan() -> None:
    steps = tuple(_write(StepId(f"s{n}")) for n in range(MAX_STEPS + 1))
    assert f"the plan has {MAX_STEPS + 1} steps; at most {MAX_STEPS} are allowed" in _problems(_chain(*steps))


def test_a_capability_that_was_not_granted_is_refused() -> None:
    problems = _problems(single(_write(A)), grant=Authority(frozenset({"when"})))
    assert problems == ("step a needs 'generate', which this caller may not use",)


def test_an_effect_that_was_not_granted_is_refused() -> None:
    plan = single(_step(A, "filetype", path=Given("/x")))
    assert _problems(plan, grant=Authority()) == ("step a would read file, which this caller may not do",)


def test_untrusted_text_never_reaches_a_step_with_an_effect() -> None:
    step = replace(_step(A, "filetype", path=Given("/x", trust=Trust.UNTRUSTED)), trust=Trust.UNTRUSTED)
    assert _problems(single(step)) == ("step a has an effect, and its input 'path' is untrusted text",)


def test_untrusted_input_makes_the_step_untrusted() -> None:
    plan = single(_write(A, Given("x", trust=Trust.UNTRUSTED)))
    assert _problems(plan) == ("step a is marked as the owner's, but its input 'prompt' is untrusted",)


def test_a_label_never_falls_on_the_way() -> None:
    plan = single(_write(A, Given("x", Label.SENSITIVE)))
    assert _problems(plan) == ("step a is personal, but its input 'prompt' is sensitive",)


def test_a_label_flows_along_an_edge() -> None:
    secret = replace(_write(A, Given("x", Label.SECRET)), label=Label.SECRET)
    plan = _chain(secret, _write(B, FromStep(A)))
    assert _problems(plan) == ("step b is personal, but its input 'prompt' is secret",)


@pytest.mark.parametrize(
    ("label", "ceiling", "allowed"),
    [
        (Label.PUBLIC, Tier.HUB, True),
        (Label.PERSONAL, Tier.HUB, False),
        (Label.PERSONAL, Tier.HOME, True),
        (Label.SENSITIVE, Tier.HOME, False),
        (Label.SENSITIVE, Tier.DEVICE, True),
        (Label.SECRET, Tier.DEVICE, True),
    ],
)
def test_a_label_bounds_the_tier(label: Label, ceiling: Tier, allowed: bool) -> None:
    step = replace(_write(A, Given("x", label)), label=label, ceiling=ceiling)
    assert (_problems(single(step)) == ()) is allowed


def test_the_ceiling_is_narrowed_to_what_the_label_allows() -> None:
    assert furthest(Label.SECRET, Tier.HUB) is Tier.DEVICE
    assert furthest(Label.PERSONAL, Tier.HUB) is Tier.HOME
    assert furthest(Label.PUBLIC, Tier.DEVICE) is Tier.DEVICE


def test_the_worst_case_of_tokens_counts_the_retry() -> None:
    plan = _chain(_write(A), _write(B))
    assert _problems(plan, budget=Budget(tokens=400)) == ()
    assert _problems(plan, budget=Budget(tokens=399)) == ("the plan may take 400 tokens, and 399 are allowed",)


def test_a_step_of_its_own_budget_takes_no_more() -> None:
    step = replace(_write(A), budget=Budget(tokens=10))
    assert _problems(single(step), budget=Budget(tokens=20)) == ()


def test_time_adds_up_in_a_row_and_not_side_by_side() -> None:
    steps = [replace(_write(step_id), budget=Budget(seconds=6)) for step_id in (A, B)]
    side = _chain(*steps, term=Par((Run(A), Run(B))))
    assert _problems(side, budget=Budget(seconds=10)) == ()
    row = ("the plan may take 12 seconds, and 10 are allowed",)
    assert _problems(_chain(*steps), budget=Budget(seconds=10)) == row


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", "x", 1),
        ("texts", ["x"], [1]),
        ("documents", DOCUMENT, [{"name": "n"}]),
        ("object", {}, []),
        ("objects", [{}], ["x"]),
        ("number", 1.5, True),
        ("flag", True, 1),
        ("vectors", [[0.1]], [["x"]]),
    ],
)
def test_each_kind_knows_its_values(kind: Kind, good: Json, bad: Json) -> None:
    assert is_of(kind, good)
    assert not is_of(kind, bad)


def test_documents_may_be_read_as_objects_but_not_the_other_way() -> None:
    assert fits("documents", "objects")
    assert not fits("objects", "documents")


def test_every_runner_has_a_signature() -> None:
    from models.specialist import RUNNERS

    signed: Mapping[str, object] = SIGNATURES
    assert set(signed) == set(RUNNERS)
