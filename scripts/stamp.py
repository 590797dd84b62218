"""The mark inside .venv that says how far its set-up got; read at each start, so it imports little."""

from __future__ import annotations

import hashlib
import os

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
CONSTRAINTS = os.path.join(ROOT, "constraints", "constraints.txt")
BUILD_CONSTRAINTS = os.path.join(ROOT, "constraints", "build.txt")
STARTED = "started"
_STAMP = os.path.join(VENV, "covey-setup")
"""First line: `started`, or `ready <digest> <root>`. Second line: the extras that are installed."""


def is_ready(extras: tuple[str, ...]) -> bool:
    """Return whether .venv is complete, is what the clone asks for, and has these extras."""
    state, installed = read()
    return state == ready_line() and set(extras) <= set(installed) and os.access(PYTHON, os.X_OK)


def read() -> tuple[str, list[str]]:
    """Return the state line and the installed extras; an empty line when there is no stamp."""
    try:
        with open(_STAMP, encoding="utf-8") as file:
            state, _, extras = file.read().partition("\n")
    except (OSError, UnicodeDecodeError):
        return "", []
    return state, extras.split()


def write(state: str, extras: tuple[str, ...] = ()) -> None:
    """Replace the stamp in one step."""
    temporary = f"{_STAMP}.new"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{state}\n{' '.join(extras)}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, _STAMP)


def ready_line() -> str:
    """Return the state line of a .venv that was made for this clone, at this place, as it is now."""
    digest = hashlib.sha256()
    for name in (os.path.join(ROOT, "pyproject.toml"), CONSTRAINTS):
        with open(name, "rb") as file:
            digest.update(file.read() + b"\0")
    return f"ready {digest.hexdigest()} {ROOT}"
