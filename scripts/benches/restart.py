"""The first token after a restart, with the state of the specialist's prompt on disk and without."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from models.backend import Delta, Finish, GenerateCall, Message
from models.backends.llama import LlamaModel
from runtime.api.server import serving
from runtime.node import open_node
from scripts.benches import texts
from scripts.benches.client import Client
from scripts.benches.figures import Report, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "a new process is asked with a 300-token prompt of a specialist: seconds to the first token"
SIDES = ("state on disk", "no state on disk")
PROMPT_TOKENS = 300
MOST_S = 0.15
"""To the first token, with the state on disk and the model loaded."""
PREFIXES = "prefixes"
"""Folder of the store where the states of specialists' prompts are kept."""
NOTE = (
    "The bar holds the first row, in which the new process is up and its model loaded when the request comes. The "
    "other rows count loading too, and do not keep to it: a node that was opened anew loads when it is first asked, "
    "beside the model also the encoder that tells what kind of request it is."
)
Sides = tuple[list[float], list[float]]


async def run(setup: Setup) -> Report:
    rounds = setup.count(3, 20)
    first, loads, both, whole = _sides(), _sides(), _sides(), _sides()
    with _home(setup) as home:
        states = home / "models" / PREFIXES
        async with setup.loaded(prefix_folder=states) as model:
            await _first(model, 0)
        await _of_node(setup, home, 0)
        for number in range(1, rounds + 1):
            for side, folder in enumerate((states, None)):
                began = time.perf_counter()
                async with setup.loaded(prefix_folder=folder) as model:
                    loads[side].append(time.perf_counter() - began)
                    first[side].append(await _first(model, number))
                both[side].append(loads[side][-1] + first[side][-1])
            whole[0].append(await _of_node(setup, home, number))
            states.rename(states.with_name("put-aside"))
            whole[1].append(await _of_node(setup, home, number))
            shutil.rmtree(states, ignore_errors=True)
            states.with_name("put-aside").rename(states)
            say(f"round {number} of {rounds}: {first[0][-1]:.3f} against {first[1][-1]:.3f} s")
    rows = (
        compared("first token, from the request on", "s", first, "lower", bar=MOST_S, held="figure"),
        alone("until the model is loaded", "s", [*loads[0], *loads[1]], "lower"),
        compared("first token, loading too", "s", both, "lower"),
        compared("first token of a node that was opened anew", "s", whole, "lower"),
    )
    return Report("restart", ABOUT, rows, SIDES, {"rounds": rounds, "prompt_tokens": PROMPT_TOKENS}, (NOTE,))


def _sides() -> Sides:
    return [], []


@contextmanager
def _home(setup: Setup) -> Iterator[Path]:
    """Give a folder of Covey with these models, prompts' states of its own, and a writer with a long prompt."""
    with tempfile.TemporaryDirectory(prefix="covey-bench-") as made:
        home = Path(made)
        (home / "models").mkdir()
        for part in (setup.home / "models").iterdir():
            if part.name != PREFIXES:
                (home / "models" / part.name).symlink_to(part)
        (home / "specialists").mkdir()
        (home / "specialists" / "generate.toml").write_text(_writer(setup.model))
        (home / "settings.toml").write_text(f'[models]\ngenerate = ["{setup.model}"]\n')
        yield home


def _writer(model: str) -> str:
    """Return a specialist like Covey's own writer, but with a long prompt."""
    system = json.dumps(texts.system(PROMPT_TOKENS, 2))
    return (
        'name = "generate"\nrunner = "generate"\nsummary = "Writes."\nmax_tokens = 64\n'
        f'models = ["{model}"]\nsystem = {system}\n'
    )


async def _of_node(setup: Setup, home: Path, number: int) -> float:
    """Open a node, ask it over HTTP, and return the seconds to the first text."""
    async with open_node(home) as node, serving(node, 0) as server:
        async with Client(server.url.removesuffix("/v1"), "covey") as client:
            heard = await client.ask([{"role": "user", "content": texts.story(number)}], 8)
    return heard.first_s


async def _first(model: LlamaModel, number: int) -> float:
    """Return the seconds to the first token, and stay until the answer is over."""
    system = Message("system", texts.system(PROMPT_TOKENS, 1))
    call = GenerateCall((system, Message("user", f"Say {number}.")), 4, own_messages=1)
    began, first = time.perf_counter(), 0.0
    async with aclosing(model.generate(call)) as items:
        async for item in items:
            if isinstance(item, Delta | Finish) and not first:
                first = time.perf_counter() - began
    return first
