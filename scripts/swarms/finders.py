"""Discovery programs on the hosts of a made-up network, and what they say: for tests and benches."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers import membership
from peers.grants import own_device
from peers.pairing import Paired
from peers.state import NodeState, open_state
from scripts.swarms.lan import Host
from scripts.swarms.nodes import ROOT

UP_S = 20.0
"""For Python to start on a machine that has other work."""


class NotHeard(AssertionError):
    """A discovery program did not say in time what it should."""


def nodes(home: Path, names: Sequence[str]) -> dict[str, NodeState]:
    """Return the states of nodes that are all paired with each other."""
    made = {name: open_state(home / name, machine="") for name in names}
    for name, state in made.items():
        for other, known in made.items():
            if other != name:
                membership.admit(state, Paired(known.identity.public, other, (), 1), own_device())
    return made


@dataclass
class Finder:
    """One discovery program on one host, and what it said."""

    process: subprocess.Popen[str]
    up_s: float = 0.0
    """When it said that it is up, by the clock that never jumps."""
    heard_at_s: float = 0.0
    """When it said what was waited for last."""
    _said: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)

    def listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(json.loads(line))

    def wait(self, within_s: float, event: str, **what: str) -> float:
        """Return the seconds until it said this. Raises NotHeard when it does not in time."""
        began = time.monotonic()
        heard = []
        while (left_s := began + within_s - time.monotonic()) > 0:
            try:
                said = self._said.get(timeout=left_s)
            except queue.Empty:
                break
            heard.append(said)
            if said["event"] == event and all(said.get(name) == value for name, value in what.items()):
                self.heard_at_s = float(said["at_s"])
                return time.monotonic() - began
        raise NotHeard(f"no {event} {what} within {within_s} s, but {heard}")

    def drain(self) -> list[dict[str, Any]]:
        """Return what it has said since, and forget it."""
        said = []
        while not self._said.empty():
            said.append(self._said.get())
        return said


@contextmanager
def finder(host: Host, home: Path, where: str = "home", port: int = 4489) -> Iterator[Finder]:
    """A node's discovery on a host, up and running."""
    line = host.command(sys.executable, "-m", "scripts.swarms.finder", str(home), str(port), where)
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        made = Finder(process)
        listening = threading.Thread(target=made.listen, daemon=True)
        listening.start()
        try:
            made.wait(UP_S, "up")
            made.up_s = made.heard_at_s
            yield made
        finally:
            process.terminate()
            process.wait(10)
            listening.join(5)
