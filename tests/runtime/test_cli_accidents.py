"""What an owner types by accident: files without an end, closed handles, numbers that are none. One sentence each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub.hubs import Hubs
from runtime.cli.main import main

COVEY = f"{sys.executable} -m runtime.cli.main"
SUM = "What is 2 + 2?"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COVEY_OFFLINE", "1")
    monkeypatch.setattr(sys, "stdin", None)
    yield


def _sentence(capsys: pytest.CaptureFixture[str], *words: str, code: int = 2) -> str:
    """Run a command that fails, plain and with --json, and return its one sentence."""
    assert main([*words]) == code
    plain = capsys.readouterr()
    assert (plain.out, plain.err.count("\n")) == ("", 1), plain
    assert "should not" not in plain.err, "an error that nobody foresaw"
    assert main([*words, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["error"]["message"] == plain.err.strip()
    return plain.err


@pytest.mark.parametrize("command", [["peers", "at"], ["hub", "add"], ["models", "show"], ["specialists", "add"]])
def test_a_missing_argument_points_at_the_help_of_that_very_command(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"Run `covey {' '.join(command)} --help`" in _sentence(capsys, *command)


@pytest.mark.parametrize(
    "words",
    [
        ["ask", "x", "--schema"],
        ["ask", "what is it?", "--file"],
        ["specialists", "add"],
        ["specialists", "add", "triage", "--examples"],
        ["models", "add"],
        ["eval", "--suite", "trec", "--rows"],
    ],
)
@pytest.mark.parametrize("kind", ["endless", "pipe"])
@pytest.mark.timeout(20)
def test_a_file_without_an_end_is_not_read(
    words: list[str], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path("/dev/zero")
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    code = (
        1
        if words == ["ask", "what is it?", "--file"] or (words[0] == "specialists" and "--examples" not in words)
        else 2
    )
    assert path.name in _sentence(capsys, *words, str(path), code=code)


def test_a_schema_in_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "s.json").write_text('{"type": "object"}')
    assert main(["plan", "Ann is 3", "--schema", "~/s.json", "--json"]) == 0


@pytest.mark.parametrize("price", ["nan", "inf"])
def test_a_price_that_is_no_number_is_refused_and_leaves_the_list_whole(
    price: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["hub", "add", "far", "https://hub.example/v1", "--model", "m", "--price-in", price, "--price-out", "1"]
    assert "price" in _sentence(capsys, *words)
    assert Hubs(tmp_path / "home").all() == []


@pytest.mark.parametrize("url", ["https://[::1", "https://host:x/v1", "https://host:99999/v1", "https://a b/v1"])
def test_an_address_that_is_none_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no address of a hub" in _sentence(capsys, "hub", "add", "far", url, "--model", "m")


@pytest.mark.parametrize("name", ["x" * 65, "two\nlines", "\x1b[31mred"])
def test_a_name_that_no_screen_can_show_is_refused_before_a_window_opens(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--name" in _sentence(capsys, "pair", "--name", name)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_closed_handles_hurt_neither_the_answer_nor_the_journal(closed: str, tmp_path: Path) -> None:
    run = subprocess.run(
        ["sh", "-c", f"{COVEY} ask '{SUM}' --json {closed}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    if ">&- " not in f"{closed} ".replace("2>&-", ""):
        assert json.loads(run.stdout)["answer"] == "2 + 2 = 4"
    again = subprocess.run(["sh", "-c", f"{COVEY} traces list --json"], capture_output=True, text=True, timeout=60)
    assert len(json.loads(again.stdout)["traces"]) == 1
    wrong = subprocess.run(
        ["sh", "-c", f"{COVEY} ask x --tier moon --json {closed}"], capture_output=True, text=True, timeout=60
    )
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr + wrong.stdout


def test_json_keeps_every_letter_whatever_the_terminal_is(tmp_path: Path) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "runtime.cli.main", "traces", "show", "last", "--json"]
    asked = [sys.executable, "-m", "runtime.cli.main", "ask", "€ 12 * 12 ☂", "--as", "calculate"]
    subprocess.run(asked, env=environ, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    run = subprocess.run(command, env=environ, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert "☂" in json.loads(run.stdout.decode())["request"]


def test_a_line_that_is_too_long_is_no_two_turns(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "runtime.cli.main", "chat"],
        input=b"x" * 300_000 + b"\n2 + 2\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, b"")
    assert b"longer than 256 KB" in run.stderr


def test_an_age_beyond_all_ages_forgets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ask", SUM]) == 0
    capsys.readouterr()
    assert main(["traces", "forget", "--before", "999999d", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["forgotten_tasks"] == 0


def test_a_bound_that_is_no_number_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--guard" in _sentence(capsys, "models", "tune", "--guard", "nan")


def test_what_an_error_quotes_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = _sentence(capsys, "ask", "x", "--file", f"{tmp_path}/a\x1b[2J\nb")
    assert "\x1b" not in said and "There is no file" in said


@pytest.fixture
def full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home on a disk without room."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a disk")
    try:
        monkeypatch.setenv("COVEY_HOME", str(folder / "home"))
        (folder / "home" / "hubs").mkdir(parents=True)
        with suppress(OSError):
            (folder / "fill").write_bytes(b"x" * 10**6)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=False)


@pytest.mark.parametrize(
    "words",
    [
        ["ask", SUM],
        ["peers", "list"],
        ["ledger", "list"],
        ["hub", "token", "kitchen"],
        ["budget", "--day", "--tokens", "5"],
        ["specialists", "add", "docs/examples/chores.toml"],
    ],
)
def test_on_a_full_disk_the_next_step_is_to_make_room(
    words: list[str], full_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _sentence(capsys, *words, code=1)
    assert "ree some space" in said or "ree space" in said, said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ledger", "export", "--to", "/nonexistent/x.jsonl"], "/nonexistent/x.jsonl can't be written"),
        (["ledger", "export", "--to", "/"], "Choose another file"),
        (["pair", "--own", "--host", "999.1.1.1"], "can't wait at 999.1.1.1"),
        (["pair", "--own", "--host", "192.0.2.1"], "can't wait at 192.0.2.1"),
    ],
)
def test_a_place_that_is_none_is_named_as_it_was_typed(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVEY_DISCOVERY", "off")
    assert main([*words]) == 2
    said = capsys.readouterr()
    assert says in said.err and (said.out, said.err.count("\n")) == ("", 1)


def test_a_hub_at_an_address_of_another_device_says_which_it_may_have(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["hub", "serve", "--host", "192.0.2.1", "--port", "0"]
    assert "is no address of this device" in _sentence(capsys, *words, code=1)


def test_a_home_that_is_a_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "file"))
    assert f"folder {tmp_path / 'file'} can't be" in _sentence(capsys, "ask", SUM, code=1)
