"""A suite from beginning to end on a scripted subject: rows, halves, heads, pools, comparisons, pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import NotInstalled
from models.heads.head import Head, save
from models.types import Digest, Json, Refusal, RefusalCode, Request, Result
from runtime.evals import page
from runtime.evals.cases import cases_of
from runtime.evals.errors import RowsError, RunMissing, SuiteSkipped
from runtime.evals.evaluate import Wanted, evaluate
from runtime.evals.halves import half
from runtime.evals.prepare import Place
from runtime.evals.report import Report
from runtime.evals.subject import ScriptedSubject
from runtime.evals.suite import Head as HeadOfSuite
from runtime.evals.suite import Retrieval, Source, Suite

SOURCE = Source("tiny", "{label}", {"text": "{text}"})
SUITE = Suite("tiny", "Echoes.", "echo", (SOURCE,), ("accuracy", "coverage"), "CC0-1.0", limit=0)
ENCODER = Digest("e" * 64)
WORDS = ("cat", "dog", "fish", "bird")


def place(tmp_path: Path, rows: Sequence[dict[str, Json]], name: str = "dev") -> Place:
    folder = tmp_path / "data" / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Place(tmp_path / "data", tmp_path / "home" / "evals")


def echo(request: Request) -> Result:
    return Result(output=request.input["text"], model="echo-1", artifacts=(Digest("a" * 64),))


def embed(request: Request) -> Result:
    """One axis a word, so that texts with the same word are alike."""
    texts = request.input["texts"]
    assert isinstance(texts, list)
    vectors: list[Json] = [[float(word in str(text)) for word in WORDS] for text in texts]
    return Result(output=vectors, artifacts=(ENCODER,), model="scripted")


async def measured(
    at: Place, suite: Suite = SUITE, subject: ScriptedSubject | None = None, wanted: Wanted | None = None
) -> Report:
    chosen = subject or ScriptedSubject(echo)
    return await evaluate(suite, chosen, at, wanted or Wanted(), router=chosen)


ROWS: list[dict[str, Json]] = [{"id": str(n), "text": f"t{n}", "label": f"t{n}" if n % 4 else "x"} for n in range(40)]


async def test_only_the_reporting_half_is_reported(tmp_path: Path) -> None:
    report = await measured(place(tmp_path, ROWS))
    assert report.rows == sum(half(row) == "reporting" for row in ROWS)
    assert report.origin == "tiny: reporting half"
    assert list(report.metrics) == ["accuracy", "coverage"]
    assert report.models == {"echo-1": ("a" * 64,)}


async def test_a_given_file_is_taken_whole(tmp_path: Path) -> None:
    at = place(tmp_path, ROWS)
    other = tmp_path / "mine.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    report = await measured(at, wanted=Wanted(rows=other))
    assert report.rows == 40
    assert report.metrics["accuracy"].value == 30 / 40
    assert (await measured(at, wanted=Wanted(rows=other, limit=7))).rows == 7


async def test_absent_data_skips_the_suite_and_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(SuiteSkipped, match="COVEY_DATA"):
        await measured(Place(tmp_path / "nowhere", tmp_path / "home"))


async def test_a_row_without_a_field_stops_with_file_and_row(tmp_path: Path) -> None:
    other = tmp_path / "mine.jsonl"
    other.write_text('{"id": 1, "text": "a", "label": "a"}\n{"id": 2, "label": "b"}\n')
    with pytest.raises(RowsError, match=r"mine\.jsonl, row 2: the field 'text' is missing"):
        await measured(place(tmp_path, ROWS), wanted=Wanted(rows=other))


async def test_rows_are_chosen_by_their_fields(tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [{**row, "lang": "en" if n % 2 else "de"} for n, row in enumerate(ROWS)]
    english = replace(SUITE, half="all", sources=(replace(SOURCE, where={"lang": "en"}),))
    both = replace(english, sources=(replace(SOURCE, where={"lang": ["en", "de"]}),))
    at = place(tmp_path, rows)
    assert (await measured(at, english)).rows == 20
    assert (await measured(at, both)).rows == 40
    with pytest.raises(SuiteSkipped, match="No row fits"):
        await measured(at, replace(english, sources=(replace(SOURCE, where={"lang": "fr"}),)))


def test_a_row_that_stands_twice_is_asked_once(tmp_path: Path) -> None:
    at = place(tmp_path, [*ROWS, ROWS[0]])
    assert len(cases_of(replace(SUITE, half="all"), at.data)) == 40


async def test_groups_are_reported_apart(tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [{**row, "kind": "even" if n % 2 == 0 else "odd"} for n, row in enumerate(ROWS)]
    report = await measured(place(tmp_path, rows), replace(SUITE, half="all", by="kind"))
    assert report.groups["odd"].value == 1.0
    assert report.groups["even"].value == 0.5


async def test_the_confusion_table_counts_every_row_once(tmp_path: Path) -> None:
    def reply(request: Request) -> Result:
        text = str(request.input["text"])
        refusal = Refusal(RefusalCode.NOT_SURE, "Say more.") if text == "t8" else None
        return Result(output=None if refusal else "x" if text in {"t4", "t5"} else text, refusal=refusal)

    rows: list[dict[str, Json]] = [{"id": n, "text": f"t{n}", "label": "x" if n == 4 else f"t{n}"} for n in range(9)]
    rows[7] = {"id": 7, "text": "y", "label": "t7", "also": ["y"]}
    suite = replace(SUITE, half="all", confusion=True, sources=(replace(SOURCE, also="also"),))
    report = await measured(place(tmp_path, rows), suite, ScriptedSubject(reply))
    assert sum(count for _, _, count in report.confusion) == 9
    mistakes = [one for one in report.confusion if one[0] != one[1]]
    assert mistakes == [("t5", "x", 1), ("t8", "refused", 1)]
    table = page.matrix((("a", "a", 3), ("a", "b", 1), ("b", "refused", 2)))
    assert table == ["| | a | b | refused |", "|---|---|---|---|", "| a | 3 | 1 |  |", "| b |  |  | 2 |"]
    assert "\n".join(page.matrix(report.confusion)) in page.section(report, command="c", machine="m")
    assert "t8:" in "\n".join(page.lines(report))


async def test_a_run_is_compared_row_by_row_with_an_earlier_one(tmp_path: Path) -> None:
    at = place(tmp_path, ROWS)
    suite = replace(SUITE, half="all")
    earlier = await measured(at, suite)

    def worse(request: Request) -> Result:
        return Result(output="wrong" if request.input["text"] in {"t1", "t2", "t3"} else request.input["text"])

    report = await measured(at, suite, ScriptedSubject(worse, "worse"), Wanted(against=earlier.run_id))
    assert report.comparison is not None
    assert report.comparison.paired.difference == pytest.approx(-3 / 40)
    assert (report.comparison.paired.better, report.comparison.paired.worse) == (0, 3)
    assert report.to_json()["comparison"]
    by_file = await measured(at, suite, wanted=Wanted(against=str(at.runs / f"{earlier.run_id}.json")))
    assert by_file.comparison is not None
    assert by_file.comparison.verdict.startswith("Not worse:")


async def test_a_suite_whose_encoder_is_absent_is_skipped(tmp_path: Path) -> None:
    def missing(request: Request) -> Result:
        raise NotInstalled("Model 'm' is not on this device; run `covey models pull m`.")

    at = place(tmp_path, PASSAGES)
    with pytest.raises(SuiteSkipped, match="covey models pull m"):
        await measured(at, RETRIEVE, ScriptedSubject(missing))


@pytest.mark.parametrize("content", ["not json", "{}", '{"report": {}, "values": {}}'])
async def test_what_is_no_run_can_not_be_compared_with(tmp_path: Path, content: str) -> None:
    at = place(tmp_path, ROWS)
    file = tmp_path / "run.json"
    file.write_text(content)
    with pytest.raises(RunMissing):
        await measured(at, wanted=Wanted(against=str(file)))
    with pytest.raises(RunMissing, match="There is no run 'never'"):
        await measured(at, wanted=Wanted(against="never"))


async def test_an_unknown_run_is_told_before_anything_runs(tmp_path: Path) -> None:
    subject = ScriptedSubject(echo)
    with pytest.raises(RunMissing):
        await measured(place(tmp_path, ROWS), subject=subject, wanted=Wanted(against="never"))
    assert subject.asked == []


HEADED = replace(SUITE, kind="head", half="all", capability="classify", head=HeadOfSuite("animals"))


def animals(folder: Path, encoder: Digest = ENCODER) -> None:
    folder.mkdir(parents=True)
    weights = np.eye(4, 3, dtype=np.float32) * 9
    save(Head("animals", WORDS[:3], weights, np.zeros(3, np.float32), 1.0, 0.5, encoder), folder)


async def test_a_fitted_head_labels_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    at = place(tmp_path, [{"id": w, "text": f"a {w}", "label": w} for w in WORDS])
    animals(at.heads)
    report = await measured(at, HEADED, ScriptedSubject(embed))
    assert report.metrics["accuracy"].value == 3 / 4
    assert report.metrics["coverage"].value == 3 / 4


async def test_a_head_of_another_encoder_is_not_used(tmp_path: Path) -> None:
    at = place(tmp_path, [{"id": w, "text": f"a {w}", "label": w} for w in WORDS])
    animals(at.heads, Digest("f" * 64))
    with pytest.raises(SuiteSkipped, match="another encoder"):
        await measured(at, HEADED, ScriptedSubject(embed))


async def test_nothing_is_fitted_unless_asked_for(tmp_path: Path) -> None:
    rows: list[dict[str, Json]] = [
        {"id": f"{w}{n}", "text": f"{w} number {n}", "label": w} for w in WORDS for n in range(20)
    ]
    at = place(tmp_path, rows)
    place(tmp_path, rows, "train")
    with pytest.raises(SuiteSkipped, match="--fit"):
        await measured(at, HEADED, ScriptedSubject(embed))
    assert not at.heads.exists()
    report = await measured(at, HEADED, ScriptedSubject(embed), Wanted(fit=True))
    assert report.metrics["accuracy"].value == 1.0
    fitted = (at.heads / "animals.npz").read_bytes()
    assert (await measured(at, HEADED, ScriptedSubject(embed))).metrics["accuracy"].value == 1.0
    assert (at.heads / "animals.npz").read_bytes() == fitted


RETRIEVE = replace(
    SUITE,
    kind="retrieve",
    half="all",
    capability="retrieve",
    metrics=("recall_at_1", "mrr"),
    sources=(Source("tiny", "{passage}", {"query": "{question}"}),),
    retrieval=Retrieval(),
)
PASSAGES: list[dict[str, Json]] = [{"id": w, "question": f"which {w}?", "passage": f"the {w} sat"} for w in WORDS]


async def test_each_query_must_find_its_own_passage_in_the_pool(tmp_path: Path) -> None:
    again: dict[str, Json] = {**PASSAGES[0], "id": "again"}
    report = await measured(place(tmp_path, [*PASSAGES, again]), RETRIEVE, ScriptedSubject(embed))
    assert report.metrics["recall_at_1"].value == 1.0


async def test_the_reranker_has_the_last_word_on_the_nearest(tmp_path: Path) -> None:
    def reply(request: Request) -> Result:
        if request.capability == "embed":
            return embed(request)
        passages = request.input["passages"]
        assert isinstance(passages, list)
        backwards: list[Json] = [{"index": n, "score": 1.0} for n in reversed(range(len(passages)))]
        return Result(output=backwards)

    suite = replace(RETRIEVE, retrieval=Retrieval(rerank=2))
    report = await measured(place(tmp_path, PASSAGES), suite, ScriptedSubject(reply))
    assert report.metrics["recall_at_1"].value == 0.0
    assert report.metrics["mrr"].value == 0.5


async def test_code_is_never_run_without_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    subject = ScriptedSubject(echo)
    with pytest.raises(SuiteSkipped, match="bwrap, which is not installed"):
        await measured(place(tmp_path, ROWS), replace(SUITE, needs=("bwrap",)), subject)
    assert subject.asked == []


async def test_the_page_keeps_other_sections_and_replaces_its_own(tmp_path: Path) -> None:
    report = await measured(place(tmp_path, ROWS))
    file = tmp_path / "docs" / "evaluation.md"
    page.write(file, report, command="covey eval --suite tiny", machine="a small one")
    page.write(file, replace(report, suite="other"), command="covey eval --suite other", machine="m")
    file.write_text(file.read_text() + "\nWritten by hand.\n")
    page.write(file, replace(report, rows=99), command="covey eval --suite tiny", machine="m")
    text = file.read_text()
    assert text.count("<!-- begin tiny -->") == text.count("<!-- end tiny -->") == 1
    assert "99 rows" in text
    assert "## other" in text
    assert text.rstrip().endswith("Written by hand.")
    assert "| accuracy |" in text
    assert "`covey eval --suite tiny`" in text
