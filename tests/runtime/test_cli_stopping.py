"""Commands that stay up end as they should, however they are told: real processes, signals, and a real terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from runtime import paths
from tests.models import tiny_gguf

ROOT = Path(__file__).parents[2]
UP = ("up", "--port", "0", "--peer-port", "0")
HUB = ("hub", "serve", "--port", "0")
STOPPING = b"Stopping: the requests at hand may end."
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def heard_hangup() -> Iterator[None]:
    """Let SIGHUP have its usual effect in what is started here, also where these tests run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def started(home: Path, command: Sequence[str], *before: str) -> subprocess.Popen[bytes]:
    """Return a command that has said that it is up."""
    environ = {**os.environ, "COVEY_HOME": str(home), "COVEY_DISCOVERY": "lo", "COVEY_OFFLINE": "1"}
    line = [*before, sys.executable, "-m", "runtime.cli.main", *command, "--json"]
    process = subprocess.Popen(line, env=environ, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert b'"up"' in process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", [UP, HUB], ids=["up", "hub"])
def test_each_of_the_three_signals_ends_it_politely(
    tmp_path: Path, command: Sequence[str], number: signal.Signals
) -> None:
    process = started(tmp_path / "home", command)
    process.send_signal(number)
    try:
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, STOPPING in said) == (0, True), said.decode()


def test_with_nohup_it_outlives_its_terminal(tmp_path: Path) -> None:
    process = started(tmp_path / "home", UP, "nohup")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.0)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_terminal_that_is_closed_ends_it_as_politely(tmp_path: Path) -> None:
    """There is nobody left to write to, and the signal comes twice: the requests at hand may end all the same."""
    home = tmp_path / "home"
    environ = {**os.environ, "COVEY_HOME": str(home), "COVEY_DISCOVERY": "lo", "COVEY_OFFLINE": "1"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(sys.executable, [sys.executable, "-m", "runtime.cli.main", *UP], environ)
    shown = b""
    while b"Ctrl-C stops it.\r\n" not in shown:
        shown += os.read(terminal, 4096)
    assert (home / paths.NODE_SOCKET).exists()
    os.close(terminal)
    os.kill(pid, signal.SIGHUP)
    assert os.waitstatus_to_exitcode(_ended(pid)) == 0
    assert not (home / paths.NODE_SOCKET).exists()


def _ended(pid: int) -> int:
    """Return how a process ended. It has 30 seconds."""
    until_s = time.monotonic() + 30
    while time.monotonic() < until_s:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_adding_a_model_that_is_told_to_end_leaves_no_part_of_it(tmp_path: Path, number: signal.Signals) -> None:
    file, partial = tmp_path / "large.gguf", paths.models_dir(tmp_path / "home") / "partial"
    file.write_bytes(tiny_gguf.gguf())
    os.truncate(file, 512 * 1024 * 1024)  # takes no room here, and a second to copy
    line = [sys.executable, "-m", "runtime.cli.main", "models", "add", str(file)]
    process = subprocess.Popen(line, env={**os.environ, "COVEY_HOME": str(tmp_path / "home")}, cwd=ROOT)
    try:
        while not list(partial.glob("blob-*")):
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(number)
        assert process.wait(30) not in (0, None)
    finally:
        process.kill()
    assert list(partial.iterdir()) == []
