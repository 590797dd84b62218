"""A node whose specialists answer from a script: for tests of everything above the models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from models.backends.scripted import ScriptedPool, ScriptedText
from models.specialist import Pool, SpecialistSpec
from models.types import Chunk, Label, Request, Result, Specialist
from runtime.asking import Answer, Ask, Source, StreamItem
from runtime.claims import Claim
from runtime.db import Database, DatabaseThread
from runtime.journal import Journal
from runtime.orchestrator import Orchestrator
from runtime.others import Nobody, Others
from runtime.prepare import Preparer, SimilarStage
from runtime.registry import Entry, Registry
from runtime.speeds import Speeds
from runtime.stronger import Far, Nowhere, Stronger
from runtime.surroundings import Surroundings
from runtime.task import TaskId
from runtime.trace.spans import Span
from runtime.trace.store import TraceStore
from runtime.workload import Workload

TODAY = date(2026, 3, 2)
Move = Chunk | Result | Exception | float
"""What a scripted run does next: say something, end, fail, or wait so many seconds."""


class Scripted:
    """A specialist that plays one list of moves a run; the last list repeats."""

    def __init__(self, spec: SpecialistSpec, *runs: Sequence[Move]) -> None:
        self.spec = spec
        self.requests: list[Request] = []
        self.open = 0
        """Streams that have begun and not been closed."""
        self.begun = asyncio.Event()
        self._runs = list(runs)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def capability(self) -> str:
        return self.spec.capability or self.spec.name

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        self.requests.append(request)
        moves = self._runs.pop(0) if len(self._runs) > 1 else self._runs[0]
        self.open += 1
        self.begun.set()
        try:
            for move in moves:
                match move:
                    case Exception():
                        raise move
                    case float():
                        await asyncio.sleep(move)
                    case _:
                        yield move
        finally:
            self.open -= 1


def spec(name: str, runner: str = "generate", **fields: object) -> SpecialistSpec:
    given = {"models": ("scripted",), **fields}
    return SpecialistSpec(name=name, runner=runner, summary=f"scripted {runner}", **given)  # type: ignore[arg-type]


def written(text: str, *, confidence: float = 0.8, specialist: str = "writer", model: str = "scripted") -> Result:
    return Result(output=text, text=text, confidence=confidence, specialist=specialist, model=model)


def pieces(text: str) -> list[Move]:
    """Return the chunks of a text, a token a word."""
    return [Chunk(i, word, (100 + i,)) for i, word in enumerate(text.split(" "))]


def registry_of(*specialists: Scripted) -> Registry:
    def entry(specialist: Scripted) -> Entry:
        def build(spec: SpecialistSpec, pool: Pool) -> Specialist:
            return specialist

        return Entry(specialist.spec, "built-in", "test", build)

    return Registry([entry(specialist) for specialist in specialists])


class FixedStage:
    """S1 with a fixed claim."""

    def __init__(self, claim: Claim) -> None:
        self.asked: list[str] = []
        self._claim = claim

    async def claim(self, text: str, *, has_files: bool, has_functions: bool) -> Claim:
        self.asked.append(text)
        return self._claim


@dataclass
class Bench:
    """An orchestrator with its journal in a folder, and what it wrote."""

    orchestrator: Orchestrator
    preparer: Preparer
    journal: Journal
    read: dict[str, Source] = field(default_factory=dict)

    async def items(self, ask: Ask) -> list[StreamItem]:
        return [item async for item in self.orchestrator.stream(ask)]

    async def answer(self, ask: Ask) -> Answer:
        last = (await self.items(ask))[-1]
        assert isinstance(last, Answer)
        return last

    def events(self, task_id: TaskId | None = None) -> list[str]:
        """Return the names of a task's events, of the newest task by default."""
        chosen = task_id or self.journal.tasks(1)[0]
        return [type(entry.event).__name__ for entry in self.journal.events(chosen)]

    def spans(self, task_id: TaskId | None = None) -> list[Span]:
        return TraceStore(self.journal).load(task_id or self.journal.tasks(1)[0])


@asynccontextmanager
async def bench(
    folder: Path,
    *specialists: Scripted,
    similar: SimilarStage | str = "not here",
    floors: dict[str, float] | None = None,
    registry: Registry | None = None,
    others: Others | None = None,
    far: Far | None = None,
    hardness: float | None = None,
) -> AsyncIterator[Bench]:
    """An orchestrator over scripted specialists, its journal in `folder`."""
    found = registry or registry_of(*specialists)
    read: dict[str, Source] = {}

    async def stage() -> SimilarStage | str:
        return similar

    def reader(path: Path, label: Label) -> Source:
        return read[path.name]

    async with AsyncExitStack() as stack:
        journal = Journal(stack.enter_context(Database(folder / "journal.sqlite3")))
        thread = await stack.enter_async_context(DatabaseThread())
        made: dict[str, Specialist] = {}
        pool = ScriptedPool({"scripted": ScriptedText([])})

        def build(entry: Entry) -> Specialist:
            return made.setdefault(entry.spec.name, entry.build(entry.spec, pool))

        around = Surroundings(
            "here",
            found,
            pool,
            build=build,
            others=lambda: others or Nobody(),
            workload=Workload(Speeds(journal.database), thread),
        )
        preparer = Preparer(found, similar=stage, read=reader, floors=floors or {}, places=around, today=lambda: TODAY)

        async def hard(text: str) -> float | None:
            return hardness

        stronger = Stronger(
            "here",
            found,
            others=lambda: others or Nobody(),
            far=lambda: far or Nowhere(),
            hardness=hard,
            journal=journal,
            thread=thread,
        )
        orchestrator = Orchestrator(preparer, around, journal=journal, thread=thread, node="here", stronger=stronger)
        yield Bench(orchestrator, preparer, journal, read)
