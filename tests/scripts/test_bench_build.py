"""Building the reference: once, outside the clone, and with a sentence when it fails."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benches import build

ROOT = Path(__file__).resolve().parents[2]


def _run(cache: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.benches.build", "--json"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_what_is_built_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in build.PROGRAMS:
        program = build.program(name)
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(0o755)
    run = _run(tmp_path)
    assert run.returncode == 0
    assert set(json.loads(run.stdout)["programs"]) == set(build.PROGRAMS)
    assert not run.stderr


def test_a_cache_that_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    run = _run(tmp_path / "cache")
    assert run.returncode == 1
    assert json.loads(run.stdout)["error"]["message"] in run.stderr
    assert "Traceback" not in run.stderr


def test_the_build_lies_outside_the_clone() -> None:
    assert not build.folder().is_relative_to(ROOT)


@pytest.mark.parametrize("tool", ["cmake", "ninja"])
def test_the_build_tools_have_pins(tool: str) -> None:
    assert re.search(rf"^{tool}==", build.BUILD_CONSTRAINTS.read_text(), re.MULTILINE)
