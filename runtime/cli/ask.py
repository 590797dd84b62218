"""`covey ask`: one request, one answer. 'Not sure' is an answer too: it ends with exit code 0.

The answer goes to stdout as it is made; what produced it goes to stderr in one line.
"""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from typing import Annotated

import psutil
import typer

from models.errors import NotInstalled
from models.types import Chunk, Tier
from runtime import paths
from runtime.asking import Answer, Ask, Restarted
from runtime.cli import given, render
from runtime.cli.running import run
from runtime.cli.starter import Starter
from runtime.errors import UsageError
from runtime.node import Node, open_node
from runtime.task import Status

app = typer.Typer()


@app.command()
def ask(
    text: given.Text = "",
    files: given.Files = None,
    label: given.LabelName = "",
    tier: given.TierName = "home",
    risk: given.Risk = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and run nothing.")] = False,
    schema: given.SchemaFile = None,
    capability: given.As = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Answer a question or do a small job, with files if you like.

    'Not sure' is an answer: it says why and what was found, and the exit code is 0.
    """
    asked = given.ask_from(text, files=files, label=label, tier=tier, risk=risk, schema=schema, capability=capability)
    return run(_preview(asked, as_json=as_json) if dry_run else _ask(asked, as_json=as_json))


async def _preview(asked: Ask, *, as_json: bool) -> int:
    async with open_node() as node:
        routing, prepared = await node.preview(asked)
    print(json.dumps(render.plan_object(routing, prepared)) if as_json else render.plan_text(routing, prepared))
    return 0


async def _ask(asked: Ask, *, as_json: bool) -> int:
    home = paths.ensure_home(paths.home())
    starter = Starter(home)
    async with open_node(home) as node:
        computed = await node.computed(asked)
        await starter.ensure(computed=computed)
        if starter.failure and computed:
            _aside(f"The models could not be fetched ({starter.failure.rstrip('.')}); this is computed without them.")
        if asked.ceiling is Tier.HUB:
            _aside("No hub is set up, so nothing leaves your home.")
        try:
            answer = await _answered(node, asked, silent=as_json)
        except NotInstalled as error:
            raise starter.missing_models(error) from error
    if as_json:
        print(json.dumps(render.answer_object(answer)))
    else:
        _aside(*answer.notes, render.byline(answer), starter.hint(answer, psutil.virtual_memory().total // 2))
    return 1 if answer.status is Status.REJECTED else 0


async def _answered(node: Node, asked: Ask, *, silent: bool) -> Answer:
    """Print the answer as it comes (or nothing) and return it."""
    written = _Paper()
    async with aclosing(node.stream(asked)) as items:  # type: ignore[type-var]  # it is a generator
        async for item in items:
            match item:
                case Answer():
                    if not silent:
                        written.end(item)
                    return item
                case Chunk() if not silent:
                    written.write(item.text)
                case Restarted() if not silent:
                    written.void(item.reason)
    raise UsageError("The answer ended before it was complete. Ask again.")


class _Paper:
    """Standard output, and what stands on it."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str) -> None:
        text = render.harmless(text)
        self._text += text
        print(text, end="", flush=True)

    def void(self, reason: str) -> None:
        self._break()
        self._text = ""
        _aside(f"That was void and begins again: {reason}")

    def end(self, answer: Answer) -> None:
        """Complete what was streamed: nothing yet, the whole answer, or the beginning of one that is not sure."""
        if answer.result.abstained or not self._text:
            self._break()
            print(render.spoken(answer.result), flush=True)
        else:
            self._break()

    def _break(self) -> None:
        if self._text and not self._text.endswith("\n"):
            print(flush=True)


def _aside(*lines: str) -> None:
    """Write lines to stderr, dim on a terminal: they are beside the answer, not in it."""
    for line in filter(None, lines):
        shown = f"\x1b[2m{render.harmless(line)}\x1b[0m" if sys.stderr.isatty() else render.harmless(line)
        print(shown, file=sys.stderr, flush=True)
