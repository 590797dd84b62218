"""Where a node keeps its state: one folder, every path in it named here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import platformdirs

from runtime.errors import HomeNotWritable

HOME_VARIABLE = "COVEY_HOME"
NODE_SOCKET = "node.sock"
"""In the home: where the running node hears its owner."""
FOLDER_MODE = 0o700
"""Owner only: the folder holds conversations and keys."""


def home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return this node's folder: COVEY_HOME if set, else the platform's folder for user data."""
    chosen = environ.get(HOME_VARIABLE, "")
    return (
        Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_data_dir("covey", appauthor=False))
    )


def ensure_home(root: Path) -> Path:
    """Create the folder, readable by its owner only, and return it. Raises HomeNotWritable."""
    try:
        root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(root, error) from error
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        raise not_writable(root)
    return root


def not_writable(root: Path, error: OSError | None = None) -> HomeNotWritable:
    """Return the error that says why the folder can't be used and what to do."""
    why = f" ({error.strerror})" if error is not None and error.strerror else ""
    return HomeNotWritable(
        f"Covey's folder {root} can't be written{why}. Make it writable, or set {HOME_VARIABLE} to a folder that is."
    )


def settings_file(root: Path) -> Path:
    return root / "settings.toml"


def journal_file(root: Path) -> Path:
    return root / "journal.sqlite3"


def models_dir(root: Path) -> Path:
    """The artifact store."""
    return root / "models"


def conversations_dir(root: Path) -> Path:
    """What models hold of conversations between two turns."""
    return root / "conversations"


def conversation(root: Path, conversation_id: str) -> Path | None:
    """Return the name under which a conversation's state is kept; None for an id that could lead elsewhere."""
    return conversations_dir(root) / conversation_id if re.fullmatch(r"[0-9a-f]{32}", conversation_id) else None


def specialists_dir(root: Path) -> Path:
    """Specialists that the owner added, one TOML file each."""
    return root / "specialists"
