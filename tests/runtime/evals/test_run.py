"""Runs resume, never ask twice, and forget what a changed specialist said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.errors import ContextOverflow, NotInstalled
from models.types import Json, Refusal, RefusalCode, Request, Result, Usage
from runtime.evals.cases import Case
from runtime.evals.errors import SuiteSkipped
from runtime.evals.results import Answered, Results, key_of
from runtime.evals.run import Run, outcome, run
from runtime.evals.subject import ScriptedSubject


def cases(count: int) -> list[Case]:
    return [Case(f"tiny/{n}", Request("echo", {"text": str(n)}), str(n)) for n in range(count)]


def echo(request: Request) -> Result:
    return Result(output=request.input["text"], confidence=0.5, usage=Usage(completion_tokens=2), model="m")


async def ran(home: Path, subject: ScriptedSubject, count: int = 5, **more: int) -> Run:
    with Results(home / "results.sqlite3") as results:
        return await run(cases(count), subject, results, **more)  # type: ignore[arg-type]


async def test_outcomes_keep_the_order_of_the_rows(tmp_path: Path) -> None:
    made = await ran(tmp_path, ScriptedSubject(echo), 20, concurrency=4)
    assert [one.answer for one in made.outcomes] == [str(n) for n in range(20)]
    assert made.models == {"m": ()}


async def test_a_second_run_asks_nothing(tmp_path: Path) -> None:
    first = await ran(tmp_path, ScriptedSubject(echo))
    again = ScriptedSubject(echo)
    second = await ran(tmp_path, again)
    assert again.asked == []
    assert second.cached == 5
    assert second.outcomes == first.outcomes


async def test_a_fresh_run_asks_every_row_again(tmp_path: Path) -> None:
    await ran(tmp_path, ScriptedSubject(echo))
    again = ScriptedSubject(echo)
    made = await ran(tmp_path, again, fresh=True)
    assert (len(again.asked), made.cached) == (5, 0)


async def test_a_changed_specialist_is_asked_afresh(tmp_path: Path) -> None:
    await ran(tmp_path, ScriptedSubject(echo, "one"))
    changed = ScriptedSubject(echo, "two")
    made = await ran(tmp_path, changed)
    assert (len(changed.asked), made.cached) == (5, 0)


async def test_a_changed_row_is_asked_afresh_and_the_others_are_not(tmp_path: Path) -> None:
    await ran(tmp_path, ScriptedSubject(echo), 5)
    grown = ScriptedSubject(echo)
    await ran(tmp_path, grown, 6)
    assert [request.input["text"] for request in grown.asked] == ["5"]


async def test_a_row_that_fails_counts_as_unanswered_and_is_tried_again_next_time(tmp_path: Path) -> None:
    def third_fails(request: Request) -> Result:
        if request.input["text"] == "2":
            raise ContextOverflow("2,049 tokens do not fit into 2,048; ask for less.")
        return echo(request)

    made = await ran(tmp_path, ScriptedSubject(third_fails))
    assert made.errors == {"context_overflow": 1}
    assert [one.refused for one in made.outcomes] == [None, None, "context_overflow", None, None]
    later = ScriptedSubject(echo)
    assert not (await ran(tmp_path, later)).errors
    assert len(later.asked) == 1


async def test_where_every_row_fails_the_first_error_is_told(tmp_path: Path) -> None:
    def fails(request: Request) -> Result:
        raise ContextOverflow(f"row {request.input['text']} does not fit; ask for less.")

    with pytest.raises(ContextOverflow, match="row 0"):
        await ran(tmp_path, ScriptedSubject(fails))


async def test_an_absent_model_skips_the_suite(tmp_path: Path) -> None:
    def missing(request: Request) -> Result:
        raise NotInstalled("Model 'm' is not on this device; run `covey models pull m`.")

    def refused(request: Request) -> Result:
        return Result(refusal=Refusal(RefusalCode.MODEL_MISSING, "Pull a model first."))

    for reply in (missing, refused):
        with pytest.raises(SuiteSkipped, match=r"[Pp]ull"):
            await ran(tmp_path, ScriptedSubject(reply), concurrency=3)


KILLED = """
import asyncio, sys, time
from pathlib import Path
from models.types import Result
from runtime.evals.results import Results
from runtime.evals.run import run
from runtime.evals.subject import ScriptedSubject
from tests.runtime.evals.test_run import cases

asked = open(sys.argv[2], "a", buffering=1)

def slow(request):
    asked.write(request.input["text"] + "\\n")
    time.sleep(0.02)
    return Result(output=request.input["text"])

async def main():
    with Results(Path(sys.argv[1])) as results:
        made = await run(cases(60), ScriptedSubject(slow), results)
    print(made.cached, len(made.outcomes))

asyncio.run(main())
"""


def test_a_killed_run_goes_on_and_no_finished_row_is_asked_twice(tmp_path: Path) -> None:
    kept, asked = tmp_path / "results.sqlite3", tmp_path / "asked"
    command = [sys.executable, "-c", KILLED, str(kept), str(asked)]
    root = Path(__file__).parents[3]
    first = subprocess.Popen(command, cwd=root, env=dict(os.environ))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (not asked.exists() or len(asked.read_text().split()) < 15):
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = asked.read_text().split()
    assert 15 <= len(before) < 60
    second = subprocess.run(command, cwd=root, env=dict(os.environ), capture_output=True, text=True, check=True)
    cached, rows = map(int, second.stdout.split())
    assert rows == 60
    after = asked.read_text().split()[len(before) :]
    assert cached >= len(before) - 1, "at most the row it was at is lost"
    assert set(after) & set(before[:-1]) == set()
    assert len(after) == 60 - cached
    assert set(before) | set(after) == {str(n) for n in range(60)}


async def test_kept_results_are_private_to_the_owner(tmp_path: Path) -> None:
    await ran(tmp_path, ScriptedSubject(echo))
    assert (tmp_path / "results.sqlite3").stat().st_mode & 0o077 == 0


def test_json_of_a_request_does_not_depend_on_the_order_of_its_fields() -> None:
    left = key_of(Request("echo", {"a": 1, "b": 2}), "f")
    assert left == key_of(Request("echo", {"b": 2, "a": 1}), "f")
    assert left != key_of(Request("echo", {"b": 2, "a": 1}), "g")


@pytest.mark.parametrize(
    ("kept", "valid"),
    [
        (Answered({"year": 2026}), True),
        (Answered({"year": "soon"}), False),
        (Answered(None, refused="not_sure"), None),
    ],
)
def test_an_output_is_held_against_the_schema_that_was_asked_for(kept: Answered, valid: bool | None) -> None:
    schema: Json = {"type": "object", "properties": {"year": {"type": "integer"}}}
    case = Case("tiny/0", Request("extract", {"text": "in 2026", "schema": schema}), {"year": 2026})
    assert outcome(case, kept, "as_is").valid is valid
