"""Which version of the wire two devices speak: the highest that both know, and never a lower one than before."""

from __future__ import annotations

from peers.errors import VersionMismatch
from peers.messages import Hello


def agree(ours: Hello, theirs: Hello, *, before: int = 0) -> int:
    """Return the version to speak. `before`: the one spoken with this very device last. Raises VersionMismatch.

    A lower one than before is refused: whoever sits in between must not be able to bring back an old weakness.
    """
    version = min(ours.max, theirs.max)
    if version < max(ours.min, theirs.min) or theirs.min > theirs.max:
        raise VersionMismatch(
            f"This device speaks versions {ours.min} to {ours.max} of the wire, the other one {theirs.min} to "
            f"{theirs.max}. Update Covey on the older of the two."
        )
    if version < before:
        raise VersionMismatch(
            f"The other device spoke version {before} of the wire before, and now only {version}. If you put an older "
            "Covey on it, pair it again."
        )
    return version
