"""What tells this machine from another that got a copy of its disk.

Only a keyed hash is kept: the machine's own id stays with the machine. Where the system names none
(some containers), the result is empty and a copied disk is not noticed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

SOURCES = (Path("/etc/machine-id"), Path("/sys/firmware/devicetree/base/serial-number"))
"""The system's own id, and the serial number of a small board: its memory card carries the first one along."""
MAX_BYTES = 256
"""These files hold one line; more is not an id."""
_COMMAND_TIMEOUT_S = 5.0


def machine_mark(sources: Sequence[Path] = SOURCES, platform: str = sys.platform) -> str:
    """Return 64 hexadecimal digits that are the same on every start of this machine, or nothing."""
    parts = [found for source in sources if (found := _read(source))]
    if not parts and platform in _ELSEWHERE:
        parts = [found for found in [_ELSEWHERE[platform]()] if found]
    if not parts:
        return ""
    return hmac.digest(b"covey machine mark", b"\0".join(parts), hashlib.sha256).hex()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).strip(b"\0\n ")
    except OSError:
        return b""


def _mac() -> bytes:
    return _printed(["ioreg", "-rd1", "-c", "IOPlatformExpertDevice"], rb'"IOPlatformUUID" = "([0-9A-F-]+)"')


def _windows() -> bytes:
    key = r"HKLM\SOFTWARE\Microsoft\Cryptography"
    return _printed(["reg", "query", key, "/v", "MachineGuid"], rb"MachineGuid\s+REG_SZ\s+([0-9A-Fa-f-]+)")


def _printed(command: list[str], pattern: bytes) -> bytes:
    try:
        run = subprocess.run(command, capture_output=True, timeout=_COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return b""
    match = re.search(pattern, run.stdout)
    return match[1] if match else b""


_ELSEWHERE: dict[str, Callable[[], bytes]] = {"darwin": _mac, "win32": _windows}
