"""Covey nodes as real processes, each with a home of its own: on loopback, or on hosts of a made-up LAN."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.swarms.lan import Host, Lan, lan

ROOT = Path(__file__).parents[2]
COVEY = (sys.executable, "-m", "runtime.cli.main")
UP_S = 60.0
"""For a node to say that it is up, on a machine that has other work."""
COMMAND_S = 180.0
"""For a command; an answer of a small model on a busy machine takes a minute."""
STOP_S = 30.0


class NodeError(Exception):
    """A node or one of its commands failed; the message says how."""


@dataclass
class SwarmNode:
    """One node: its home, the host it is on, and its process while it is up."""

    name: str
    home: Path
    host: Host | None = None
    """None: this machine's loopback."""
    process: subprocess.Popen[str] | None = None
    said: dict[str, Any] = field(default_factory=dict)
    """What `covey up --json` said."""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COVEY_")}
        far = "auto" if self.host else "lo"
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        return {**kept, "COVEY_HOME": str(self.home), "COVEY_DISCOVERY": far, "COVEY_OFFLINE": "1", "PYTHONPATH": path}

    def line(self, *words: str) -> list[str]:
        """Return the command line of a `covey` command on this node's host."""
        return [*(self.host.command() if self.host else ()), *COVEY, *words]

    def up(self, *words: str) -> None:
        """Start the node and wait until it listens. Raises NodeError."""
        ports = ("--port", "0", "--peer-port", "4489" if self.host else "0")
        self.process = subprocess.Popen(
            self.line("up", *ports, "--json", *words),
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        self.said = json.loads(_first_line(self.process, UP_S) or "{}")
        if self.said.get("status") != "up":
            raise NodeError(f"{self.name} did not start: {self.said}")

    def run(self, *words: str, within_s: float = COMMAND_S) -> dict[str, Any]:
        """Return the object that a command of this node printed; an error of the command is an object too."""
        done = subprocess.run(
            self.line(*words, "--json"),
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        try:
            found = json.loads(done.stdout)
        except ValueError as error:
            raise NodeError(f"{self.name}: covey {' '.join(words)}: {done.stderr.strip()[-500:]}") from error
        assert isinstance(found, dict)
        return found

    @contextmanager
    def terminal(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A command of this node that goes on, as in a terminal of its own."""
        with subprocess.Popen(
            self.line(*words),
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def down(self) -> None:
        """End the node as Ctrl-C does; past the time limit, as a power cut does."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._closed()

    def kill(self) -> None:
        """End the node as a power cut does, with the model's processes."""
        if self.process is not None:
            for pid in [*_children(self.process.pid), self.process.pid]:
                _signal(pid, signal.SIGKILL)
            self.process.wait()
            self._closed()

    def stop(self) -> None:
        """Make the node hang: it holds its connections and does nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def _closed(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None


def share_models(store: Path, home: Path, models: Sequence[str] = ()) -> None:
    """Give a home the models of a store (all, or these), without a copy of their weights."""
    target = home / "models"
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in sorted(store.rglob("*")):
        place = target / file.relative_to(store)
        if file.is_dir():
            place.mkdir(exist_ok=True)
        elif _is_of(file, models) and not place.exists():
            place.symlink_to(file)


def pair(shows: SwarmNode, types: SwarmNode) -> float:
    """Pair two nodes as their owner does, and return the seconds from the code on the screen to both knowing it.

    On a LAN the window is found by discovery; on loopback, where all nodes share an address, it is named.
    """
    shown = shows.run("pair", "--name", shows.name)
    if "code" not in shown:
        raise NodeError(f"{shows.name} shows no code: {shown}")
    began = time.monotonic()
    where = () if shows.host else ("--at", str(shown["addresses"][0]))
    joined = types.run("pair", "--code", str(shown["code"]), *where, "--name", types.name)
    if "paired" not in joined:
        raise NodeError(f"{types.name} was not paired with {shows.name}: {joined}")
    return time.monotonic() - began


@contextmanager
def swarm(
    names: Sequence[str],
    folder: Path,
    *,
    on_lan: bool,
    ipv6_only: bool = False,
    models: Mapping[str, Path] | None = None,
) -> Iterator[tuple[dict[str, SwarmNode], Lan | None]]:
    """Nodes that are up, on a LAN of their own or on loopback, as long as the block lasts; none is paired yet.

    `models`: the store whose models a node has, by the node's name. Raises LanError, NodeError.
    """
    with ExitStack() as stack:
        net = stack.enter_context(lan(names, ipv6_only=ipv6_only)) if on_lan else None
        nodes = {}
        for name in names:
            home = folder / name
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            if models and name in models:
                share_models(models[name], home)
            nodes[name] = SwarmNode(name, home, net[name] if net else None)
            if net:
                nodes[name].run("peers", "home", "--yes")
        for node in nodes.values():
            stack.callback(node.down)
            node.up()
        yield nodes, net


def _is_of(file: Path, models: Sequence[str]) -> bool:
    """Return whether a file of a store is wanted: without its manifest a model is not installed."""
    return not models or file.parent.name != "manifests" or file.stem in models


def _first_line(process: subprocess.Popen[str], within_s: float) -> str:
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=lambda out: lines.put(out.readline()), args=(process.stdout,), daemon=True).start()
    try:
        return lines.get(timeout=within_s)
    except queue.Empty:
        return ""


def _children(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == pid:
            found += [*_children(int(folder.name)), int(folder.name)]
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
