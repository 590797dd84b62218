"""A set-up is survived: interrupted, killed, refused, repeated, raced. Every process here is a real one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scripts.made_up_clone import ROOT, Clone, make

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone that has been set up by its first command; tests leave it usable."""
    clone = make(tmp_path_factory.mktemp("finished"))
    ended = clone.covey("--version")
    assert (ended.code, ended.out) == (0, "covey 0.1.0\n"), ended.err
    assert "Covey is set up" in ended.err
    assert "\x1b" not in ended.err and "\r" not in ended.err, "no terminal, no control characters"
    return clone


def wait_until(true: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def is_building(clone: Clone) -> Callable[[], bool]:
    """True once pip builds the made-up wheel, that is, in the middle of a set-up."""
    log = clone.root / ".venv" / "covey-setup.log"
    return lambda: log.exists() and "Building editable for covey" in log.read_text()


def test_a_second_command_sets_nothing_up(finished: Clone) -> None:
    before = finished.stamp.stat().st_mtime_ns
    ended = finished.covey("--version")
    assert (ended.code, ended.out, ended.err) == (0, "covey 0.1.0\n", "")
    assert finished.stamp.stat().st_mtime_ns == before


def test_it_runs_from_any_folder_and_through_a_symlink(finished: Clone, tmp_path: Path) -> None:
    link = tmp_path / "covey"
    link.symlink_to(finished.root / "scripts" / "covey")
    run = subprocess.run([link, "--version"], cwd="/", env=finished.environ, capture_output=True, text=True, check=True)
    assert run.stdout == "covey 0.1.0\n"


def test_files_in_the_current_folder_shadow_no_library(finished: Clone, tmp_path: Path) -> None:
    for name in ("json.py", "typer.py", "runtime.py", "stamp.py"):
        (tmp_path / name).write_text("raise SystemExit('taken from the current folder')")
    script = str(finished.root / "scripts" / "covey")
    run = subprocess.run(
        [sys.executable, script, "--help"],
        cwd=tmp_path,
        env=finished.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0 and "Commands:" in run.stdout


def test_set_up_runs_nothing_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    current = tmp_path / "current"
    current.mkdir()
    for name in ("venv.py", "pip.py", "onnxruntime.py"):
        (current / name).write_text("raise SystemExit('taken from the current folder')")
    monkeypatch.chdir(current)
    ended = make(tmp_path).covey("--version")
    assert (ended.code, ended.out) == (0, "covey 0.1.0\n"), ended.err


def test_other_pins_are_noticed_and_installed_in_place(finished: Clone) -> None:
    (finished.root / "constraints" / "constraints.txt").write_text("llama-cpp-python==0.3.36\nnumpy==2.4.6\n")
    kept = finished.root / ".venv" / "kept"
    kept.touch()
    ended = finished.covey("--version")
    assert ended.code == 0 and "Covey is set up" in ended.err
    assert kept.exists(), "what is there is brought up to date, not made anew"


def test_a_clone_that_was_moved_is_set_up_again(finished: Clone, tmp_path: Path) -> None:
    moved = Clone(tmp_path / "moved", finished.environ)
    shutil.copytree(finished.root, moved.root, symlinks=True)
    assert "Covey is set up" in moved.covey("--version").err
    assert moved.covey("--version").err == ""


def test_a_failed_install_names_its_log_and_can_be_repeated(tmp_path: Path) -> None:
    clone = make(tmp_path)
    (clone.root / "broken").touch()
    failed = clone.covey("--version", "--json")
    assert failed.code == 1
    assert failed.error["code"] == "setup_failed"
    assert "covey-setup.log" in failed.error["message"] and failed.error["message"] in failed.err
    assert clone.state == "started"
    (clone.root / "broken").unlink()
    assert clone.covey("--version").out == "covey 0.1.0\n"


def test_an_interrupted_setup_ends_its_children_and_can_be_repeated(tmp_path: Path) -> None:
    clone = make(tmp_path)
    slow = clone.root / "slow"
    slow.touch()
    process = clone.start("ask", "hello", "--json")
    wait_until(is_building(clone))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert '"code": "interrupted"' in out and "Run the same command again" in err
    assert clone.state == "started"
    left = subprocess.run(["pgrep", "-f", str(clone.root)], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    slow.unlink()
    assert clone.covey("--version").out == "covey 0.1.0\n"


def test_a_killed_setup_is_waited_for_and_then_made_anew(tmp_path: Path) -> None:
    """Killed outright, its pip lives on: the next set-up must not write into the same place meanwhile."""
    clone = make(tmp_path)
    slow = clone.root / "slow"
    slow.touch()
    first = clone.start("--version")
    wait_until(is_building(clone))
    first.kill()
    first.communicate()
    half_made = clone.root / ".venv" / "half-made"
    half_made.touch()
    second = clone.start("--version")
    assert second.stderr is not None
    assert "waiting for another set-up" in second.stderr.readline()
    slow.unlink()
    out, err = second.communicate(timeout=100)
    assert (second.returncode, out) == (0, "covey 0.1.0\n"), err
    assert not half_made.exists()


def test_two_first_commands_at_once_set_up_once(tmp_path: Path) -> None:
    clone = make(tmp_path)
    both = [clone.start("--version") for _ in range(2)]
    ended = [process.communicate(timeout=100) for process in both]
    assert [out for out, _ in ended] == ["covey 0.1.0\n"] * 2
    assert sum("Covey is set up" in err for _, err in ended) == 1


def bin_without_compiler(tmp_path: Path) -> str:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    return str(folder)


def test_a_missing_compiler_is_said_before_anything_large_is_loaded(tmp_path: Path) -> None:
    clone = make(tmp_path)
    ended = clone.covey("ask", "hello", "--json", PATH=bin_without_compiler(tmp_path))
    assert ended.code == 1
    assert "no C++ compiler" in ended.error["message"] and "install" in ended.error["message"]
    assert "Building editable" not in (clone.root / ".venv" / "covey-setup.log").read_text()


def test_an_owners_own_wheel_needs_no_compiler(tmp_path: Path) -> None:
    clone = make(tmp_path)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    info = "llama_cpp_python-0.3.36.dist-info"
    with zipfile.ZipFile(wheels / "llama_cpp_python-0.3.36-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: 0.3.36\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    ended = clone.covey("--version", PATH=bin_without_compiler(tmp_path), PIP_FIND_LINKS=str(wheels))
    assert ended.out == "covey 0.1.0\n", ended.err


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ImportError('libgomp.so.1: cannot open shared object file')", "sudo apt install libgomp1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "built for another processor"),
    ],
)
def test_a_library_that_does_not_load_is_explained(body: str, said: str, tmp_path: Path) -> None:
    clone = make(tmp_path)
    (clone.root / "onnxruntime.txt").write_text(body)
    ended = clone.covey("ask", "hello", "--json")
    assert ended.code == 1 and said in ended.error["message"]
    assert clone.state == "started"


def test_a_clone_that_cannot_be_written_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The owner of everything is refused nothing: as root the command runs as another user."""
    folder = Path("/tmp") / f"covey-read-only-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        clone = make(folder)
        clone.root.chmod(0o555)
        other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        python = next(p for p in ("/usr/bin/python3", sys.executable) if os.access(p, os.X_OK))
        command = [python, str(clone.root / "scripts" / "covey"), "ask", "hello"]
        run = subprocess.run(
            command,
            env={"PATH": os.defpath},
            capture_output=True,
            text=True,
            check=False,
            **other,  # type: ignore[call-overload]
        )
        assert run.returncode == 1
        assert "can't be written" in run.stderr and run.stdout == ""
    finally:
        (folder / "clone").chmod(0o755)
        shutil.rmtree(folder)


def test_the_scripts_of_the_clone_are_those_of_this_repository(finished: Clone) -> None:
    """The made-up clone tests what people run."""
    for script in (ROOT / "scripts").iterdir():
        if script.is_file():
            assert (finished.root / "scripts" / script.name).read_bytes() == script.read_bytes()
