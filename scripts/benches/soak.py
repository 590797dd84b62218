"""Many mixed requests, some of which leave early: nothing lost, nothing crossed, memory flat.

The node runs in this process, so that labels can be weighed in the same batch as what comes over HTTP.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median

from models.errors import ModelsError
from runtime.api.server import serving
from runtime.node import Node, open_node
from scripts.benches.client import Client, Unanswered, at_once
from scripts.benches.figures import Report, Row, alone
from scripts.benches.servers import Running, warm
from scripts.benches.setup import Setup, say
from scripts.benches.soak_requests import Asked, Got, asked, chat_of, form_of, is_right
from scripts.benches.unaccompanied import Verdict, judged

ABOUT = "mixed requests 16 at a time, one in eight hangs up: lost, crossed, failed, and growth of memory"
WIDTH = 16
LEAVES = 8
"""One request in so many hangs up."""
STAYS_S = 4.0
"""The longest that one of these waits: some leave in the queue, some while their prompt is read, some later."""
SAMPLES = 5
COMPARED = 8
"""Of the answers that can't be told right by themselves, one in so many is compared with the lone answer."""
REQUEST_S = 300.0
MOST_GROWN = 0.05
"""Share by which memory at the end may differ from before."""
WATCH_S = 0.5
"""Between two looks at the memory: it goes up and down by a tenth with the sizes of what is kept at the moment."""
NOTE = (
    "Compared: each answer that must repeat its request's own word, and one in eight of the others, which are "
    "asked again with nothing beside them. Crossed: a choice that alone is a logit or more behind, as no rounding "
    "explains it, or a label's probability that is more than 0.2 off. Memory is without the model's mapped file. "
    "Before is after requests of every kind and size that are not counted (half of the warm requests): they load what "
    "is loaded once, and fill the shelf of states up to its bound."
)


async def run(setup: Setup) -> Report:
    requests, first = setup.count(120, 2000), setup.count(100, 400)
    counts: Counter[str] = Counter()
    answers: list[tuple[Asked, Got]] = []
    memory: list[list[float]] = []
    async with _node(setup) as (node, running), Client(running.url, setup.model) as client:

        async def asked_for(numbers: range) -> list[tuple[Asked, Got] | str]:
            jobs = [partial(_one, node, client, setup.model, number) for number in numbers]
            async with _watched(running) as taken:
                outcomes, _ = await at_once(jobs, WIDTH)
            memory.append(taken)
            return outcomes

        await warm(running.url, setup.model)
        once = _own_mb(running)
        for half in (0, 1):
            await asked_for(range(requests + half * first // 2, requests + (half + 1) * first // 2))
        say(f"warm: {once:.0f}, then {median(memory[-1]):.0f} MB")
        began = time.perf_counter()
        share = requests // SAMPLES
        for part in range(SAMPLES):
            outcomes = await asked_for(range(part * share, (part + 1) * share))
            counts.update(outcome if isinstance(outcome, str) else "answered" for outcome in outcomes)
            answers += [outcome for outcome in outcomes if not isinstance(outcome, str)]
            say(f"{(part + 1) * share} of {requests}: {dict(counts)}, {median(memory[-1]):.0f} MB")
        seconds = time.perf_counter() - began
        inside = (await client.get("/health"))["requests"]
    verdicts = await _compared(setup, answers)
    rows = (
        *_of_requests(counts, inside, verdicts),
        alone("memory after one request", "MB", [once]),
        *of_memory(*memory[1:]),
        alone("requests a second", "1/s", [sum(counts.values()) / seconds], "higher"),
    )
    settings: dict[str, object] = {
        "requests": requests,
        "warm_requests": first,
        "width": WIDTH,
        "leaves": f"1 in {LEAVES}",
    }
    return Report("soak", ABOUT, rows, settings=settings, notes=(NOTE,))


def _of_requests(counts: Counter[str], inside: int, verdicts: Counter[Verdict]) -> tuple[Row, ...]:
    return (
        alone("answered", "requests", [counts["answered"]]),
        alone("left early", "requests", [counts["left"]]),
        alone("failed or lost", "requests", [counts["failed"]], "lower", bar=0),
        alone("still inside at the end", "requests", [inside], "lower", bar=0),
        alone("answers compared", "answers", [sum(verdicts.values())]),
        alone("… of these crossed", "answers", [verdicts["crossed"]], "lower", bar=0),
        alone("… another choice where two were close", "answers", [verdicts["close"]]),
        alone("… the model's own mistake, alone too", "answers", [verdicts["mistaken"]]),
    )


def of_memory(before: Sequence[float], *parts: Sequence[float]) -> tuple[Row, ...]:
    """`before`, `parts`: MB, again and again while the last warm requests ran, and while each fifth of the others."""
    off = abs(median(parts[-1]) / median(before) - 1)
    return (
        alone("memory before, while requests run", "MB", before),
        alone("memory in the first fifth", "MB", parts[0]),
        alone("memory in the last fifth", "MB", parts[-1]),
        alone("memory in the last fifth, off from before", "share", [off], "lower", bar=MOST_GROWN),
    )


@asynccontextmanager
async def _watched(running: Running) -> AsyncIterator[list[float]]:
    """Give a list that gets longer by what the node holds, as long as this is open."""
    taken = [_own_mb(running)]

    async def watch() -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            taken.append(_own_mb(running))

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        try:
            yield taken
        finally:
            watching.cancel()


@asynccontextmanager
async def _node(setup: Setup) -> AsyncIterator[tuple[Node, Running]]:
    """Open a node with a fresh folder, and its API on any port."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="covey-bench-") as made:
        home = Path(made)
        (home / "models").symlink_to(setup.home / "models")
        async with open_node(home) as node, serving(node, 0) as server:
            url = server.url.removesuffix("/v1")
            yield node, Running(url, os.getpid(), time.perf_counter() - began, home)


def _own_mb(running: Running) -> float:
    """Return what its processes hold themselves: how much of the model's mapped file stays is the system's choice."""
    held = [process.memory_info() for process in running.processes()]
    return float(sum(info.rss - getattr(info, "shared", 0) for info in held)) / 1e6


async def _one(node: Node, client: Client, model: str, number: int) -> tuple[Asked, Got] | str:
    """Return what was asked and answered, or what became of it."""
    wanted = asked(number)
    draw = random.Random(f"leaves {number}")
    leaves = draw.randrange(LEAVES) == 0
    stays_s = draw.uniform(0.05, STAYS_S) if leaves else REQUEST_S
    try:
        async with asyncio.timeout(stays_s):
            return wanted, await _answer(node, client, model, wanted)
    except TimeoutError:
        return "left" if leaves else "failed"
    except (Unanswered, ModelsError, OSError) as error:
        say(f"request {number} failed: {error}")
        return "failed"


async def _answer(node: Node, client: Client, model: str, wanted: Asked) -> Got:
    if wanted.kind == "weighed":
        async with node.pool.text((model,)) as loaded:
            return tuple(await loaded.score(wanted.messages, wanted.labels))
    heard = await client.ask(chat_of(wanted), wanted.tokens, **form_of(wanted))
    return heard.text


async def _compared(setup: Setup, answers: Sequence[tuple[Asked, Got]]) -> Counter[Verdict]:
    """Look at what can be told by itself, and ask the rest's sample again of a process that does nothing else."""
    named = [(wanted, got) for wanted, got in answers if wanted.word]
    others = [(wanted, got) for wanted, got in answers if not wanted.word][::COMPARED]
    doubtful = [(wanted, got) for wanted, got in named if not is_right(wanted, got)]
    verdicts: Counter[Verdict] = Counter({"same": len(named) - len(doubtful)})
    async with setup.loaded(slots=1) as model:
        for wanted, got in [*doubtful, *others]:
            verdict = await judged(model, wanted, got)
            verdicts[verdict] += 1
            if verdict == "crossed":
                say(f"request {wanted.number}, {wanted.kind}, was answered with {got!r:.200}")
    say(f"compared: {dict(verdicts)}")
    return verdicts
