"""Where work can be done just now: this device and the paired ones, and the specialist that serves a placement."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from models.errors import ModelsError
from models.specialist import Pool
from models.types import Digest, Specialist, Tier
from runtime.compile import CLEARANCE, Clearance
from runtime.needs import need_of, prefix_of
from runtime.others import Others
from runtime.plan import Plan, Step
from runtime.recovery import MOST_PEERS
from runtime.registry import Entry, Registry
from runtime.scheduler import Placement, Unplaceable, here_after_all, place, place_step
from runtime.seats import Need, Seat
from runtime.skills import own_seat
from runtime.speeds import HERE
from runtime.workload import Workload


class Surroundings:
    """Places the plans of one node."""

    def __init__(
        self,
        name: str,
        registry: Registry,
        pool: Pool,
        *,
        build: Callable[[Entry], Specialist],
        others: Callable[[], Others],
        workload: Workload,
    ) -> None:
        """`name`: what this device is called in answers. `build` makes the specialist of an entry."""
        self._name = name
        self._registry = registry
        self._pool = pool
        self._build = build
        self._others = others
        self._workload = workload
        self._taking = asyncio.Lock()

    async def clearance(self) -> Clearance:
        """Return the highest label that may reach a tier: a paired device may see what it was granted."""
        granted = [seat.label for seat in await self._others().seats({}, call=False)]
        return {**CLEARANCE, Tier.HOME: max([CLEARANCE[Tier.HOME], *granted])}

    async def take(self, plan: Plan) -> tuple[Placement, ...]:
        """Place the steps of a plan that is about to run: the next plan counts on them."""
        async with self._taking:  # else all that come at once would see the same free device
            placements = await self.place(plan)
            for placement in placements:
                if placement.model:
                    self._workload.expect(placement.id)
            return placements

    async def place(self, plan: Plan) -> tuple[Placement, ...]:
        """Return a placement for every step.

        What no device may and can do is placed here: it then says itself what is missing.
        """
        needs = {step.id: self._need(step) for step in plan.steps}
        capabilities = {step.capability for step in plan.steps}
        seats = await self._seats(capabilities, call=False)
        try:
            return place(plan, seats, needs)
        except Unplaceable:
            may_leave = any(step.ceiling >= Tier.HOME for step in plan.steps)
            seats = await self._seats(capabilities, call=True) if may_leave else seats
        return tuple(self._somewhere(step, needs[step.id], seats) for step in plan.steps)

    async def place_again(self, step: Step, *, tried: frozenset[str], artifacts: tuple[Digest, ...]) -> Placement:
        """Return another place for a step whose device lost it. Raises Unplaceable.

        `tried`: ids of the devices that had it. `artifacts`: the only weights that will do; empty: any.
        """
        seats = await self._seats({step.capability}, call=False)
        if len(tried - {HERE}) >= MOST_PEERS:
            seats = tuple(seat for seat in seats if seat.is_here)
        return place_step(step.id, self._need(step, artifacts), seats, tried=tried)

    def specialist(self, placement: Placement, step: Step) -> Specialist:
        """Return what does a step where it was placed, its work counted and timed."""
        entry = self._entry(step)
        if placement.id:
            found = self._others().specialist(placement.id, step.capability, placement.reason)
            return self._workload.watched(found, node=placement.id, model=placement.model, cold=placement.cold)
        return self.own(entry)

    def own(self, entry: Entry) -> Specialist:
        """Return this device's specialist of an entry, its work counted and timed."""
        specialist = self._build(entry)
        if entry.deterministic:
            return specialist
        found = self._pool.at_hand(entry.spec.models)
        cold = found is None or not found.loaded
        return self._workload.watched(specialist, prefix=prefix_of(entry.spec), cold=cold)

    def failed(self, placement: Placement, error: ModelsError) -> None:
        """Take note that a device could not do what it was given."""
        if placement.id:
            self._others().failed(placement.id, error)

    def _somewhere(self, step: Step, need: Need, seats: Sequence[Seat]) -> Placement:
        try:
            return place_step(step.id, need, seats)
        except Unplaceable as error:
            return here_after_all(step.id, self._name, error)

    async def _seats(self, capabilities: set[str], *, call: bool) -> tuple[Seat, ...]:
        known = await self._workload.known()
        own = await asyncio.to_thread(  # which models are installed is asked of the disk
            own_seat,
            self._name,
            self._registry,
            self._pool,
            known,
            capabilities=sorted(capabilities),
            ahead=self._workload.running(),
            warm=self._workload.warm,
        )
        others = await self._others().seats(known, call=call)
        return (own, *(replace(seat, ahead=max(seat.ahead, self._workload.running(seat.id))) for seat in others))

    def _need(self, step: Step, artifacts: tuple[Digest, ...] = ()) -> Need:
        return need_of(step, self._entry(step).spec, artifacts)

    def _entry(self, step: Step) -> Entry:
        entry = self._registry.serving(step.capability)
        assert entry is not None, f"the plan compiler let {step.capability} through, and nobody offers it"
        return entry
