"""The arithmetic and the looks of the benches."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scripts.benches import figures, page, run, texts
from scripts.benches.client import Unanswered
from scripts.benches.figures import (
    Better,
    Report,
    Row,
    alone,
    as_text,
    compared,
    number,
    percentile,
    spread,
    table,
)
from scripts.benches.setup import Setup


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([5.0], 0.95, 5.0), ([1.0, 2.0], 0.5, 1.5), ([3.0, 1.0, 2.0], 0.0, 1.0), ([1.0, 2.0, 3.0], 1.0, 3.0)],
)
def test_percentiles_lie_between_neighbours(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that slows down for both sides must not move the ratio."""
    row = compared("decode", "tok/s", ([100.0, 50.0, 20.0], [50.0, 25.0, 10.0]))
    assert row.ratio == figures.Spread(2.0, 2.0, 2.0, 3)
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == figures.Spread(3.0, 2.0, 4.0, 5)


def test_series_of_different_length_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        compared("x", "s", ([1.0], [1.0, 2.0]))


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (1234.5, "1234"), (99.96, "100"), (0.012345, "0.0123")])
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def _report(name: str = "made_up", value: float = 3.0) -> Report:
    rows: tuple[Row, ...] = (compared("speed", "tok/s", ([value, 4.0], [2.0, 2.0])), alone("memory", "MB", [41.0]))
    settings: dict[str, object] = {"rounds": 2, "tried": [{"options": "-fa on", "figure": 9.5}]}
    return Report(name, "a made-up bench", rows, settings=settings)


def test_a_report_is_readable_on_a_terminal() -> None:
    lines = as_text(_report()).splitlines()
    assert lines[0] == "made_up: a made-up bench"
    assert "3.5 (3.25 to 3.75)" in lines[2]
    assert lines[3].split() == ["memory", "MB", "41", "1"]


@pytest.mark.parametrize(
    ("better", "worst", "shown", "missed"),
    [
        ("lower", 0.51, "≤ 0.6", ()),
        ("lower", 0.61, "≤ 0.6, missed", ("x: share: 0.61 s, and the bar is 0.6.",)),
        ("higher", 0.61, "≥ 0.6", ()),
        ("higher", 0.51, "≥ 0.6, missed", ("x: share: 0.51 s, and the bar is 0.6.",)),
    ],
)
def test_a_figure_that_misses_its_bar_is_told_apart(
    better: Better, worst: float, shown: str, missed: tuple[str, ...]
) -> None:
    report = Report("x", "y", (alone("share", "s", [worst], better, bar=0.6), alone("other", "", [1.0])))
    assert report.missed == missed
    assert [line[3] for line in table(report)] == ["bar", shown, ""]


@pytest.mark.parametrize(
    ("reference", "shown", "missed"),
    [
        ([2.0, 2.0], "ratio ≥ 1.5", ()),
        ([3.0, 3.0], "ratio ≥ 1.5, missed", ("x: speed: 1.17 times the reference's, and the bar is 1.5.",)),
        ([0.0, 0.0], "ratio ≥ 1.5, missed", ("x: speed: nan times the reference's, and the bar is 1.5.",)),
    ],
)
def test_a_bar_beside_a_reference_holds_the_ratio(reference: list[float], shown: str, missed: tuple[str, ...]) -> None:
    row = compared("speed", "tok/s", ([3.0, 4.0], reference), bar=1.5)
    report = Report("x", "y", (row,))
    assert report.missed == missed
    assert table(report)[1][5] == shown


def test_a_bar_may_hold_the_figure_though_there_is_a_reference() -> None:
    rows = [compared("first", "s", ([value], [1.0]), "lower", bar=0.15, held="figure") for value in (0.1, 0.2)]
    assert [row.missed for row in rows] == [False, True]


def test_a_bench_with_a_missed_bar_shows_its_figures_and_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missed = Report("labels", "y", (alone("share", "s", [2.0], "lower", bar=1.0),))
    monkeypatch.setattr(run, "_one", lambda setup, name, write_page: missed)
    monkeypatch.setattr(run, "Setup", lambda home, model, full: SimpleNamespace(model_file=tmp_path))
    assert run.main(["labels"]) == 1
    shown = capsys.readouterr()
    assert "≤ 1, missed" in shown.out
    assert shown.err == "labels: share: 2 s, and the bar is 1.\n"


def test_a_bench_that_fails_is_named_and_those_behind_it_are_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def unanswered(setup: Setup) -> Report:
        raise Unanswered("nobody answered")

    async def broken(setup: Setup) -> Report:
        raise AttributeError("no such thing")

    async def measured(setup: Setup) -> Report:
        return _report("third")

    for name, ran in (("first", unanswered), ("second", broken), ("third", measured)):
        monkeypatch.setitem(sys.modules, f"scripts.benches.{name}", SimpleNamespace(run=ran))
    monkeypatch.setattr(run, "NAMES", ("first", "second", "third"))
    monkeypatch.setattr(run, "_refusal", lambda setup, names: "")
    assert run.main(["all", "--json"]) == 1
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    sentences = ("first: nobody answered.", "second failed by a fault of its own: AttributeError: no such thing.")
    assert [one["name"] for one in said["benches"]] == ["third"]
    assert said["status"] == "failed" and said["error"]["message"] == " ".join(sentences)
    assert shown.err.splitlines()[-2:] == list(sentences)
    assert run.main(["all"]) == 1
    assert capsys.readouterr().out.startswith("third: a made-up bench")


def test_a_run_replaces_its_own_section_of_the_page_and_no_other() -> None:
    machine = {"processor": "p", "cores": 2, "llama_cpp_python": "1", "load_before": 0.0}
    first = page.with_section("# Title\n", "one", page.section(_report("one"), machine))
    both = page.with_section(first, "two", page.section(_report("two"), machine))
    again = page.with_section(both, "one", page.section(_report("one", 8.0), machine))
    assert again.count("## one") == again.count("## two") == 1
    assert again.startswith("# Title\n")
    assert "| speed | tok/s | 6 (5 to 7)" in again
    assert "| `-fa on` | 9.5 |" in again


def test_what_was_measured_before_a_run_is_cut_off_is_on_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def cut_off(setup: Setup) -> Report:
        setup.keep(_report("x", 8.0))
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "scripts.benches.x", SimpleNamespace(run=cut_off))
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    page.PAGE.write_text("# Title\n")
    with pytest.raises(KeyboardInterrupt):
        run._one(Setup(tmp_path, "m", True), "x", write_page=False)
    assert page.PAGE.read_text() == "# Title\n"
    with pytest.raises(KeyboardInterrupt):
        run._one(Setup(tmp_path, "m", True), "x", write_page=True)
    assert "| speed | tok/s | 6 (5 to 7)" in page.PAGE.read_text()


def test_prompts_are_the_same_on_every_run_and_differ_by_seed() -> None:
    assert texts.filler(50, 1) == texts.filler(50, 1) != texts.filler(50, 2)
    assert len({texts.question(n) for n in range(200)}) == 200


@pytest.mark.parametrize("name", run.NAMES)
def test_every_bench_can_be_imported_and_says_what_it_is_for(name: str) -> None:
    module = __import__(f"scripts.benches.{name}", fromlist=["ABOUT"])
    assert module.ABOUT and callable(module.run)
    assert name in (run.__doc__ or "")


def test_a_wrong_name_is_wrong_use() -> None:
    with pytest.raises(SystemExit) as ended:
        run.main(["dance"])
    assert ended.value.code == 2


def test_a_model_that_is_missing_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["labels", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["status"] == "failed"
    assert "covey models pull" in said["error"]["message"]
