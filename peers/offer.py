"""An open pairing window as a file, so that the command that opens it need not be the process that serves it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from peers.codes import Invitation, Pin, parse_code
from peers.errors import BadCode
from peers.grants import Grant
from peers.private_files import write_whole

FILE = "pairing.json"
MAX_FILE_BYTES = 16 * 1024

_GRANT: TypeAdapter[Grant] = TypeAdapter(Grant)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the owner opened the window for."""

    codes: tuple[Pin | Invitation, ...]
    grant: Grant
    """What the other device may do once it is paired."""
    opened_ns: int
    """Nanoseconds since 1970."""
    name: str = ""
    """What the other device should call this one; empty leaves it to the process that serves."""
    sign: str = ""
    """The name that its owner chose to have announced on the home network while the window is open."""


def path_in(folder: Path) -> Path:
    return folder / FILE


def write(folder: Path, offer: Offer) -> None:
    """Open the window for the process that serves this node's port. Raises OSError."""
    codes = [code.digits.reveal() if isinstance(code, Pin) else code.text for code in offer.codes]
    grant = _GRANT.dump_python(offer.grant, mode="json")
    content = {"codes": codes, "grant": grant, "opened_ns": offer.opened_ns, "name": offer.name, "sign": offer.sign}
    write_whole(path_in(folder), json.dumps(content).encode(), synced=False)


def load(folder: Path) -> Offer | None:
    """Return the window that was opened last; None when there is none, or its file is damaged."""
    try:
        with path_in(folder).open("rb") as file:
            data = json.loads(file.read(MAX_FILE_BYTES))
        codes = tuple(parse_code(text) for text in data["codes"])
        grant = _GRANT.validate_python(data["grant"])
        name, sign = str(data.get("name", "")), str(data.get("sign", ""))
        return Offer(codes, grant, int(data["opened_ns"]), name, sign)
    except (OSError, ValueError, KeyError, TypeError, BadCode, ValidationError):
        return None


def close(folder: Path) -> None:
    """Close the window."""
    path_in(folder).unlink(missing_ok=True)
