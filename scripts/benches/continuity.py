"""A device is killed, or falls silent, while it writes: is the answer whole, the same, and how long was the pause?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from models.types import Chunk
from peers import membership
from peers.grants import own_device
from peers.node_id import NodeId
from peers.pairing import Paired
from runtime import paths
from runtime.asking import Answer, Ask, Restarted
from runtime.config import load
from runtime.node import Node, open_node
from runtime.own_state import own_state
from runtime.peering import peering
from runtime.speeds import HERE
from scripts.benches.figures import Report, alone
from scripts.benches.servers import NotStarted
from scripts.benches.setup import Setup, say

ABOUT = "a device is lost at a random token of its answer, and another goes on with it"
PROMPTS = (
    "What is the capital of France?",
    "Write two sentences about the sea.",
    "Write a haiku about autumn.",
    "Explain what a heat pump does in two sentences.",
    "What is a fox?",
)
"""Their answers end by themselves within 20 to 60 tokens."""
BUSY = 50
"""Tasks that this device pretends to have, so that the other one is the sooner done."""
READY_S = 90.0
TRIES = 10
SETTINGS = 'reproducible = true\n[models]\ngenerate = ["{model}"]\n'

Loss = Literal["killed", "silent"]


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
    after: int
    told: Told
    whole: Told
    """The same answer, undisturbed."""

    @property
    def equal(self) -> bool:
        return self.told.text == self.whole.text == self.told.final and self.told.in_order

    @property
    def moved(self) -> bool:
        """Whether the kitchen began it and another device ended it; anything else is no test."""
        return self.told.lost and self.told.node != "kitchen"

    @property
    def beyond_s(self) -> float:
        """The pause, without what the model needs to read the prompt and what was said."""
        return max(0.0, self.told.pause_s - self.whole.first_s)


@dataclass
class Kitchen:
    """The device that is lost: a node in a process of its own, started again each time."""

    home: Path
    port: int
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
    """This device, and the kitchen that it is paired with."""

    node: Node
    kitchen: Kitchen
    kitchen_id: NodeId
    known: dict[str, Told] = field(default_factory=dict)

    async def undisturbed(self, prompt: str) -> Told:
        """Return the answer that this device gives alone. The second run has the model loaded."""
        if prompt not in self.known:
            if not self.known:
                await told(self.node, prompt)
            self.known[prompt] = await told(self.node, prompt)
        return self.known[prompt]

    async def lost(self, prompt: str, loss: Loss, chance: random.Random) -> Round:
        """Lose the kitchen at a random token of its answer; again where it was done before, or was not given it."""
        for _ in range(TRIES):
            done = await self._once(prompt, loss, chance)
            if done.moved:
                return done
        raise NotStarted(
            "the other device was never lost in the middle of an answer: it was not given any, or was done too soon"
        )

    async def _once(self, prompt: str, loss: Loss, chance: random.Random) -> Round:
        whole = await self.undisturbed(prompt)
        await self.kitchen.start()
        try:
            await self._linked()
            after = chance.randint(1, max(1, whole.tokens // 2))
            with self._busy():
                seen = await told(self.node, prompt, after=after, kitchen=self.kitchen, loss=loss)
        finally:
            await self.kitchen.end()
        return Round(loss, after, seen, whole)

    async def _linked(self) -> None:
        links = self.node.links
        assert links is not None
        async with asyncio.timeout(READY_S):
            while links.get(self.kitchen_id) is None or not links.around.neighbours[self.kitchen_id].is_known:
                await links.around.changed()

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        for _ in range(BUSY):
            self.node.workload.begin(HERE)
        try:
            yield
        finally:
            for _ in range(BUSY):
                self.node.workload.end(HERE)


async def told(
    node: Node, prompt: str, *, after: int = 0, kitchen: Kitchen | None = None, loss: Loss = "killed"
) -> Told:
    """Return an answer as its reader sees it; the kitchen is lost once so many tokens have come."""
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
            if kitchen is not None and not lost_s and place >= after:
                kitchen.lose(loss)
                lost_s = time.perf_counter() - began
    raise AssertionError("a stream ended without an answer")


@asynccontextmanager
async def household(models_home: Path, model: str) -> AsyncIterator[Household]:
    """This device as a node in this process, with the same models as a kitchen that is not started yet."""
    with tempfile.TemporaryDirectory(prefix="covey-continuity-") as made:
        homes = [paths.ensure_home(Path(made) / name) for name in ("laptop", "kitchen")]
        for home in homes:
            (home / "models").symlink_to(models_home / "models")
            (home / "settings.toml").write_text(SETTINGS.format(model=model), encoding="utf-8")
        settings = load(paths.settings_file(homes[0]))
        laptop, other = [own_state(home, settings) for home in homes]
        port = free_port()
        membership.admit(laptop, Paired(other.identity.public, "kitchen", (f"127.0.0.1:{port}",), 1), own_device())
        membership.admit(other, Paired(laptop.identity.public, "laptop", (), 1), own_device())
        async with open_node(homes[0]) as node, peering(node, 0, "lo"):
            yield Household(node, Kitchen(homes[1], port), other.identity.node_id)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


async def run(setup: Setup) -> Report:
    chance = random.Random(5)
    rounds: list[Round] = []
    async with household(setup.home, setup.model) as home:
        kills, silences = setup.count(5, 100), setup.count(1, 10)
        losses: list[Loss] = ["killed" for _ in range(kills)]
        losses += ["silent" for _ in range(silences)]
        for number, loss in enumerate(losses):
            done = await home.lost(PROMPTS[number % len(PROMPTS)], loss, chance)
            rounds.append(done)
            told_ = f"{'equal' if done.equal else 'NOT EQUAL'}, {done.told.pause_s:.2f} s of pause"
            say(f"{number + 1} of {len(losses)}: {loss} after {done.after} of {done.whole.tokens} tokens: {told_}")
    killed = [one for one in rounds if one.loss == "killed"]
    silent = [one for one in rounds if one.loss == "silent"]
    rows = (
        alone("answers that were whole and equal to undisturbed ones", "share", [float(r.equal) for r in rounds]),
        alone("pause after a kill, reading left out", "s", [r.beyond_s for r in killed], "lower"),
        alone("longest of these", "s", [max(r.beyond_s for r in killed)], "lower"),
        alone("pause after silence, reading left out", "s", [r.beyond_s for r in silent], "lower"),
        alone("longest of these", "s", [max(r.beyond_s for r in silent)], "lower"),
    )
    equal = sum(one.equal for one in rounds)
    return Report(
        "continuity",
        ABOUT,
        rows,
        settings={"kills": len(killed), "silences": len(silent), "model": setup.model, "reproducible": True},
        notes=(f"{equal} of {len(rounds)} answers equal the undisturbed ones.",),
    )
