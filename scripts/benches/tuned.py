"""What `covey models tune` gives: a model as it is left by it, against the weights as shipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from models.store import Store
from models.tune import settings_said
from models.tuner import Wish, tune_model
from runtime import paths
from scripts.benches import eight, one_stream, reference, servers, shared_prefix, texts
from scripts.benches.client import Client
from scripts.benches.figures import Better, Report, Row, compared
from scripts.benches.servers import Running
from scripts.benches.setup import Setup, say

ABOUT = "a model as `covey models tune` leaves it on this device, against the weights as shipped"
SIDES = ("Covey, tuned", "the other")
NOTES = ("llama-server is in the fastest of its configurations, those that `shared_prefix` lists, for either weights.",)
PROMPT, ALONE, TOGETHER = "prompt", "one answer alone", "8 answers at a time"
COLD = "16 requests, shared prompt, cold"
FIRST = "… their first token, 95 of 100 within"
UNITS = {PROMPT: "tok/s", ALONE: "tok/s", TOGETHER: "tok/s", COLD: "tok/s", FIRST: "s"}


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared, and what it did in each round."""

    name: str
    start: Callable[[], AbstractAsyncContextManager[Running]]
    is_covey: bool
    figures: dict[str, list[float]] = field(default_factory=lambda: {what: [] for what in UNITS})


async def run(setup: Setup) -> Report:
    rounds, numbers = setup.count(1, 8), count(1)
    with setup.as_shipped() as here, tuned(setup) as (there, chose):

        async def cold_rate(url: str) -> float:
            return (await shared_prefix.asked(setup, _system(next(numbers)), url, 0))[0]

        plain, _ = await reference.best(here, cold_rate)
        made, _ = await reference.best(there, cold_rate)
        sides = (
            Side("Covey, tuned", partial(servers.covey, there.home), is_covey=True),
            Side("Covey, as shipped", partial(servers.covey, here.home), is_covey=True),
            Side("llama-server, as shipped", partial(reference.started, here, plain), is_covey=False),
            Side("llama-server, these weights", partial(reference.started, there, made), is_covey=False),
        )
        for number in range(rounds):
            system = _system(next(numbers))
            for side in sides:
                await _measure(setup, side, system, next(numbers))
            told = ", ".join(f"{side.figures[COLD][-1]:.0f}" for side in sides)
            say(f"round {number + 1} of {rounds}, a shared prompt, cold: {told} tok/s")
    settings: dict[str, object] = {
        "rounds": rounds,
        "chosen": chose,
        "llama_server_as_shipped": " ".join(plain),
        "llama_server_with_these_weights": " ".join(made),
    }
    rows = [row for what in UNITS for row in _rows(what, sides)]
    return Report("tuned", ABOUT, tuple(rows), SIDES, settings, NOTES)


@contextmanager
def tuned(setup: Setup) -> Iterator[tuple[Setup, str]]:
    """Give a Covey folder with this model alone, tuned for this device, and what was chosen. Raises ModelsError."""
    with setup.as_shipped() as there:
        store = Store(paths.models_dir(there.home))
        yield there, settings_said(tune_model(store.get(setup.model), store, Wish(setup.threads), said=say))


async def _measure(setup: Setup, side: Side, system: str, number: int) -> None:
    async with side.start() as running:
        await servers.warm(running.url, setup.model)
        cold, first = await shared_prefix.asked(setup, system, running.url, 0)
        side.figures[COLD].append(cold)
        side.figures[FIRST].append(first)
        if not side.is_covey:
            return
        together, _ = await eight.asked(setup, running.url, range(100 * number, 100 * number + eight.WIDTH * 4))
        side.figures[TOGETHER].append(together)
        async with Client(running.url, setup.model) as client:
            heard = await one_stream.whole(client, count(100 * number))
        side.figures[PROMPT].append(heard.prompt_rate)
        side.figures[ALONE].append(heard.decode_rate)


def _rows(what: str, sides: tuple[Side, ...]) -> list[Row]:
    ours, *others = sides
    better: Better = "lower" if what == FIRST else "higher"
    return [
        compared(f"{what}; {other.name}", UNITS[what], (ours.figures[what], other.figures[what]), better)
        for other in others
        if other.figures[what]
    ]


def _system(number: int) -> str:
    return texts.system(shared_prefix.PREFIX_TOKENS, number)
