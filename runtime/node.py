"""One node, assembled: settings, journal, store, models, specialists and the orchestrator over them.

The edges (command line, later the API and the page) reach the machinery through here only.
Opening a node loads no model; each part is made when it is first needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import date
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from models import conversations
from models.backend import Remembers
from models.engine.environment import cores
from models.pool import ModelPool
from models.specialist import Pool
from models.store import Store
from models.types import Label, Request, Result, Specialist, last
from runtime import documents, paths
from runtime.asker import asker_here
from runtime.asking import THIS_DEVICE, Answer, Ask, Source, StreamItem
from runtime.config import Settings, load
from runtime.daily import DAY_S, daily
from runtime.db import Database, DatabaseThread
from runtime.errors import CoveyError, UsageError
from runtime.hardness import Hardness
from runtime.journal import Journal
from runtime.on_demand import BOOK, OnDemand
from runtime.orchestrator import Orchestrator
from runtime.others import Others
from runtime.prepare import Prepared, Preparer, SimilarStage
from runtime.registry import Entry, Registry
from runtime.registry import load as load_registry
from runtime.router import Routing
from runtime.speeds import Speeds
from runtime.stronger import Far, Nowhere, Stronger
from runtime.surroundings import Surroundings
from runtime.workload import Workload

if TYPE_CHECKING:
    from peers.links import Links

NAME = THIS_DEVICE
HUBS = "runtime.own_hubs"
"""Imported when the owner has added a hub."""
HUBS_FILE = Path("hubs") / "hubs.json"
SIMILAR = "runtime.stages.similar:Similar"
"""Stage S1; it needs numpy and the embedder, and is imported when the rules are not sure."""
EMBEDDERS = ("bge-small-en",)
"""Models that S1's examples were embedded with."""


class Node:
    """See `open_node`."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        journal: Journal,
        thread: DatabaseThread,
        pool: Pool,
        *,
        today: Callable[[], date],
    ) -> None:
        self.home = home
        self.settings = settings
        self.pool = pool
        self.journal = journal
        self.thread = thread
        self.others: Others = OnDemand(home, settings)
        """The paired devices: called when they are needed, or linked while this node serves them."""
        self.links: Links | None = None
        """The links with paired devices, while this node keeps any."""
        self._far: Far | None = None
        self._today = today
        self._specialists: dict[str, Specialist] = {}
        self._similar: SimilarStage | None = None
        self._similar_lock = asyncio.Lock()

    @cached_property
    def registry(self) -> Registry:
        return load_registry(paths.specialists_dir(self.home), models_of=self.settings.models)

    @cached_property
    def workload(self) -> Workload:
        return Workload(Speeds(self.journal.database), self.thread)

    @cached_property
    def surroundings(self) -> Surroundings:
        return Surroundings(
            NAME, self.registry, self.pool, build=self.built, others=lambda: self.others, workload=self.workload
        )

    @cached_property
    def _preparer(self) -> Preparer:
        return Preparer(
            self.registry,
            similar=self._similar_stage,
            read=_read,
            floors=self.settings.floors,
            places=self.surroundings,
            today=self._today,
        )

    @cached_property
    def _orchestrator(self) -> Orchestrator:
        return Orchestrator(
            self._preparer,
            self.surroundings,
            journal=self.journal,
            thread=self.thread,
            node=NAME,
            stronger=self._stronger,
            conversation=lambda known: paths.conversation(self.home, known) if self.settings.content_days else None,
        )

    @cached_property
    def _stronger(self) -> Stronger:
        return Stronger(
            NAME,
            self.registry,
            others=lambda: self.others,
            far=lambda: self.far,
            hardness=Hardness(self.pool).of,
            journal=self.journal,
            thread=self.thread,
        )

    @property
    def far(self) -> Far:
        """The owner's hubs, and those that paired devices lend. Without any, nothing of their code is imported."""
        if self._far is None and (has_hubs(self.home) or self.others.lenders()):
            self._far = import_module(HUBS).open_hubs(
                self.home, self.settings, asker_here, self.pool, others=lambda: self.others
            )
        return self._far or Nowhere()

    async def close_far(self) -> None:
        """Hang up on the hubs, where one was ever asked."""
        if self._far is not None:
            await self._far.close()

    async def stream(self, ask: Ask) -> AsyncGenerator[StreamItem, None]:
        """Yield an answer as it is made, the Answer last. Closing it early cancels the work.

        Raises CoveyError, ModelsError.
        """
        async with aclosing(self._orchestrator.stream(ask)) as items:
            async for item in items:
                yield item

    async def ask(self, ask: Ask) -> Answer:
        """Return the answer to a request. Raises CoveyError, ModelsError."""
        async for item in self.stream(ask):
            if isinstance(item, Answer):
                return item
        raise AssertionError("a task's stream ended without an answer")

    async def forget(self, conversation_id: str = "") -> None:
        """Let models go of what requests that have ended left behind; of one conversation, of what is on disk."""
        one = paths.conversation(self.home, conversation_id)
        if conversation_id and one is None:
            return
        if isinstance(self.pool, Remembers):
            await self.pool.forget(one)
        await asyncio.to_thread(conversations.forget, paths.conversations_dir(self.home), conversation_id)

    async def preview(self, ask: Ask) -> tuple[Routing, Prepared | None]:
        """Return how a request would be answered, with what every stage says. Runs and writes nothing.

        Raises CoveyError.
        """
        routing = await self._preparer.route(ask, until="all")
        if routing.claim is None or routing.claim.capability is None:
            return routing, None
        return routing, await self._preparer.prepare(ask, routing.claim)

    async def route(self, ask: Ask) -> Routing:
        """Return which capability a request is for, the stages asked in order until one is sure. Runs nothing."""
        return await self._preparer.route(ask)

    async def computed(self, ask: Ask) -> bool:
        """Return whether rules alone settle the request and no model is needed for it."""
        routing = await self._preparer.route(ask, until="rules")
        entry = self.registry.serving(routing.capability) if routing.capability else None
        return entry is not None and entry.deterministic

    async def elsewhere(self, ask: Ask) -> bool:
        """Return whether paired devices would do all the model work of a request, so that no model is needed here."""
        routing = await self._preparer.route(ask)
        if routing.claim is None or routing.claim.capability is None:
            return False
        try:
            prepared = await self._preparer.prepare(ask, routing.claim)
        except CoveyError:
            return False  # asking says what is wrong
        return bool(prepared.placements) and all(placement.id for placement in prepared.placements)

    async def run_capability(self, request: Request) -> Result:
        """Return what one specialist answers, without routing, checks or traces: for evaluation.

        Raises UsageError, ModelsError.
        """
        entry = self.registry.serving(request.capability)
        if entry is None:
            raise UsageError(f"No specialist here offers {request.capability!r}. Run `covey specialists list`.")
        return await last(self.built(entry).run(request))

    def built(self, entry: Entry) -> Specialist:
        """Return the specialist of an entry, made on first use."""
        if entry.spec.name not in self._specialists:
            self._specialists[entry.spec.name] = entry.build(entry.spec, self.pool)
        return self._specialists[entry.spec.name]

    async def _similar_stage(self) -> SimilarStage | str:
        if not self.pool.installed(EMBEDDERS):
            return f"the embedder is not on this device (`covey models pull {EMBEDDERS[0]}` brings it)"
        async with self._similar_lock:
            if self._similar is None:
                self._similar = await asyncio.to_thread(_make_similar, self.pool, self.registry)
            return self._similar


def has_hubs(home: Path) -> bool:
    """Return whether the owner ever added a hub."""
    return (home / HUBS_FILE).is_file()


def may_reach_hubs(home: Path) -> bool:
    """Return whether a request may come to a hub from here: the owner's own, or one that a paired device lends."""
    return has_hubs(home) or (home / BOOK).is_file()


@asynccontextmanager
async def open_node(
    home: Path | None = None,
    settings: Settings | None = None,
    *,
    pool: Pool | None = None,
    today: Callable[[], date] = date.today,
) -> AsyncIterator[Node]:
    """Open the node in a folder, and at the end put its models away and close its files.

    `home` is COVEY_HOME by default, `settings` those of the folder. A `pool` that is given is not closed.
    Raises HomeNotWritable, ConfigError, JournalError.
    """
    root = paths.ensure_home(home or paths.home())
    own = settings or load(paths.settings_file(root))
    async with AsyncExitStack() as stack:
        database = stack.enter_context(Database(paths.journal_file(root)))
        thread = await stack.enter_async_context(DatabaseThread())
        journal = Journal(database, content_days=own.content_days)
        await stack.enter_async_context(daily(lambda: thread.run(lambda: _expire(root, own, journal))))
        if pool is None:
            made = _make_pool(root, own)
            stack.push_async_callback(made.close)
            pool = made
        node = Node(root, own, journal, thread, pool, today=today)
        stack.push_async_callback(node.others.close)
        stack.push_async_callback(node.close_far)
        yield node


def _expire(root: Path, settings: Settings, journal: Journal) -> None:
    """Remove the texts whose days are over, and what models kept of conversations as old."""
    journal.expire()
    conversations.expire(paths.conversations_dir(root), settings.content_days * DAY_S)


def _make_pool(root: Path, settings: Settings) -> ModelPool:
    return ModelPool(
        Store(paths.models_dir(root)),
        budget_bytes=settings.memory_budget_bytes(psutil.virtual_memory().total),
        threads=settings.threads or cores(),
        choice=settings.language_models(),
    )


def _make_similar(pool: Pool, registry: Registry) -> SimilarStage:
    module, _, name = SIMILAR.partition(":")
    stage: SimilarStage = getattr(import_module(module), name)(pool, registry.specs)
    return stage


def _read(path: Path, label: Label) -> Source:
    document = documents.read(path, label=label)
    return Source(document.name, document.text, document.label, document.trust, document.notes, document.raw)
