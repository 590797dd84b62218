"""Devices of one household as real processes on loopback, each with a home of its own, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "runtime.cli.main")
ROOT = Path(__file__).parents[2]


@dataclass
class Device:
    """One device and the process of its node."""

    home: Path
    process: subprocess.Popen[str]
    up: dict[str, Any]
    """What `covey up --json` said."""

    def run(self, *arguments: str) -> dict[str, Any]:
        return run(self.home, *arguments)


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "COVEY_HOME": str(home), "COVEY_DISCOVERY": "lo", "COVEY_OFFLINE": "1"}


def run(home: Path, *arguments: str) -> dict[str, Any]:
    """Return the object that a command printed."""
    done = subprocess.run(
        [*COMMAND, *arguments, "--json"],
        env=environment(home),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@contextmanager
def device(home: Path) -> Iterator[Device]:
    """A device whose node is up."""
    command = [*COMMAND, "up", "--port", "0", "--peer-port", "0", "--json"]
    with subprocess.Popen(command, env=environment(home), cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Device(home, process, json.loads(process.stdout.readline()))
        finally:
            process.kill()


def pair(shows: Device, types: Device, name: str) -> None:
    """Pair two devices as their owner does."""
    shown = shows.run("pair", "--name", name)
    joined = types.run("pair", "--code", shown["code"], "--at", shown["addresses"][0], "--name", f"of-{name}")
    assert joined["paired"]["name"] == name
