"""The way from a clone to a running command: compare a stamp, hand over. All else only when it is needed."""

from __future__ import annotations

import os

import stamp


def main(arguments: list[str]) -> int:
    """Run a covey command line; returns only when there was nothing to hand over to."""
    if not stamp.is_ready(()):
        import first_start  # slow, and needed once in the life of a clone

        ended = first_start.first_start(arguments)
        if ended is not None:
            return ended
    # -P: a file in the current folder must not shadow a library
    os.execv(stamp.PYTHON, [stamp.PYTHON, "-P", "-m", "runtime.cli.main", *arguments])
