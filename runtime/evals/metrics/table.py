"""The table of metrics: name to function. A suite names its metrics from here; the first is its headline."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from runtime.evals.metrics import calls, cost, labels, ranking, redaction, risk, share, slots, texts
from runtime.evals.metrics.outcome import Metric, mean

_SPAN_FOLDS = {"precision": slots.precision, "recall": slots.recall, "f1": slots.f_beta(1), "f2": slots.f_beta(2)}

_TOUCH_FOLDS = {"precision": slots.touch_precision, "recall": slots.touch_recall, "f2": slots.touch_f2}

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "accuracy": Metric(labels.accuracy, mean, True, "share right, of the in-scope rows"),
        "accuracy_all": Metric(labels.accuracy_all, mean, True, "share right, an out-of-scope row by refusing it"),
        "accuracy_answered": Metric(labels.accuracy_answered, mean, True, "share right, of those answered"),
        "oos_recall": Metric(labels.oos_recall, mean, True, "share refused, of the out-of-scope rows"),
        "oos_precision": Metric(labels.oos_precision, mean, True, "share out of scope, of the rows refused"),
        "coverage": Metric(labels.coverage, mean, True, "share answered"),
        "macro_f1": Metric(labels.label_pairs, labels.macro_f1, True, "mean of each label's F1"),
        "slot_f1": Metric(slots.slot_counts, slots.f_beta(1), True, "F1 of (slot, value) pairs over all rows"),
        "slot_precision": Metric(slots.slot_counts, slots.precision, True, "precision of (slot, value) pairs"),
        "slot_recall": Metric(slots.slot_counts, slots.recall, True, "recall of (slot, value) pairs"),
        "valid": Metric(slots.valid, mean, True, "share of the outputs given that fit the schema asked for"),
        "exact_match": Metric(slots.exact_match, mean, True, "share of whole records or texts right"),
        "characters_covered": Metric(slots.characters_covered, slots.share, True, "share of characters covered"),
        "squad_f1": Metric(texts.squad_f1, mean, True, "overlap of words with the best accepted answer"),
        "squad_em": Metric(texts.squad_em, mean, True, "share equal to an accepted answer"),
        "contains_answer": Metric(texts.contains_answer, mean, True, "share with an accepted answer inside"),
        "number_match": Metric(texts.number_match, mean, True, "share with the right number"),
        "chrf": Metric(texts.chrf_counts, texts.chrf, True, "chrF2, 0 to 100"),
        "recall_at_1": Metric(ranking.recall_at(1), mean, True, "share with the right one first"),
        "recall_at_5": Metric(ranking.recall_at(5), mean, True, "share with the right one in the first 5"),
        "recall_at_10": Metric(ranking.recall_at(10), mean, True, "share with the right one in the first 10"),
        "recall_at_20": Metric(ranking.recall_at(20), mean, True, "share with the right one in the first 20"),
        "mrr": Metric(ranking.reciprocal_rank, mean, True, "mean of 1 / place of the right one"),
        "auroc": Metric(risk.score_and_flag, risk.auroc, True, "a positive scores above a negative"),
        "recall_at_1_fpr": Metric(risk.score_and_flag, risk.recall_at_fpr(0.01), True, "recall at 1 % false positives"),
        "false_positives": Metric(risk.false_positives, mean, False, "share of negatives that score as positive"),
        "confidence_auroc": Metric(risk.confidence_and_correct, risk.auroc, True, "confidence: right above wrong"),
        "aurc": Metric(risk.confidence_and_correct, risk.aurc, False, "mean risk over all coverages"),
        "risk_at_50": Metric(risk.confidence_and_correct, risk.risk_at(0.5), False, "share wrong, surest half"),
        "risk_at_80": Metric(risk.confidence_and_correct, risk.risk_at(0.8), False, "share wrong, surest 80 %"),
        "risk_at_95": Metric(risk.confidence_and_correct, risk.risk_at(0.95), False, "share wrong, surest 95 %"),
        "ece": Metric(risk.confidence_and_correct, risk.ece, False, "expected calibration error"),
        "brier": Metric(risk.confidence_and_correct, risk.brier, False, "mean squared error of the confidence"),
        "call_or_none": Metric(calls.call_or_none, mean, True, "right call, or none where none fits"),
        "ast_match": Metric(calls.ast_match, mean, True, "right call, of the rows that want one"),
        "function_name": Metric(calls.function_name, mean, True, "right function, of the rows that want one"),
        "no_call": Metric(calls.no_call, mean, True, "no call, of the rows that no function fits"),
        "pass_at_1": Metric(cost.passed, mean, True, "share whose tests pass"),
        "seconds_p50": Metric(cost.seconds, cost.percentile(50), False, "wall seconds a row, median"),
        "seconds_p95": Metric(cost.seconds, cost.percentile(95), False, "wall seconds a row, 95 %"),
        "tokens_per_second": Metric(cost.tokens_and_seconds, slots.share, True, "generated tokens a wall second"),
        **{
            f"span_{name}": Metric(slots.span_counts(), fold, True, f"{name} of spans, exact place and type")
            for name, fold in _SPAN_FOLDS.items()
        },
        "fixed_recall": Metric(
            slots.touch_counts(kinds="fixed"), slots.touch_recall, True, "recall, types of fixed form"
        ),
        "words_hidden": Metric(redaction.words_hidden, slots.share, False, "share of words that would be hidden"),
        "restored": Metric(redaction.restored, mean, True, "share of texts given back letter by letter"),
        "sendable": Metric(redaction.sendable, mean, True, "share of texts that nothing blocks"),
        share.APGR: Metric(share.rows, share.apgr, True, "share of the gap recovered, mean over all hub shares"),
        "length_apgr": Metric(share.rows, share.length_apgr, True, "apgr of handing over the longest first"),
        share.OVER_LENGTH: Metric(share.rows, share.apgr_over_length, True, "apgr less length_apgr"),
        "oracle_apgr": Metric(share.rows, share.oracle_apgr, True, "apgr of knowing beforehand who is right"),
        "calls_at_50": Metric(share.rows, share.calls_at(0.5), False, "hub share that recovers 50 % of the gap"),
        "calls_at_80": Metric(share.rows, share.calls_at(0.8), False, "hub share that recovers 80 % of the gap"),
        "calls_at_95": Metric(share.rows, share.calls_at(0.95), False, "hub share that recovers 95 % of the gap"),
        "all_local": Metric(share.rows, share.all_local, True, "quality with nothing handed over"),
        "all_hub": Metric(share.rows, share.all_hub, True, "quality with everything handed over"),
        share.GAP: Metric(share.rows, share.gap, True, "all_hub less all_local"),
        "unsure_apgr": Metric(share.rows_by(share.UNSURE), share.apgr, True, "apgr of the least sure first"),
        "looks_apgr": Metric(share.rows_by(share.LOOKS), share.apgr, True, "apgr of what looks hard first"),
        "marked_share": Metric(share.rows_by(share.MARKED), share.marked_share, False, "share that Covey hands over"),
        "marked_quality": Metric(share.rows_by(share.MARKED), share.marked_quality, True, "quality with that share"),
        share.OVER_RANDOM: Metric(
            share.rows_by(share.MARKED), share.marked_over_random, True, "marked_quality less that of as many at random"
        ),
        "hub_answered": Metric(share.hub_answered, mean, True, "share that the hub answered in the form asked for"),
        "oracle": Metric(share.rows, share.oracle, True, "quality of knowing beforehand who is right"),
        **{
            f"touch_{name}": Metric(slots.touch_counts(), fold, True, f"{name} of spans, that touch, any type")
            for name, fold in _TOUCH_FOLDS.items()
        },
    }
)
"""`span_recall:PERSON`, `touch_recall:PERSON` and the like give the figure of one type."""


def known(name: str) -> bool:
    return name in METRICS or _typed(name) is not None


def metric(name: str) -> Metric:
    """Return the metric of a name that `known` accepts."""
    return _typed(name) or METRICS[name]


def _typed(name: str) -> Metric | None:
    """Return the metric of `span_recall:PERSON`, and None for a name without a type."""
    head, colon, kind = name.partition(":")
    way, _, fold = head.partition("_")
    if not colon or not kind:
        return None
    if way == "span" and fold in _SPAN_FOLDS:
        return Metric(slots.span_counts(kind), _SPAN_FOLDS[fold], True)
    if way == "touch" and fold in _TOUCH_FOLDS:
        return Metric(slots.touch_counts(kind), _TOUCH_FOLDS[fold], True)
    return None
