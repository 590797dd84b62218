"""Runs a module with all of Covey's libraries: sets up what is missing, then hands over."""

from __future__ import annotations

import os
import sys

import first_start
import stamp


def main(module: str) -> int:
    """Run a module of this clone; returns only when it could not be set up."""
    ended = first_start.set_up((), sys.argv[1:])
    if ended is not None:
        return ended
    os.environ["PYTHONPATH"] = stamp.ROOT
    os.execv(stamp.PYTHON, [stamp.PYTHON, "-m", module, *sys.argv[1:]])
