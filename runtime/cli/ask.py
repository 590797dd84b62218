"""`covey ask`: one request, one answer. 'Not sure' is an answer too: it ends with exit code 0.

The answer goes to stdout as it is made; what produced it goes to stderr in one line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import psutil
import typer

from models.errors import NotInstalled
from models.types import Tier
from runtime import paths
from runtime.asker import asked_by
from runtime.asking import Ask
from runtime.cli import given, render
from runtime.cli.owner import owner_here
from runtime.cli.paper import aside, streamed
from runtime.cli.planning import planning_node
from runtime.cli.running import run
from runtime.cli.starter import Starter
from runtime.node import has_hubs, may_reach_hubs
from runtime.running import nearest_node
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
    async with planning_node() as node:
        routing, prepared = await node.preview(asked)
        shown = render.plan_object(routing, prepared)
        text = [render.plan_text(routing, prepared)]
        if has_hubs(node.home):
            from runtime.cli import leaving  # only where there are hubs

            found = await leaving.previews(node, asked, prepared)
            shown["hubs"], text = leaving.as_json(found), [*text, *leaving.as_text(found)]
    print(json.dumps(shown) if as_json else "\n".join(text))
    return 0


async def _ask(asked: Ask, *, as_json: bool) -> int:
    home = paths.ensure_home(paths.home())
    starter = Starter(home)
    with asked_by(owner_here(home)):
        return await _answered(home, starter, asked, as_json=as_json)


async def _answered(home: Path, starter: Starter, asked: Ask, *, as_json: bool) -> int:
    async with nearest_node(home) as node:
        computed = await node.computed(asked)
        if computed or not starter.would_fetch or not await node.elsewhere(asked):
            await starter.ensure(computed=computed)
        if starter.failure and computed:
            aside(f"The models could not be fetched ({starter.failure.rstrip('.')}); this is computed without them.")
        if asked.ceiling is Tier.HUB and not may_reach_hubs(home):
            aside("No hub is set up, so nothing leaves your home: covey hub add")
        try:
            answer = await (node.ask(asked) if as_json else streamed(node, asked))
        except NotInstalled as error:
            raise starter.missing_models(error) from error
    if as_json:
        print(json.dumps(render.answer_object(answer)))
    else:
        aside(*answer.notes, render.byline(answer), starter.hint(answer, psutil.virtual_memory().total // 2))
    return 1 if answer.status is Status.REJECTED else 0
