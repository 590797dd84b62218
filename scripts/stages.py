"""Runs the checks of the project one after another, all of them, and says at the end which failed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import first_start
import stamp

SCRIPT_MODULES = sorted(str(file) for file in Path(stamp.ROOT, "scripts").glob("*.py"))
MODELS = ("smollm2-135m", "bge-small-en", "reranker-en", "qwen2.5-coder-0.5b")
"""The starter set, and the larger model that a part of the real tests is about."""
PARALLEL = "2"
"""Test processes at once: what the smallest machine has cores for."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One check: the commands that must all succeed."""

    name: str
    commands: tuple[tuple[str, ...], ...]


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (stamp.PYTHON, "-m", name, *arguments)


LINT = Stage("lint", (tool("ruff", "format", "--check", "."), tool("ruff", "check", ".")))
TYPES = Stage(
    "types",
    (
        tool("mypy"),
        tool("mypy", "--explicit-package-bases", *SCRIPT_MODULES),
        tool("mypy", "--explicit-package-bases", "-p", "scripts.benches"),
    ),
)
FAST_TESTS = Stage("tests", (tool("pytest", "-q", "-n", PARALLEL, "-m", "not real and not slow"),))
UNIT_TESTS = Stage("unit tests", (tool("pytest", "-q", "-n", PARALLEL, "-m", "not real"),))
REAL_TESTS = Stage("real-model tests", (tool("pytest", "-q", "-m", "real"),))
PULL = Stage("models", tuple(tool("runtime.cli.main", "models", "pull", model) for model in MODELS))
SIZES = Stage("sizes", ((stamp.PYTHON, str(Path(stamp.ROOT, "scripts", "sizes.py"))),))
SCRIPTS = {
    "lint": (LINT,),
    "check": (LINT, TYPES, FAST_TESTS, SIZES),
    "test": (LINT, TYPES, PULL, UNIT_TESTS, REAL_TESTS),
}


def main(script: str) -> int:
    """Set up what is missing, then run the stages of one script and return the exit code."""
    ended = first_start.set_up(("dev",), sys.argv[1:])
    if ended is not None:
        return ended
    home = test_home(os.environ)
    environ = {**os.environ, "COVEY_TEST_HOME": home, "COVEY_HOME": home, "MYPYPATH": f"scripts{os.pathsep}."}
    try:
        return summary([(stage, *run(stage, environ)) for stage in SCRIPTS[script]])
    except KeyboardInterrupt:
        return 130


def run(stage: Stage, environ: Mapping[str, str]) -> tuple[bool, float]:
    """Run all commands of a stage, also after one failed; return whether all succeeded, and the seconds taken."""
    print(f"--- {stage.name}", flush=True)
    began = time.monotonic()
    codes = [subprocess.run(command, cwd=stamp.ROOT, env=environ, check=False).returncode for command in stage.commands]
    return not any(codes), time.monotonic() - began


def summary(outcomes: Sequence[tuple[Stage, bool, float]]) -> int:
    """Print one line for each stage and return the exit code of the whole."""
    print("---")
    for stage, passed, seconds in outcomes:
        print(f"{'ok    ' if passed else 'FAILED'}  {stage.name} ({seconds:.0f} s)")
    return 0 if all(passed for _, passed, _ in outcomes) else 1


def test_home(environ: Mapping[str, str]) -> str:
    """Return the folder whose models the tests use; it is shared by all runs, so that models are pulled once."""
    cache = environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return environ.get("COVEY_TEST_HOME") or os.path.join(cache, "covey-test")
