"""One line that says what a long command is doing, and for how long; its output goes to a log."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, TextIO

TICK_S = 0.25
PLAIN_EVERY_S = 30.0
"""Without a terminal, a step that goes on is repeated this often, so that a log shows life."""
STOP_S = 20.0
"""How long pip may take to tidy up after an interrupt."""
COMPILING = "only once; 4 to 8 minutes on two cores"

_STEPS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"^\s*Downloading (\S+) \(([^)]+)\)", lambda m: f"downloading {_short(m[1])} ({m[2]})"),
    (r"^\s*Collecting ([A-Za-z0-9._-]+)", lambda m: f"loading {m[1]}"),
    (r"^\s*\[(\d+)/(\d+)\] ", lambda m: f"compiling llama.cpp, step {m[1]} of {m[2]} ({COMPILING})"),
    (r"^\s*Building wheel for llama", lambda m: f"compiling llama.cpp ({COMPILING})"),
    (r"^Installing collected packages: (.*)", lambda m: f"unpacking {m[1].count(',') + 1} packages"),
)


class Line:
    """A line on stderr: rewritten in place on a terminal, printed anew elsewhere; never with colours."""

    def __init__(self, stream: TextIO = sys.stderr, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._printed = ("", 0.0)
        self._width = 0

    def show(self, text: str) -> None:
        """Show what is going on now, with the time since the set-up began."""
        seconds = int(self._clock() - self._started)
        line = f"Setting up Covey, {seconds // 60}:{seconds % 60:02}: {text}"
        if self._stream.isatty():
            line = line[: shutil.get_terminal_size().columns - 1]
            self._write(f"\r{line:<{self._width}}")
            self._width = len(line)
        else:
            kind, now = text.partition(" ")[0], self._clock()
            if kind != self._printed[0] or now - self._printed[1] >= PLAIN_EVERY_S:
                self._printed = (kind, now)
                self._write(f"{line}\n")

    def close(self) -> None:
        """Leave the cursor on an empty line."""
        if self._width:
            self._write(f"\r{'':<{self._width}}\r")
            self._width = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def run(command: Sequence[str], line: Line, what: str, *, log: str, environ: Mapping[str, str], keep_open: int) -> int:
    """Run a command with its output in the log file, and return its exit code.

    `keep_open` is the lock: the command inherits it, so that nobody starts a second set-up while
    this one still works, even when this process has been killed.
    """
    line.show(what)
    with open(log, "ab") as sink, open(log, encoding="utf-8", errors="replace") as reader:
        reader.seek(0, os.SEEK_END)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=environ,
            start_new_session=True,
            pass_fds=(keep_open,),
        )
        try:
            return _watch(process, reader, line, what)
        finally:
            stop(process)


def _watch(process: subprocess.Popen[bytes], reader: IO[str], line: Line, what: str) -> int:
    step = what
    while True:
        try:
            return process.wait(TICK_S)
        except subprocess.TimeoutExpired:
            step = step_in(reader.read()) or step
            line.show(step)


def step_in(output: str) -> str:
    """Return the last step that a piece of pip's output tells of, or nothing."""
    for text in reversed(output.splitlines()):
        for pattern, say in _STEPS:
            if found := re.search(pattern, text):
                return say(found)
    return ""


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a command and all it started: politely, then not; a second Ctrl-C skips the politeness."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sign)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            continue
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _short(file: str) -> str:
    """Return the name and version of a wheel or archive."""
    return "-".join(file.rpartition("/")[2].split("-")[:2])
