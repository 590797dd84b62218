"""A clone whose set-up is real (pip, a virtual environment, processes) but installs only a made-up wheel, offline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "covey"
version = "0.1.0"
[project.optional-dependencies]
dev = []
"""
BACKEND = '''
"""Builds the editable wheel: the clone on the path, and stand-ins for the libraries that set-up tries."""
import pathlib, time, zipfile

INFO = "covey-0.1.0.dist-info"
METADATA = "Metadata-Version: 2.1\\nName: covey\\nVersion: 0.1.0\\nProvides-Extra: dev\\n"

def prepare_metadata_for_build_editable(folder, config_settings=None):
    (pathlib.Path(folder) / INFO).mkdir()
    (pathlib.Path(folder) / INFO / "METADATA").write_text(METADATA)
    return INFO

def build_editable(folder, config_settings=None, metadata_directory=None):
    here = pathlib.Path(__file__).parent
    while (here / "slow").exists():
        time.sleep(0.05)
    if (here / "broken").exists():
        raise SystemExit("error: made to fail")
    name = "covey-0.1.0-py3-none-any.whl"
    files = {
        "covey.pth": str(here),
        "llama_cpp.py": "",
        "onnxruntime.py": (here / "onnxruntime.txt").read_text() if (here / "onnxruntime.txt").exists() else "",
        "llguidance.py": "",
        INFO + "/METADATA": METADATA,
        INFO + "/WHEEL": "Wheel-Version: 1.0\\nGenerator: made-up\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
        wheel.writestr(INFO + "/RECORD", "".join(f"{path},,\\n" for path in [*files, INFO + "/RECORD"]))
    return name
'''


@dataclass(frozen=True, slots=True)
class Clone:
    """A folder that looks like a fresh clone to its own scripts."""

    root: Path
    environ: dict[str, str]

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / "covey-setup"

    @property
    def state(self) -> str:
        return self.stamp.read_text().split()[0]

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.root / "scripts" / "covey"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.environ, **environ},
        )

    def covey(self, *arguments: str, **environ: str) -> Ended:
        process = self.start(*arguments, **environ)
        out, err = process.communicate(timeout=100)
        return Ended(process.returncode, out, err)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> dict[str, str]:
        """The error of the one JSON object on stdout."""
        whole = json.loads(self.out)
        assert whole["status"] == "failed"
        error: dict[str, str] = whole["error"]
        return error


def make(folder: Path) -> Clone:
    """Lay out a made-up clone in an empty folder."""
    root = folder / "clone"
    leave_out = shutil.ignore_patterns("__pycache__", "*.npz")
    for name in ("scripts", "runtime", "hub", "peers", "models"):
        shutil.copytree(ROOT / name, root / name, ignore=leave_out)
    (root / "constraints").mkdir()
    (root / "constraints" / "constraints.txt").write_text("llama-cpp-python==0.3.36\n")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_CACHE_DIR": str(folder / "cache"),
    }
    return Clone(root, environ)
