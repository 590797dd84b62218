"""The model's process is killed while eight answers are being written: what becomes of them?"""

from __future__ import annotations

import asyncio
import signal
import time

from scripts.benches import servers, texts
from scripts.benches.client import Client, Heard, Unanswered, chat
from scripts.benches.figures import Report, alone
from scripts.benches.servers import Running
from scripts.benches.setup import Setup, say

ABOUT = "kill -9 of the model's process while 8 answers are written: completed answers, and the pause"
STREAMS = 8
ANSWER_TOKENS = 64
STARTED_TOKENS = 8


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 20)
    completed: list[float] = []
    pauses: list[float] = []
    async with servers.covey(setup.home) as node, Client(node.url, setup.model) as client:
        await servers.warm(node.url, setup.model)
        for number in range(rounds):
            done, pause = await _one(node, client, number)
            completed.append(done / STREAMS)
            pauses.append(pause)
            say(f"round {number + 1} of {rounds}: {done} of {STREAMS} completed, {pause:.2f} s of silence")
    rows = (
        alone("answers that were completed all the same", "share", completed, "higher"),
        alone("longest silence of an answer", "s", pauses, "lower"),
    )
    return Report("worker_kill", ABOUT, rows, settings={"rounds": rounds, "streams": STREAMS})


async def _one(node: Running, client: Client, number: int) -> tuple[int, float]:
    counts = [0] * STREAMS
    begun = asyncio.Event()

    def heard(place: int, text: str) -> None:
        counts[place] += 1
        if min(counts) >= STARTED_TOKENS:
            begun.set()

    async def ask(place: int) -> Heard | None:
        messages = chat("You write at length.", texts.question(number * STREAMS + place))
        try:
            return await client.ask(messages, ANSWER_TOKENS, heard=lambda text: heard(place, text))
        except Unanswered as error:
            say(f"lost: {error}")
            return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(place)) for place in range(STREAMS)]
        await asyncio.wait_for(begun.wait(), 120)
        killed = time.perf_counter()
        for process in node.processes():
            if "models.engine.worker" in process.cmdline():
                process.send_signal(signal.SIGKILL)
    answers = [task.result() for task in tasks]
    whole = [answer for answer in answers if answer is not None]
    pause = max((max(answer.gaps) for answer in whole if answer.gaps), default=time.perf_counter() - killed)
    return len(whole), pause
