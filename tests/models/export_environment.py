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
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
PINS = [ROOT / "constraints" / "constraints.txt", ROOT / "constraints" / "export.txt"]
NOT_NEEDED = "llama-cpp-python"
"""Takes minutes to build, and converting doesn't use it."""
MAKE_S = 900.0
"""Seconds for the making: 200 MB of PyTorch and 150 MB of the rest from an index."""
KEPT_S = 7 * 86_400.0
"""Seconds after which an environment with other pins goes: 1.4 GB each, and another checkout may be using it."""


def python() -> Path:
    """Return the interpreter; skips the test where the environment can't be made."""
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
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install")
    torch = next(line for line in PINS[1].read_text().splitlines() if line.startswith("torch=="))
    report = folder / "torch.json"
    _run(*pip, "--dry-run", "--no-deps", "--ignore-installed", f"--report={report}", torch)
    (found,) = json.loads(report.read_text())["install"]
    if sys.platform == "linux" and not found["metadata"]["version"].endswith("+cpu"):
        pytest.skip(
            f"pip finds {torch} only with libraries for graphics cards, several gigabytes; "
            "put the CPU wheel where pip looks for it (PIP_FIND_LINKS)"
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["export"]]
    wanted = [one for one in wanted if re.split("[<>=]", one)[0] != NOT_NEEDED]
    _run(*pip, *wanted, *(f"--constraint={path}" for path in PINS))


def _run(*command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=MAKE_S)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no environment with PyTorch: {(error.stderr.strip().splitlines() or ['?'])[-1][:300]}")
    except subprocess.TimeoutExpired:
        pytest.skip(f"no environment with PyTorch: pip took more than {MAKE_S:.0f} s")
