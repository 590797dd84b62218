"""The curve of quality against hub share: its figures are exact where they can be counted by hand."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.heads import hard
from models.heads.head import Head
from models.types import Digest, Json, Request, Result
from runtime.evals import page
from runtime.evals.drawing import drawn
from runtime.evals.errors import SuiteSkipped
from runtime.evals.metrics import share
from runtime.evals.metrics.intervals import Figure, figure
from runtime.evals.metrics.outcome import Outcome, Rows
from runtime.evals.metrics.table import metric
from runtime.evals.report import report
from runtime.evals.run import Run
from runtime.evals.sharing import SharingSubject
from runtime.evals.subject import ScriptedSubject
from runtime.evals.suite import BUILT_IN, Published, Source, Suite, read_suite

WIDTH = 4
ENCODER = Digest("e" * 64)


def table(*lines: tuple[float, float, float, float]) -> Rows:
    """Hardness, length, weak and strong of each row."""
    return np.array(lines, dtype=np.float64)


HALF = table((0.9, 1, 0, 1), (0.8, 2, 0, 1), (0.2, 3, 1, 1), (0.1, 4, 1, 1))
"""Marked perfectly, and by length exactly the wrong way round."""


def test_perfect_marking_recovers_the_gap_with_the_rows_that_need_it() -> None:
    assert (share.all_local(HALF), share.all_hub(HALF), share.oracle(HALF)) == (0.5, 1.0, 1.0)
    assert share.curve(HALF, HALF[:, 0]).tolist() == [0.5, 0.75, 1.0, 1.0, 1.0]
    assert (share.apgr(HALF), share.oracle_apgr(HALF), share.length_apgr(HALF)) == (0.75, 0.75, 0.25)
    assert share.apgr_over_length(HALF) == 0.5
    assert [share.calls_at(part)(HALF) for part in (0.5, 0.8, 0.95)] == [0.25, 0.5, 0.5]


def test_rows_of_one_score_give_what_random_gives_whatever_their_order() -> None:
    same = HALF.copy()
    same[:, 0] = 0.5
    assert share.apgr(same) == pytest.approx(0.5) == share.apgr(same[::-1])
    assert share.calls_at(0.5)(same) == 0.5


def test_a_hub_that_is_no_better_gains_nothing_however_one_chooses() -> None:
    none = HALF.copy()
    none[:, 3] = none[:, 2]
    assert (share.apgr(none), share.apgr_over_length(none), share.calls_at(0.5)(none)) == (0.5, 0.0, 1.0)


def test_the_ends_of_every_line_are_all_here_and_all_hub() -> None:
    first, *_, last = share.points(HALF)
    for point, quality in ((first, 0.5), (last, 1.0)):
        assert (point.marking, point.random, point.length, point.oracle) == (quality,) * 4
    assert share.points(HALF[:0]) == ()


def test_a_row_without_recorded_outcomes_takes_no_part() -> None:
    known: list[Json] = [{"small": True, "big": 0.5}, {"small": True}, None]
    scores = {share.HARD: 0.4, share.LENGTH: 7.0}
    outcomes = [Outcome(str(n), expected, 0.4, scores=scores) for n, expected in enumerate(known)]
    found = figure(metric("all_hub"), outcomes, {"weak": "small", "strong": "big"})
    assert (found.value, found.rows) == (0.5, 1)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((0.51, 0.7), "better than handing over at random"),
        ((0.4, 0.6), "not shown to be better"),
        ((0.2, 0.4), "worse"),
    ],
)
def test_the_page_says_by_itself_whether_marking_is_worth_it(interval: tuple[float, float], said: str) -> None:
    (sentence,) = share.verdicts({share.APGR: Figure(sum(interval) / 2, interval, 100)})
    assert said in sentence


def test_nothing_is_said_of_what_was_not_measured() -> None:
    assert share.verdicts({share.APGR: Figure(None, None, 0)}) == []


SUITE = Suite(
    "hub_share_test",
    "A test.",
    "mark",
    (Source("test", "{routing}", {"text": "{question}"}),),
    (share.APGR, share.OVER_LENGTH, "calls_at_80"),
    "none",
    kind="share",
    published=(Published(0.5, 0.9, "Others & co."),),
)


def test_page_and_drawing_show_the_curve_and_what_others_published(tmp_path: Path) -> None:
    outcomes = [
        Outcome(
            str(n),
            {"weak": n % 2, "strong": 1},
            0.1,
            scores={share.HARD: float(1 - n % 2), share.LENGTH: float(n % 5)},
        )
        for n in range(40)
    ]
    made = report(SUITE, Run(outcomes), run_id="r", origin="test rows")
    written = tmp_path / "page.md"
    page.write(written, made, command="covey eval", machine="m")
    text = written.read_text()
    assert "| 50% | 1.0000 |" in text and "Marking is better than handing over at random." in text
    assert "(hub_share_test.svg)" in text and "Others & co." in text
    svg = (tmp_path / "hub_share_test.svg").read_text()
    xml.fromstring(svg)
    assert svg == drawn("hub_share_test (40 rows)", made.curve, made.published) and "published by others" in svg
    assert "published" not in drawn("t", made.curve)
    shown = json.loads(json.dumps(made.to_json()))
    assert len(shown["curve"]) == 21 and shown["curve"][10]["marking"] == 1.0


def head() -> Head:
    weights = np.zeros((WIDTH + len(hard.clues("")), 2), dtype=np.float32)
    weights[WIDTH, 1] = 1.0  # the more words, the harder
    return Head(hard.HEAD, (hard.EASY, hard.HARD), weights, np.zeros(2, dtype=np.float32), 1.0, 0.5, ENCODER)


async def test_a_request_is_as_hard_as_the_head_says_and_as_long_as_its_words() -> None:
    embeds = ScriptedSubject(lambda request: Result(output=[[0.5] * WIDTH], artifacts=(ENCODER,)))
    subject = SharingSubject(embeds, head())
    short, long = [await subject.run(Request("mark", {"text": text})) for text in ("Why?", "Why is that so, again?")]
    assert short.signals.scores[share.LENGTH] == 1.0 and long.signals.scores[share.LENGTH] == 5.0
    assert short.signals.scores[share.HARD] < long.signals.scores[share.HARD]
    other = SharingSubject(embeds, replace(head(), bias=np.ones(2, dtype=np.float32)))
    assert other.fingerprint("mark") != subject.fingerprint("mark")


async def test_a_head_of_another_encoder_is_not_used() -> None:
    embeds = ScriptedSubject(lambda request: Result(output=[[0.5] * WIDTH], artifacts=(Digest("f" * 64),)))
    with pytest.raises(SuiteSkipped, match="another encoder"):
        await SharingSubject(embeds, head()).run(Request("mark", {"text": "Why?"}))


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("hub_share_*.toml")), ids=lambda path: path.stem)
def test_built_in_suites_report_only_rows_that_the_head_was_not_fitted_on(path: Path) -> None:
    suite = read_suite(path)
    assert suite.kind == ("live" if "_live_" in suite.name else "share")
    assert (suite.half, suite.headline) == ("reporting", share.APGR)
    assert {"weak", "strong"} <= set(suite.options) or suite.kind == "live"
