"""`covey eval` as a program: one JSON object, one sentence, the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.main import main
from runtime.evals.suite import QUICK_ROWS, read_suite, suite_files

ROOT = Path(__file__).parents[3]
SUITE = """
name = "sums"
summary = "Adds."
capability = "calculate"
metrics = ["number_match", "seconds_p50"]
licence = "CC0-1.0"
reader = "number"
half = "all"
[[sources]]
data = "sums"
expect = "{answer}"
input = { expression = "{text}" }
"""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


Covey = Callable[..., Done]


@pytest.fixture
def covey(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Covey:
    """Run a command line in this process: a start of Python for each would take a minute in all."""
    monkeypatch.setenv("COVEY_HOME", str(home))
    monkeypatch.setenv("COVEY_DATA", str(home / "data"))

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["covey", *arguments])
        code = main(arguments)
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "evals" / "suites").mkdir(parents=True)
    (tmp_path / "evals" / "suites" / "sums.toml").write_text(SUITE)
    folder = tmp_path / "data" / "sums"
    folder.mkdir(parents=True)
    rows = [{"id": n, "text": f"{n} + 1", "answer": n + 1 if n else 7} for n in range(10)]
    (folder / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def object_of(done: Done) -> dict[str, Any]:
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_json_is_one_object_with_the_headline_first(home: Path, covey: Covey) -> None:
    done = covey("eval", "--suite", "sums", "--json")
    assert done.returncode == 0, done.stderr
    found = object_of(done)
    assert {"suite", "rows", "metrics", "seconds", "models", "run_id"} <= set(found)
    assert list(found["metrics"]) == ["number_match", "seconds_p50"]
    assert found["metrics"]["number_match"]["value"] == 0.9
    low, high = found["metrics"]["number_match"]["interval"]
    assert low <= 0.9 <= high
    assert found["rows"] == 10


def test_a_file_of_rows_is_measured_and_compared_with_an_earlier_run(home: Path, covey: Covey) -> None:
    first = object_of(covey("eval", "--suite", "sums", "--json"))
    file = home / "mine.jsonl"
    file.write_text('{"id": 1, "text": "1 + 1", "answer": "2"}\n{"id": 2, "text": "2 + 1", "answer": "3"}\n')
    done = covey("eval", "--suite", "sums", "--rows", str(file), "--against", first["run_id"], "--json")
    found = object_of(done)
    assert found["rows"] == 2
    assert found["comparison"]["rows"] == 2
    assert found["comparison"]["verdict"].startswith("Not worse:")


def test_several_suites_are_one_object_too(home: Path, covey: Covey) -> None:
    done = covey("eval", "--suite", "sums", "--suite", "trec", "--json")
    found = object_of(done)
    assert [one["suite"] for one in found["suites"]] == ["sums", "trec"]
    assert "COVEY_DATA" in found["suites"][1]["skipped"]
    assert done.returncode == 0


def test_a_quick_look_takes_a_few_rows_of_every_suite(home: Path, covey: Covey) -> None:
    found = object_of(covey("eval", "--quick", "--json"))
    rows = {one["suite"]: one["rows"] for one in found["suites"]}
    assert rows.pop("sums") == QUICK_ROWS["each"] < 10
    every = suite_files(home / "evals" / "suites")
    asks_a_hub = {name for name, path in every.items() if read_suite(path).kind == "live"}
    assert set(rows) | {"sums"} == set(every) - asks_a_hub, "a hub is only asked where its suite is named"
    assert object_of(covey("eval", "--quick", "--suite", "sums", "--json"))["rows"] == QUICK_ROWS["each"]


def test_a_table_is_printed_for_people(home: Path, covey: Covey) -> None:
    done = covey("eval", "--suite", "sums", "--limit", "4", "--page", str(home / "page.md"))
    assert done.stdout.startswith("sums: 4 rows")
    assert "number_match" in done.stdout
    page = (home / "page.md").read_text()
    assert "`covey eval --suite sums --limit 4`" in page


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--suite", "trec"), 1, "COVEY_DATA"),
        (("--suite", "nope"), 2, "There is no suite 'nope'"),
        ((), 2, "at least one suite"),
        (("--suite", "sums", "--rows", "absent.jsonl"), 2, "There is no file absent.jsonl"),
        (("--suite", "sums", "--suite", "trec", "--rows", "x"), 2, "--rows goes with one --suite"),
        (("--suite", "sums", "--against", "never"), 2, "There is no run 'never'"),
        (("--suite", "sums", "--limit", "0"), 2, "limit"),
        (("--quick", "--limit", "3"), 2, "--quick chooses the rows itself"),
        (("--quick", "--page", "x.md"), 2, "too few rows"),
    ],
)
def test_wrong_use_is_one_sentence(home: Path, covey: Covey, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = covey("eval", *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    as_object = covey("eval", *arguments, "--json")
    assert as_object.returncode == code
    assert says in json.dumps(object_of(as_object), ensure_ascii=False)


def test_a_row_without_its_field_is_named(home: Path, covey: Covey) -> None:
    file = home / "mine.jsonl"
    file.write_text('{"id": 1, "text": "1 + 1", "answer": "2"}\n{"id": 2, "answer": "3"}\n')
    done = covey("eval", "--suite", "sums", "--rows", str(file))
    assert done.returncode == 1
    assert "mine.jsonl, row 2: the field 'text' is missing" in done.stderr


def test_the_list_names_suites_and_metrics(home: Path, covey: Covey) -> None:
    found = object_of(covey("eval", "--list", "--json"))
    assert {"trec", "routing", "sums"} <= {one["suite"] for one in found["suites"]}
    assert "accuracy" in found["metrics"]


def test_the_program_itself_answers(home: Path) -> None:
    environment = {**os.environ, "COVEY_HOME": str(home), "COVEY_DATA": str(home / "data")}
    command = [sys.executable, "-m", "runtime.cli.main", "eval", "--suite", "sums", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["rows"] == 10
