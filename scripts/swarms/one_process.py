"""Nodes in one process, with scripted models, joined by relays: a swarm that starts in a second and needs nothing.

Work goes over real TLS. Nobody is looked for: each node knows the relay before each other one, so that the
way between two can be made slow, stalled or cut.
"""

from __future__ import annotations

import asyncio
import shlex
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.backends.scripted import ScriptedPool, ScriptedText
from peers import membership
from peers.codes import Address
from peers.grants import own_device
from peers.mdns import Heard, Multicast
from peers.pairing import Paired
from peers.sightings import Announcement
from peers.state import NodeState
from runtime import paths
from runtime.asking import Ask
from runtime.errors import CoveyError
from runtime.node import Node, open_node
from runtime.own_state import own_state
from runtime.peering import peering
from scripts.swarms.proxy import Proxy, Weather, proxy

MODEL = "smollm2-135m"
WORDS = "A small covey of birds flew over the hill, and none of them was in charge."
TOKEN_S = 0.02
USAGE = "ask NODE TEXT · way NODE delay MS | rate KB | stall SHARE | block | cut | clear · quit"


@dataclass(frozen=True, slots=True)
class Inside:
    """One node, and the relay before it."""

    node: Node
    state: NodeState
    way: Proxy


def run(names: Sequence[str], commands: Iterator[str], show: Callable[[str], None]) -> int:
    """Start the nodes, carry out the commands, and return the exit code. Node b has the model, the others none."""
    with tempfile.TemporaryDirectory(prefix="covey-swarm-") as folder:
        return asyncio.run(_run(names, Path(folder), commands, show))


@asynccontextmanager
async def nodes(names: Sequence[str], folder: Path) -> AsyncIterator[dict[str, Inside]]:
    """Nodes that are all paired with each other, as long as the block lasts."""
    writer = names[min(1, len(names) - 1)]
    async with AsyncExitStack() as stack:
        made = {}
        for name in names:
            model = ScriptedText(lambda call: WORDS, name=MODEL, seconds_per_token=TOKEN_S)
            pool = ScriptedPool({MODEL: model} if name == writer else {})
            node = await stack.enter_async_context(open_node(paths.ensure_home(folder / name), pool=pool))
            place = await stack.enter_async_context(peering(node, 0, "lo", opening=_nobody))
            assert isinstance(place, Address)
            state = await asyncio.to_thread(own_state, node.home, node.settings)
            made[name] = Inside(node, state, await stack.enter_async_context(proxy(place.port)))
        for name, one in made.items():
            for other, known in made.items():
                if other != name:
                    at = (f"127.0.0.1:{known.way.port}",)
                    membership.admit(one.state, Paired(known.state.identity.public, other, at, 1), own_device())
        yield made


async def until_linked(made: dict[str, Inside]) -> None:
    """Wait until every node has a link with every other one. Raises TimeoutError after ten seconds."""
    async with asyncio.timeout(10.0):
        for one in made.values():
            assert one.node.links is not None
            others = [other.state.identity.node_id for other in made.values() if other is not one]
            await one.node.links.around.until_known(others)


async def _run(names: Sequence[str], folder: Path, commands: Iterator[str], show: Callable[[str], None]) -> int:
    worst = 0
    async with nodes(names, folder) as made:
        await until_linked(made)
        show(f"{len(made)} nodes are up in this process and paired. {USAGE}")
        while (line := await asyncio.to_thread(next, commands, "quit")) not in ("quit", "exit"):
            try:
                show(await _do(made, shlex.split(line)))
            except (CoveyError, ValueError) as error:
                show(f"failed: {str(error).rstrip('.')}. {USAGE}")
                worst = 1
    return worst


async def _do(made: dict[str, Inside], words: list[str]) -> str:
    match words:
        case ["ask" | "way", name, *_] if name not in made:
            raise ValueError(f"There is no node {name!r}. There are {', '.join(made)}")
        case ["ask", name, *text]:
            answer = await made[name].node.ask(Ask(" ".join(text)))
            return f"{answer.result.text}  ({answer.node}, {answer.result.usage.seconds:.2f} s)"
        case ["way", name, what, *value]:
            turn(made[name].way, what, value)
            return f"the way to {name}: {_told(made[name].way.weather)}"
        case _:
            raise ValueError(f"{' '.join(words)!r} is no command")


def _told(weather: Weather) -> str:
    """Return how the way is, for a person."""
    if weather.blocked:
        return "nothing comes through"
    kinds = {
        f"{weather.delay_s * 1000:g} ms later": weather.delay_s,
        f"{weather.bytes_per_s / 1000:g} KB/s": weather.bytes_per_s,
        f"{weather.stall_share:.0%} of the pieces {weather.stall_s:g} s late": weather.stall_share,
    }
    return ", ".join(text for text, is_so in kinds.items() if is_so) or "clear"


def turn(way: Proxy, what: str, value: Sequence[str]) -> None:
    """Change the weather on the way to a node. Raises ValueError."""
    match what, value:
        case "delay", [number]:
            way.turn(delay_s=float(number) / 1000)
        case "rate", [number]:
            way.turn(bytes_per_s=float(number) * 1000)
        case "stall", [number]:
            way.turn(stall_share=float(number))
        case "block", []:
            way.turn(blocked=True)
        case "cut", []:
            way.cut()
        case "clear", []:
            way.turn(delay_s=0.0, bytes_per_s=0.0, stall_share=0.0, blocked=False)
        case _:
            raise ValueError(f"{' '.join([what, *value])!r} is no weather")


@asynccontextmanager
async def _nobody(addresses: Sequence[str], services: Sequence[str], heard: Heard) -> AsyncIterator[Multicast]:
    """Multicast on which there is nobody."""
    yield _Silence()


class _Silence:
    async def announce(self, plate: object) -> None: ...

    async def withdraw(self, plate: object) -> None: ...

    async def ask(self, service: str, name: str = "") -> None: ...

    async def look(self, service: str, name: str) -> Sequence[Announcement]:
        return ()
