"""Where a running node waits for its peers, as a file, so that `covey pair` can tell the other device."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peers.codes import Address
from peers.door import listen
from peers.private_files import write_whole

FILE = "serving.json"
MAX_FILE_BYTES = 4096


@contextmanager
def announced(folder: Path, place: Address) -> Iterator[None]:
    """Let others of this device's programs know the place as long as the block lasts. Raises OSError."""
    write_whole(folder / FILE, json.dumps({"host": place.host, "port": place.port}).encode(), synced=False)
    try:
        yield
    finally:
        (folder / FILE).unlink(missing_ok=True)


def serving_at(folder: Path) -> Address | None:
    """Return where the running node waits; None when none does (a crash leaves its file behind)."""
    try:
        with (folder / FILE).open("rb") as file:
            data = json.loads(file.read(MAX_FILE_BYTES))
        place = Address(str(data["host"]), int(data["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return place if is_taken(place) else None


def is_taken(place: Address) -> bool:
    """Return whether something listens at a place of this device already."""
    try:
        listen(place.host, place.port).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # any other reason is said when it is really opened
    return False
