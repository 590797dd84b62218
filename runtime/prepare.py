"""Everything that comes before a plan runs: route, read the files, plan, compile, place. Runs no specialist."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, Protocol

from models import tables
from models.errors import ModelsError
from models.specialists.table_questions import may_ask
from models.tables import NotATable, Table
from models.types import Authority, Effect, Label
from runtime import planner
from runtime.asking import Ask, Source
from runtime.claims import Claim, Stage
from runtime.compile import Clearance, compile_plan
from runtime.errors import DocumentError, UsageError
from runtime.plan import Plan
from runtime.recorder import Recorder
from runtime.registry import Entry, Registry
from runtime.router import THRESHOLDS, Routing, confident, route
from runtime.scheduler import Placement
from runtime.stages import rules
from runtime.trace.spans import STAGE

OWN_AUTHORITY = Authority(effects=frozenset({Effect.READ_FILE}))
"""What the owner's own request may do: read the files it names."""

TABLE_ENDS = frozenset({".csv", ".tsv"})
MAX_TABLE_CHARS = 2 * 10**6
"""Some fifty thousand rows, read in about a second; more would make a person wait before anything is even planned."""

Until = Literal["sure", "rules", "all"]


class SimilarStage(Protocol):
    """S1: claims by likeness to known requests."""

    async def claim(self, text: str, *, has_files: bool, has_functions: bool) -> Claim: ...


class Places(Protocol):
    """Where the steps of a plan may run, and do."""

    async def clearance(self) -> Clearance:
        """Return the highest label that may reach a tier, by what the owner granted."""
        ...

    async def place(self, plan: Plan) -> tuple[Placement, ...]:
        """Return where the steps would run."""
        ...

    async def take(self, plan: Plan) -> tuple[Placement, ...]:
        """The same, for a plan that is about to run."""
        ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan that may run, or the reasons why it may not."""

    entry: Entry
    """Who serves the plan's capability."""
    plan: Plan
    placements: tuple[Placement, ...]
    problems: tuple[str, ...]
    """What the plan compiler found; empty when the plan may run."""
    notes: tuple[str, ...] = ()
    """What the owner should know, one sentence each."""


class Preparer:
    """Prepares requests on one node."""

    def __init__(
        self,
        registry: Registry,
        *,
        similar: Callable[[], Awaitable[SimilarStage | str]],
        read: Callable[[Path, Label], Source],
        floors: Mapping[str, float],
        places: Places,
        today: Callable[[], date],
    ) -> None:
        """`similar` returns S1, or the reason why it can't be asked; `read` reads a file and blocks.

        `floors`: capability to the least confidence that is accepted, where the owner set one. `places` says
        where the steps of a plan run.
        """
        self._registry = registry
        self._similar_stage = similar
        self._read = read
        self._floors = floors
        self._places = places
        self._today = today

    async def route(self, ask: Ask, *, until: Until = "sure", recorder: Recorder | None = None) -> Routing:
        """Ask the stages in order: until one is sure, all of them, or no more than the rules.

        Raises UsageError when the caller names a capability that nobody offers.
        """
        claims: list[Claim] = []
        for name, stage in self._stages(ask):
            claim = await _observed(name, stage, ask, recorder)
            claims.append(claim)
            if (confident(claim) and until == "sure") or (name == "rules" and until == "rules"):
                break
        routing = route(claims)
        if routing.claim is None and ask.conversation:
            talk = Claim("asked", "generate", 1.0, "a turn of a conversation, and no rule claims it")
            return Routing(talk, (*claims, talk), talk.reason)
        return routing

    def _stages(self, ask: Ask) -> list[tuple[Stage, Callable[[Ask], Awaitable[Claim]]]]:
        stages: list[tuple[Stage, Callable[[Ask], Awaitable[Claim]]]] = []
        if ask.capability:
            stages.append(("asked", self._asked))
        stages.append(("rules", self._rules))
        if not ask.conversation:  # a turn such as "and why?" looks like nothing by itself
            stages.append(("similar", self._similar))
        return stages

    async def _asked(self, ask: Ask) -> Claim:
        if self._registry.serving(ask.capability) is None:
            known = ", ".join(self._registry.capabilities)
            raise UsageError(f"No specialist here offers {ask.capability!r}. Choose one of: {known}.")
        found = await self._rules(ask)
        slots = found.input if found.capability == ask.capability else {}
        return Claim("asked", ask.capability, 1.0, "the caller asked for it by name", slots)

    async def _rules(self, ask: Ask) -> Claim:
        table = await asyncio.to_thread(self._table, ask)
        seen = rules.Seen(ask.text, self._today(), ask.names, ask.functions, ask.schema, self._registry.own, table)
        return await asyncio.to_thread(rules.claim, seen)

    def _table(self, ask: Ask) -> Table | None:
        """Return the one table that came along with what may be a question about it.

        A file that can't be read is no table here; that it can't is said when it is needed.
        """
        if len(ask.names) != 1 or not may_ask(ask.text) or any(not _may_be_table(file) for file in ask.files):
            return None
        try:
            source = ask.sources[0] if ask.sources else self._read(ask.files[0], ask.label)
            text = source.raw or source.text
            return tables.read(text) if len(text) <= MAX_TABLE_CHARS else None
        except (NotATable, DocumentError):
            return None

    async def _similar(self, ask: Ask) -> Claim:
        """A stage that can't be asked makes no claim; why stands in the trace, and the others still count."""
        try:
            stage = await self._similar_stage()
            if not isinstance(stage, str):
                return await stage.claim(ask.text, has_files=bool(ask.names), has_functions=bool(ask.functions))
        except ModelsError as error:
            stage = str(error)
        return Claim("similar", None, 0.0, f"skipped: {stage}")

    async def prepare(self, ask: Ask, claim: Claim, purpose: Literal["show", "run"] = "show") -> Prepared:
        """Return the plan for a claim, compiled and placed; what is to run counts as work from now on.

        Raises UsageError when the request lacks what the capability needs, DocumentError.
        """
        assert claim.capability is not None
        entry = self._registry.serving(claim.capability)
        if entry is None:
            raise UsageError(f"No specialist here offers {claim.capability!r}. Run `covey specialists list`.")
        sources = await self._sources(ask, entry)
        clearance = await self._places.clearance()
        plan = self._plan(ask, claim, entry, sources, clearance)
        offers = {name: offer for step in plan.steps for name, offer in self._registry.offers(step.capability).items()}
        problems = compile_plan(plan, offers=offers, grant=OWN_AUTHORITY, clearance=clearance)
        notes = tuple(note for source in sources for note in source.notes)
        place = self._places.take if purpose == "run" else self._places.place
        return Prepared(entry, plan, () if problems else await place(plan), problems, notes)

    async def _sources(self, ask: Ask, entry: Entry) -> Sequence[Source]:
        if not planner.reads_files(entry.spec.runner):
            return ()
        read = [await asyncio.to_thread(self._read, path, ask.label) for path in ask.files]
        return (*read, *ask.sources)

    def _plan(self, ask: Ask, claim: Claim, entry: Entry, sources: Sequence[Source], clearance: Clearance) -> Plan:
        return planner.plan(
            ask,
            claim,
            spec=entry.spec,
            sources=sources,
            floor=self._floors.get(entry.capability, entry.spec.floor),
            today=self._today(),
            clearance=clearance,
        )


def _may_be_table(file: Path) -> bool:
    """Return whether it is worth while to read a file before it is known what for."""
    try:
        size = file.expanduser().stat().st_size
    except OSError:
        return False
    return file.suffix.lower() in TABLE_ENDS and size <= MAX_TABLE_CHARS


async def _observed(
    name: Stage, stage: Callable[[Ask], Awaitable[Claim]], ask: Ask, recorder: Recorder | None
) -> Claim:
    """Ask one stage, inside a span of its own."""
    with recorder.span(STAGE, {"covey.stage": name}) if recorder else nullcontext() as span:
        claim = await stage(ask)
        if span is not None:
            span.update(
                {
                    "covey.claimed": confident(claim),
                    "covey.capability": claim.capability,
                    "covey.score": claim.score,
                    "covey.threshold": THRESHOLDS[name],
                    "covey.near": claim.near or None,
                    "covey.reason": claim.reason,
                }
            )
        return claim
