"""The model's process is killed while eight answers are being written: what becomes of them, and of the next one?"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from scripts.benches import servers, texts
from scripts.benches.client import BrokenOff, Client, Unanswered, chat
from scripts.benches.figures import Report, alone
from scripts.benches.servers import Running
from scripts.benches.setup import Setup, say

ABOUT = "kill -9 of the model's process while 8 answers are written: how each ends, and when the next one begins"
STREAMS = 8
ANSWER_TOKENS = 96
STARTED_PIECES = 4
WAIT_S = 120.0
"""For a stream that hangs: it is to be counted, not waited for."""
MOST_S = 3.0
"""From the kill until a new process writes."""
KINDS = ("went on to the end", "ended with a reason", "ended without a reason, or hung")


@dataclass(slots=True)
class Stream:
    """One answer, and what became of it."""

    pieces: list[float] = field(default_factory=list)
    """When each piece of text came."""
    kind: str = ""

    def back_s(self, killed: float) -> float | None:
        """Return the seconds from the kill to the first piece that the new process wrote; None if none came.

        What lay in the pipes when the process died still arrives; the longest silence is behind that.
        """
        late = [later for later in self.pieces if later > killed]
        if self.kind != KINDS[0] or not late:
            return None
        before = [max(piece for piece in self.pieces if piece < later) for later in late]
        silences = [later - earlier for later, earlier in zip(late, before, strict=True)]
        return late[silences.index(max(silences))] - killed


@dataclass(frozen=True, slots=True)
class Killed:
    """One round."""

    ends: Counter[str]
    back_s: list[float]
    """Of each answer that went on."""
    next_s: float
    """From the kill to the first token of a request sent then."""


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 20)
    found: list[Killed] = []
    async with servers.covey(setup.home) as node, Client(node.url, setup.model) as client:
        await servers.warm(node.url, setup.model)
        for number in range(rounds):
            found.append(await _one(node, client, number))
            say(f"round {number + 1} of {rounds}: {dict(found[-1].ends)}, back after {min(found[-1].back_s):.2f} s")
    ends = sum((one.ends for one in found), Counter[str]())
    backs = [min(one.back_s) for one in found]
    slowest = [max(one.back_s) for one in found]
    rows = (
        *(alone(f"answers that {kind}", "of all", [ends[kind]]) for kind in KINDS[:-1]),
        alone(f"answers that {KINDS[-1]}", "of all", [ends[KINDS[-1]]], "lower", bar=0),
        alone("the new process writes, from the kill on", "s", backs, "lower"),
        alone("… the slowest of these rounds", "s", [max(backs)], "lower", bar=MOST_S),
        alone("all eight go on, from the kill on", "s", slowest, "lower"),
        alone(
            "first token of a ninth, sent at the kill, behind these eight", "s", [one.next_s for one in found], "lower"
        ),
    )
    settings: dict[str, object] = {"rounds": rounds, "streams": STREAMS, "answer_tokens": ANSWER_TOKENS}
    return Report("worker_kill", ABOUT, rows, settings=settings)


async def _one(node: Running, client: Client, number: int) -> Killed:
    streams = [Stream() for _ in range(STREAMS)]
    begun = asyncio.Event()

    def heard(stream: Stream) -> None:
        stream.pieces.append(time.perf_counter())
        if all(one.kind or len(one.pieces) >= STARTED_PIECES for one in streams):
            begun.set()

    async with asyncio.TaskGroup() as group:
        for place, stream in enumerate(streams):
            words = chat("You write at length.", texts.story(number * STREAMS + place))
            group.create_task(_followed(client, words, stream, heard))
        await asyncio.wait_for(begun.wait(), WAIT_S)
        _kill(node)
        killed = time.perf_counter()
        ninth = await client.ask(chat("You answer briefly.", texts.question(number)), 8)
    backs = [back for stream in streams if (back := stream.back_s(killed)) is not None]
    return Killed(Counter(stream.kind for stream in streams), backs or [WAIT_S], ninth.first_s)


async def _followed(
    client: Client, words: list[dict[str, str]], stream: Stream, heard: Callable[[Stream], None]
) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            await client.ask(words, ANSWER_TOKENS, heard=lambda _: heard(stream))
        stream.kind = KINDS[0]
    except (BrokenOff, TimeoutError) as error:
        stream.kind = KINDS[2]
        say(f"lost: {error or 'it hung'}")
    except Unanswered as error:
        stream.kind = KINDS[1]
        say(f"ended: {error}")


def _kill(node: Running) -> None:
    for process in node.processes():
        if "models.engine.worker" in process.cmdline():
            process.send_signal(signal.SIGKILL)
