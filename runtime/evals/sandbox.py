"""Runs a row's tests on code that a model wrote, shut in: no network, no private files, little memory and time.

Nothing is ever run without the sandbox.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from runtime.evals.cases import Case
from runtime.evals.results import Answered

TIME_S = 10
"""Wall seconds; the tests of these sets take milliseconds, an endless loop takes for ever."""
MEMORY_KB = 512 * 1024
"""Address space, so that a runaway list does not take the machine down."""
ANSWER = "<<answer>>"
"""Where the answer stands in a row's program."""


def judge(case: Case, kept: Answered) -> bool:
    """Return whether the answer passes the case's tests."""
    if not isinstance(kept.output, str):
        return False
    return passes(case.tests.replace(ANSWER, kept.output))


def passes(program: str) -> bool:
    """Return whether a Python program ends without an error inside the sandbox."""
    limited = f"ulimit -v {MEMORY_KB} -t {TIME_S}; exec {sys.executable} -I -S -"
    try:
        ended = subprocess.run(
            [*_shut_in(), "/bin/sh", "-c", limited],
            input=program.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIME_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def _shut_in() -> list[str]:
    """Return the command before the command: new namespaces, system folders read-only, the rest empty."""
    folders = [path for path in ("/usr", "/bin", "/lib", "/lib64", "/etc/alternatives", sys.base_prefix, sys.prefix)]
    binds = [word for path in dict.fromkeys(folders) if Path(path).exists() for word in ("--ro-bind", path, path)]
    return [
        shutil.which("bwrap") or "bwrap",
        *("--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
        *binds,
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"),
    ]
