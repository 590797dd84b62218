"""`covey traces` as it is typed: what is printed, what is one JSON object, which exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.conversations import ConversationFiles
from models.types import Label, Tier
from runtime import paths
from runtime.cli.main import main
from runtime.cli.traces import parse_age_s
from runtime.db import Database
from runtime.errors import UsageError
from runtime.events import TaskCompleted, TaskSubmitted
from runtime.journal import Journal
from runtime.task import TaskId
from runtime.trace.spans import STEP, TASK, Tracer
from runtime.trace.store import TraceStore

FIRST, SECOND = TaskId("a1b2c3d4" * 4), TaskId("a1b2ffff" * 4)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def asked(home: Path) -> Path:
    """Return a home in which two requests were answered."""
    with Database(paths.journal_file(home)) as database:
        journal = Journal(database)
        for task, text in ((FIRST, "Where is the zebra?"), (SECOND, "What is 2 + 2?")):
            request = journal.put_content(task, text, Label.PERSONAL)
            journal.append(task, TaskSubmitted(request, Label.PERSONAL, Tier.DEVICE))
            tracer = Tracer(task)
            with tracer.span(TASK, {"covey.answer": f"answer to {text}"}):
                with tracer.span(STEP, {"covey.specialist": "answer", "covey.confidence": 0.5}):
                    pass
            output = journal.put_content(task, f"answer to {text}", Label.PERSONAL)
            journal.append(task, TaskCompleted(output, 0.5))
            TraceStore(journal).save(task, tracer.finished, Label.PERSONAL)
    return home


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["traces", *arguments]) == 0
    return capsys.readouterr().out


def one_object(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    found = json.loads(printed(capsys, *arguments, "--json"))
    assert isinstance(found, dict)
    return found


def test_list_shows_the_newest_first(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "list").splitlines()
    assert [line.split()[0] for line in lines] == ["a1b2ffff", "a1b2c3d4"]
    assert "“Where is the zebra?”" in lines[1]
    assert len(printed(capsys, "list", "--limit", "1").splitlines()) == 1


def test_list_is_one_object(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces = one_object(capsys, "list")["traces"]
    assert [(one["trace_id"], one["status"]) for one in traces] == [(SECOND, "completed"), (FIRST, "completed")]


def test_without_traces_every_view_still_works(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "covey ask" in printed(capsys, "list")
    assert "covey ask" in printed(capsys, "stats")
    assert one_object(capsys, "list") == {"traces": []}
    assert one_object(capsys, "stats")["tasks"] == 0


@pytest.mark.parametrize("which", [["last"], [], ["a1b2f"], [SECOND]])
def test_show_last_and_unique_beginnings(asked: Path, capsys: pytest.CaptureFixture[str], which: list[str]) -> None:
    shown = printed(capsys, "show", *which)
    assert f"Trace {SECOND}" in shown
    assert "“answer to What is 2 + 2?”" in shown


def test_show_is_one_object(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = one_object(capsys, "show", "a1b2c3")
    assert (shown["trace_id"], shown["request"]) == (FIRST, "Where is the zebra?")
    assert shown["answer"] == "answer to Where is the zebra?"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "a1b2"], "More than one trace"),
        (["show", "0000"], "No trace begins with 0000"),
        (["show", "x"], "not a trace id"),
        (["forget"], "Say what to forget"),
        (["forget", "last", "--all"], "Say what to forget"),
        (["forget", "--before", "soon"], "write it like 30m"),
        (["list", "--limit", "0"], "--limit"),
        (["unknown"], "unknown"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(
    asked: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["traces", *arguments, "--json"]) == 2
    ended = capsys.readouterr()
    assert said in ended.err
    assert said in json.loads(ended.out)["error"]["message"]


def test_forget_removes_the_text_of_one(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Forgot 2 texts of 1 requests" in printed(capsys, "forget", "a1b2c3d4")
    assert "zebra" not in printed(capsys, "list")
    assert "2 + 2" in printed(capsys, "list")
    journal = b"".join(one.read_bytes() for one in asked.glob("journal.sqlite3*") if not one.name.endswith("-shm"))
    assert b"zebra" not in journal


def test_forget_by_age_and_all(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert one_object(capsys, "forget", "--before", "1d") == {"forgotten_tasks": 0, "forgotten_texts": 0}
    assert one_object(capsys, "forget", "--all") == {"forgotten_tasks": 2, "forgotten_texts": 4}


def test_stats_name_the_specialists(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "answer       2 runs, 0 failed" in printed(capsys, "stats")
    assert one_object(capsys, "stats")["specialists"]["answer"]["runs"] == 2


def test_a_damaged_journal_is_one_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths.journal_file(home).write_bytes(b"not a database " * 300)
    assert main(["traces", "list", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "journal_corrupt"


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("12h", 43_200), (" 7D ", 604_800), ("0d", 0)])
def test_ages_are_read(text: str, seconds: int) -> None:
    assert parse_age_s(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "9999999d", "1w"])
def test_other_ages_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_age_s(text)


def test_forget_removes_what_models_kept_of_conversations(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ConversationFiles("model").write(paths.conversations_dir(asked) / ("a" * 32), range(100), b"state")
    printed(capsys, "forget", "a1b2c3d4")
    assert not list(paths.conversations_dir(asked).glob("*.state"))


@pytest.mark.parametrize(
    "damage",
    ["UPDATE event SET body = '{}'", "UPDATE span SET attributes = '[]'", "UPDATE span SET attributes = '{\"a\": {}}'"],
)
def test_entries_that_make_no_sense_are_one_sentence(
    asked: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    with Database(paths.journal_file(asked)) as database, database.writing() as db:
        db.execute(damage)
    for words in (["list"], ["show", "last"], ["stats"]):
        assert main(["traces", *words, "--json"]) == 1
        said = json.loads(capsys.readouterr().out)
        assert said["error"]["code"] == "journal_corrupt" and "Move" in said["error"]["message"]
