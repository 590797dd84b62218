"""Every metric against a value computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from runtime.evals.metrics.calls import equal, matches
from runtime.evals.metrics.intervals import figure, taking_part
from runtime.evals.metrics.outcome import Outcome
from runtime.evals.metrics.table import METRICS, known, metric


def of(expected: Any, answer: Any, **more: Any) -> Outcome:
    return Outcome(id="x", expected=expected, answer=answer, **more)


def value(name: str, outcomes: list[Outcome], **options: Any) -> float:
    chosen = metric(name)
    return chosen.fold(taking_part(chosen.rows(outcomes, options)))


LABELS = [
    of("pay", "pay"),
    of("pay", "Pay "),
    of("pay", "call"),
    of("call", None, refused="not_sure"),
    of("oos", None, refused="not_sure"),
    of("oos", "call"),
]


def test_accuracy_counts_in_scope_rows_only_and_a_refusal_as_wrong() -> None:
    assert value("accuracy", LABELS, out_of_scope="oos") == 2 / 4


def test_accuracy_counts_all_rows_where_no_label_is_out_of_scope() -> None:
    assert value("accuracy", LABELS) == 2 / 6


def test_out_of_scope_recall_and_precision() -> None:
    assert value("oos_recall", LABELS, out_of_scope="oos") == 1 / 2
    assert value("oos_precision", LABELS, out_of_scope="oos") == 1 / 2
    assert value("accuracy_all", LABELS, out_of_scope="oos") == 3 / 6


def test_coverage_and_accuracy_of_the_answered() -> None:
    assert value("coverage", LABELS) == 4 / 6
    assert value("accuracy_answered", LABELS, out_of_scope="oos") == 2 / 3


def test_a_further_accepted_value_is_right() -> None:
    assert value("accuracy", [of("answer", "find", also=("find",))]) == 1


def test_macro_f1_weighs_each_label_alike() -> None:
    outcomes = [of("a", "a"), of("a", "a"), of("a", "b"), of("b", "b")]
    assert value("macro_f1", outcomes) == pytest.approx((2 * 2 / (2 * 2 + 1) + 2 * 1 / (2 * 1 + 1)) / 2)


def test_slots_are_counted_over_all_rows_and_a_wrong_value_is_wrong_and_missed() -> None:
    outcomes = [
        of({"name": "The Eagle", "area": "centre"}, {"name": "the  eagle", "area": "river"}),
        of([{"slot": "city", "value": "Bonn"}], [{"slot": "city", "value": "Bonn"}]),
        of({"near": "Cafe"}, None),
    ]
    assert value("slot_precision", outcomes) == 2 / 3
    assert value("slot_recall", outcomes) == 2 / 4
    assert value("slot_f1", outcomes) == pytest.approx(4 / 7)
    assert value("exact_match", outcomes) == 1 / 3


def test_spans_must_have_place_and_type() -> None:
    gold = [{"type": "PERSON", "start": 0, "end": 4}, {"type": "AGE", "start": 9, "end": 11}]
    found = [{"type": "NAME", "start": 0, "end": 4}, {"type": "AGE", "start": 8, "end": 11}]
    outcomes = [of(gold, found)]
    assert value("span_recall", outcomes, types={"NAME": "PERSON"}) == 1 / 2
    assert value("span_recall", outcomes) == 0
    assert value("span_recall:PERSON", outcomes, types={"NAME": "PERSON"}) == 1
    assert value("span_f2", outcomes, types={"NAME": "PERSON"}) == pytest.approx(5 * 1 / (5 * 1 + 4 * 1 + 1))
    assert value("characters_covered", outcomes) == 1


def test_squad_drops_case_punctuation_and_articles() -> None:
    outcomes = [of(["the Eiffel Tower"], "Eiffel tower."), of(["in 1889", "1889"], "built 1889"), of(["x"], None)]
    assert value("squad_em", outcomes) == 1 / 3
    assert value("squad_f1", outcomes) == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert value("contains_answer", outcomes) == 2 / 3


def test_numbers_are_compared_as_numbers() -> None:
    assert value("number_match", [of("12", "12.0"), of(1.0, "1"), of("12", None), of("3", "4")]) == 2 / 4


def test_chrf_is_100_for_equal_texts_0_for_strangers_and_right_between() -> None:
    assert value("chrf", [of("good morning", "good morning")]) == pytest.approx(100)
    assert value("chrf", [of("abc", "xyz")]) == 0
    # "ab" against "abc": orders 1, 2 have both sides; precision 1, 1; recall 2/3, 1/2; F2 = 5·1·(7/12) / (4 + 7/12)
    assert value("chrf", [of("abc", "ab")]) == pytest.approx(100 * 5 * (7 / 12) / (4 + 7 / 12))


def test_recall_at_k_and_reciprocal_rank() -> None:
    outcomes = [of(7, [7, 1, 2]), of(7, [1, 2, 3, 4, 7]), of(7, [1, 2])]
    assert value("recall_at_1", outcomes) == 1 / 3
    assert value("recall_at_5", outcomes) == 2 / 3
    assert value("mrr", outcomes) == pytest.approx((1 + 1 / 5) / 3)


def test_auroc_counts_ties_half() -> None:
    outcomes = [of(label, None, scores={"attack": score}) for label, score in ((1, 0.9), (1, 0.5), (0, 0.5), (0, 0.1))]
    assert value("auroc", outcomes, score="attack") == pytest.approx((1 + 1 + 0.5 + 1) / 4)
    assert value("recall_at_1_fpr", outcomes, score="attack") == 1 / 2


def test_auroc_agrees_with_its_definition_by_pairs() -> None:
    draw = np.random.default_rng(3)
    labels, scores = draw.integers(0, 2, 60), draw.integers(0, 9, 60) / 9
    outcomes = [of(int(label), None, confidence=float(score)) for label, score in zip(labels, scores, strict=True)]
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    assert value("auroc", outcomes) == pytest.approx(np.mean(pairs))


CONFIDENT = [
    of("a", "a", confidence=0.9),
    of("a", "b", confidence=0.8),
    of("a", "a", confidence=0.6),
    of("a", "a", confidence=0.4),
]


def test_confidence_metrics_by_hand() -> None:
    assert value("confidence_auroc", CONFIDENT) == pytest.approx(1 / 3)
    assert value("aurc", CONFIDENT) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert value("risk_at_50", CONFIDENT) == 1 / 2
    assert value("brier", CONFIDENT) == pytest.approx((0.01 + 0.64 + 0.16 + 0.36) / 4)
    assert value("ece", CONFIDENT) == pytest.approx((0.1 + 0.8 + 0.4 + 0.6) / 4)


def test_the_suite_says_what_counts_as_right_for_a_confidence() -> None:
    outcomes = [of(["Rome"], "rome", confidence=0.9), of(["Rome"], "Oslo", confidence=0.1)]
    assert value("confidence_auroc", outcomes, correct="squad_em") == 1.0
    assert value("brier", outcomes, correct="squad_em") == pytest.approx(0.01)


CALL = {"f.add": {"a": [1, 1.0], "unit": ["", "cm"], "tags": [["x", "y"]]}}


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ({"a": 1, "tags": ["x", "y"]}, True),
        ({"a": 1.0, "unit": "CM", "tags": ["X", "y"]}, True),
        ({"a": True, "tags": ["x", "y"]}, False),
        ({"tags": ["x", "y"]}, False),
        ({"a": 1, "tags": ["y", "x"]}, False),
        ({"a": 1, "tags": ["x", "y"], "more": 2}, False),
        ({"a": 1, "unit": "m", "tags": ["x", "y"]}, False),
    ],
)
def test_a_call_needs_each_argument_among_the_accepted(arguments: dict[str, Any], right: bool) -> None:
    assert matches({"function": "f.add", "arguments": arguments}, CALL) is right


def test_call_metrics_split_rows_that_want_a_call_from_those_that_want_none() -> None:
    good = {"function": "f.add", "arguments": {"a": 1, "tags": ["x", "y"]}}
    outcomes = [of([CALL], good), of([CALL], None), of([CALL, CALL], [good, good]), of(None, None), of(None, good)]
    assert value("ast_match", outcomes) == 2 / 3
    assert value("no_call", outcomes) == 1 / 2
    assert value("call_or_none", outcomes) == 3 / 5
    assert value("function_name", outcomes) == 2 / 3


def test_an_object_argument_lists_accepted_values_per_key() -> None:
    assert equal({"x": 1}, {"x": [1, 2], "y": ["", 3]})
    assert not equal({"x": 1}, {"x": [2]})
    assert not equal({"x": 1}, {"x": [1], "y": [3]})


def test_cost_metrics() -> None:
    outcomes = [of(1, 1, seconds=s, tokens=10) for s in (1.0, 2.0, 3.0)]
    assert value("seconds_p50", outcomes) == 2
    assert value("tokens_per_second", outcomes) == pytest.approx(30 / 6)
    assert value("pass_at_1", [of(1, 1, passed=True), of(1, 1, passed=False), of(1, 1)]) == 1 / 2


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_survives_no_rows_and_refusals_only(name: str) -> None:
    refused = [of("a", None, refused="not_sure"), of("b", None, refused="not_sure")]
    assert figure(metric(name), [], {}).value is None
    result = figure(metric(name), refused, {})
    assert result.value is None or np.isfinite(result.value)


def test_an_unknown_metric_is_not_known() -> None:
    assert not known("acuracy")
    assert not known("span_median:PERSON")
    assert known("span_f2:PERSON")


def test_valid_is_the_share_of_given_outputs_and_refusals_do_not_take_part() -> None:
    rows = [of({}, {"a": 1}, valid=True), of({}, {"a": "x"}, valid=False), of({}, None, refused="not_sure")]
    assert value("valid", rows) == 1 / 2


SPANS = [
    of(
        [{"type": "PERSON", "start": 0, "end": 9}, {"type": "DATE", "start": 20, "end": 24}],
        [{"type": "WORD", "start": 5, "end": 12}, {"type": "X", "start": 30, "end": 31}],
    ),
    of([{"type": "CARD", "start": 3, "end": 7}], []),
]


def test_touching_spans_count_whatever_their_type() -> None:
    assert value("touch_recall", SPANS) == 1 / 3
    assert value("touch_precision", SPANS) == 1 / 2
    assert value("touch_f2", SPANS) == pytest.approx(5 * (1 / 2) * (1 / 3) / (4 * (1 / 2) + 1 / 3))


def test_touching_spans_of_one_type_or_of_those_that_matter() -> None:
    assert value("touch_recall:PERSON", SPANS) == 1
    assert value("touch_recall", SPANS, only=["PERSON", "CARD"]) == 1 / 2
    assert value("fixed_recall", SPANS, fixed=["CARD", "DATE"]) == 0
    assert value("characters_covered", SPANS, only=["PERSON"]) == 4 / 9
    assert known("touch_recall:PERSON")
    assert not known("touch_median:PERSON")


def test_redaction_counts_hidden_words_and_what_came_back() -> None:
    outcomes = [
        of([], [], scores={"words": 8.0, "hidden": 2.0, "restored": 1.0, "sendable": 1.0}),
        of([], [], scores={"words": 2.0, "hidden": 0.0, "sendable": 0.0}),
    ]
    assert value("words_hidden", outcomes) == 0.2
    assert value("restored", outcomes) == 1
    assert value("sendable", outcomes) == 0.5
