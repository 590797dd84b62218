"""Devices that are killed, or fall silent, while they write for this one: what the reader of the answer sees of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.types import Chunk
from peers import membership
from peers.grants import own_device
from peers.node_id import NodeId
from peers.pairing import Paired
from peers.state import NodeState
from runtime import paths
from runtime.asking import Answer, Ask, Restarted
from runtime.config import load
from runtime.node import Node, open_node
from runtime.own_state import own_state
from runtime.peering import peering
from runtime.speeds import HERE
from scripts.benches.servers import NotStarted

BUSY = 50
"""Tasks that a device is taken to have, so that another one is the sooner done."""
WARMING = 5
"""Answers of the attic before its turn comes: after the first, with which its model is loaded, it is held for slow."""
READY_S = 90.0
SETTINGS = 'reproducible = true\n[models]\ngenerate = ["{model}"]\n'

Loss = Literal["killed", "silent"]
Heir = Literal["this device", "attic"]
"""Who goes on with what the kitchen began."""


@dataclass(frozen=True, slots=True)
class Told:
    """One answer as its reader saw it."""

    text: str
    final: str
    """The text of the answer at its end."""
    node: str
    tokens: int
    in_order: bool
    restarted: bool
    lost: bool
    """Whether the kitchen was at work on it when it was lost."""
    first_s: float
    """Until the first piece."""
    pause_s: float = 0.0
    """The longest that its reader waited for anything after the loss."""


@dataclass(frozen=True, slots=True)
class Round:
    """One loss."""

    loss: Loss
    heir: Heir
    after: int
    """Tokens that the reader had when the kitchen was lost."""
    told: Told
    whole: Told
    """The same answer, undisturbed."""

    @property
    def equal(self) -> bool:
        """Whether every token came once, in its place, and they are those of the undisturbed answer."""
        told = self.told
        return told.text == self.whole.text == told.final and told.in_order and not told.restarted

    @property
    def moved(self) -> bool:
        """Whether the kitchen began it and the heir ended it; anything else is no test."""
        return self.told.lost and self.told.node == self.heir

    @property
    def beyond_s(self) -> float:
        """The pause, without what a model here needs to read the prompt alone."""
        return max(0.0, self.told.pause_s - self.whole.first_s)


@dataclass
class Other:
    """Another device: a node in a process of its own, that can be lost and started again."""

    name: str
    home: Path
    port: int
    id: NodeId
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Raises NotStarted."""
        environ = {**os.environ, "COVEY_HOME": str(self.home), "COVEY_DISCOVERY": "lo", "COVEY_OFFLINE": "1"}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "runtime.cli.main", "up", "--port", "0", "--peer-port", str(self.port), "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environ,
        )
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), READY_S)
        if json.loads(line or "{}").get("status") != "up":
            raise NotStarted(f"covey up failed: {line.decode(errors='replace').strip() or 'it ended at once'}")

    def lose(self, loss: Loss) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL if loss == "killed" else signal.SIGSTOP)

    async def end(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
            self.process = None


@dataclass
class Household:
    """This device, the kitchen that is lost, and an attic that is up only where it is to go on."""

    node: Node
    kitchen: Other
    attic: Other
    known: dict[str, Told] = field(default_factory=dict)

    async def undisturbed(self, prompt: str) -> Told:
        """Return the answer that this device gives alone. The second run has the model loaded."""
        if prompt not in self.known:
            if not self.known:
                await told(self.node, prompt)
            self.known[prompt] = await told(self.node, prompt)
        return self.known[prompt]

    async def lost(self, prompt: str, loss: Loss, after: int, heir: Heir = "this device") -> Round:
        """Lose the kitchen once the reader has so many tokens; a token sooner where it was done before that.

        Raises NotStarted when it could not be lost in the middle of its answer.
        """
        whole = await self.undisturbed(prompt)
        if heir == "attic" and self.attic.process is None:
            await self._warmed(prompt)
        for token in range(after, 0, -1):
            done = await self._once(prompt, loss, token, heir, whole)
            if done.moved:
                return done
        raise NotStarted(
            "the other device was never lost in the middle of an answer: it was not given any, or was done too soon"
        )

    async def _once(self, prompt: str, loss: Loss, after: int, heir: Heir, whole: Told) -> Round:
        await self.kitchen.start()
        try:
            await self._linked(self.kitchen)
            busy = {HERE: BUSY, self.attic.id: BUSY // 5 if heir == "attic" else 2 * BUSY}
            with self._busy(busy):
                seen = await told(self.node, prompt, after=after, lose=lambda: self.kitchen.lose(loss))
        finally:
            await self.kitchen.end()
        return Round(loss, heir, after, seen, whole)

    async def _warmed(self, prompt: str) -> None:
        """Start the attic, and have it load its model: it is lost time that is measured, and not a start."""
        await self.attic.start()
        await self._linked(self.attic)
        for _ in range(WARMING):
            with self._busy({HERE: BUSY}):
                answer = await told(self.node, prompt)
            if answer.node != self.attic.name:
                raise NotStarted(f"the attic was to answer, and {answer.node} did")

    async def _linked(self, other: Other) -> None:
        links = self.node.links
        assert links is not None
        async with asyncio.timeout(READY_S):
            while links.get(other.id) is None or not links.around.neighbours[other.id].is_known:
                await links.around.changed()

    @contextlib.contextmanager
    def _busy(self, tasks: dict[str, int]) -> Iterator[None]:
        """Let devices seem to have so many tasks."""
        each = [node for node, count in tasks.items() for _ in range(count)]
        for node in each:
            self.node.workload.begin(node)
        try:
            yield
        finally:
            for node in each:
                self.node.workload.end(node)


async def told(node: Node, prompt: str, *, after: int = 0, lose: Callable[[], None] | None = None) -> Told:
    """Return an answer as its reader sees it; something is lost once so many tokens have come."""
    began, lost_s, pause_s, first_s, last_s = time.perf_counter(), 0.0, 0.0, 0.0, 0.0
    said: list[str] = []
    place, in_order, restarted = 0, True, False
    async with aclosing(node.stream(Ask(prompt, capability="generate"))) as items:
        async for item in items:
            now = time.perf_counter() - began
            if lost_s:
                pause_s = max(pause_s, now - max(last_s, lost_s))
            last_s = now
            match item:
                case Chunk():
                    first_s = first_s or now
                    in_order = in_order and item.index == place
                    place += len(item.token_ids)
                    said.append(item.text)
                case Restarted():
                    said.clear()
                    place, restarted = 0, True
                case Answer():
                    text = "".join(said).strip()
                    lost = any(note.startswith("kitchen was lost after ") for note in item.notes)
                    return Told(text, item.result.text, item.node, place, in_order, restarted, lost, first_s, pause_s)
            if lose is not None and not lost_s and place >= after:
                lose()
                lost_s = time.perf_counter() - began
    raise AssertionError("a stream ended without an answer")


@asynccontextmanager
async def household(models_home: Path, model: str) -> AsyncIterator[Household]:
    """This device as a node in this process, with the same models as two others that are not started yet."""
    async with AsyncExitStack() as stack:
        made = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="covey-continuity-")))
        homes = [paths.ensure_home(made / name) for name in ("laptop", "kitchen", "attic")]
        for home in homes:
            (home / "models").symlink_to(models_home / "models")
            (home / "settings.toml").write_text(SETTINGS.format(model=model), encoding="utf-8")
        settings = load(paths.settings_file(homes[0]))
        laptop, *others = [own_state(home, settings) for home in homes]
        kitchen, attic = [_acquainted(laptop, state, home) for home, state in zip(homes[1:], others, strict=True)]
        for other in (kitchen, attic):
            stack.push_async_callback(other.end)
        node = await stack.enter_async_context(open_node(homes[0]))
        await stack.enter_async_context(peering(node, 0, "lo"))
        yield Household(node, kitchen, attic)


def _acquainted(laptop: NodeState, state: NodeState, home: Path) -> Other:
    """Write two devices down as paired with each other."""
    port = free_port()
    there = Paired(state.identity.public, home.name, (f"127.0.0.1:{port}",), 1)
    membership.admit(laptop, there, own_device())
    membership.admit(state, Paired(laptop.identity.public, "laptop", (), 1), own_device())
    return Other(home.name, home, port, state.identity.node_id)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
