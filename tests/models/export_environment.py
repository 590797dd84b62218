"""An environment of its own with PyTorch, for the tests that convert checkpoints: made once, kept in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
PINS = [ROOT / "constraints" / "constraints.txt", ROOT / "constraints" / "export.txt"]
NOT_NEEDED = "llama-cpp-python"
"""Takes minutes to build, and converting doesn't use it."""
MAKE_S = 900.0
"""Seconds for the making: 200 MB of PyTorch and 150 MB of the rest from an index."""
REQUIRED = "COVEY_REQUIRE_EXPORT"
"""Set to 1 where these tests must not be skipped."""
KEPT_S = 7 * 86_400.0
"""Seconds after which an environment with other pins goes: 1.4 GB each, and another checkout may be using it."""


def python() -> Path:
    """Return the interpreter; skips the test where the environment can't be made, or fails it (REQUIRED)."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "covey-test"
    cache.mkdir(parents=True, exist_ok=True)
    said = b"".join(path.read_bytes() for path in PINS) + sys.version.encode()
    folder = cache / f"export-{hashlib.sha256(said).hexdigest()[:12]}"
    with FileLock(cache / "export.lock"):
        if not (folder / "ready").exists():
            for old in cache.glob("export-*/"):
                if time.time() - old.stat().st_mtime > KEPT_S:
                    shutil.rmtree(old, ignore_errors=True)
            _make(folder)
            (folder / "ready").touch()
    return folder / "bin" / "python"


def _make(folder: Path) -> None:
    run(sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    torch = next(line for line in PINS[1].read_text().splitlines() if line.startswith("torch=="))
    report = folder / "torch.json"
    run(*pip, "--dry-run", "--no-deps", "--ignore-installed", f"--report={report}", torch)
    (found,) = json.loads(report.read_text())["install"]
    if sys.platform == "linux" and not found["metadata"]["version"].endswith("+cpu"):
        _untested(f"pip finds {torch} only with libraries for graphics cards, several gigabytes")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["export"]]
    wanted = [one for one in wanted if re.split("[<>=]", one)[0] != NOT_NEEDED]
    run(*pip, *wanted, *(f"--constraint={path}" for path in PINS))


def run(*command: str) -> None:
    """Run a command of the making."""
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=MAKE_S)
    except subprocess.CalledProcessError as error:
        _untested(f"{_named(command)} failed: {(error.stderr.strip().splitlines() or ['?'])[-1][:300]}")
    except subprocess.TimeoutExpired:
        _untested(f"{_named(command)} took more than {MAKE_S:.0f} s")


def _named(command: Sequence[str]) -> str:
    """Return a command as it is told: its program and what it was to do, not the hundred packages."""
    return f"`{' '.join([Path(command[0]).name, *command[1:]])[:120]}`"


def _untested(why: str) -> NoReturn:
    """Skip what can't be tested here, and say how it can; fail where it was asked for."""
    reason = (
        f"converting checkpoints is not tested, as the environment with PyTorch can't be made: {why}. "
        "Put its CPU wheel where pip looks for it (PIP_FIND_LINKS), then run `pytest tests/models/test_conversion.py`; "
        f"{REQUIRED}=1 makes this a failure."
    )
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
