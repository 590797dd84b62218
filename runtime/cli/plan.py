"""`covey plan`: how a request would be answered, with what every stage says. Runs nothing, writes nothing."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from runtime.cli import given, render
from runtime.cli.planning import planning_node
from runtime.cli.running import run

app = typer.Typer()


@app.command()
def plan(
    text: given.Text = "",
    files: given.Files = None,
    label: given.LabelName = "",
    tier: given.TierName = "home",
    risk: given.Risk = None,
    schema: given.SchemaFile = None,
    capability: given.As = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Show how a request would be answered: the stages' scores, the steps, the checks. Runs nothing."""
    asked = given.ask_from(text, files=files, label=label, tier=tier, risk=risk, schema=schema, capability=capability)

    async def show() -> int:
        async with planning_node() as node:
            routing, prepared = await node.preview(asked)
        print(json.dumps(render.plan_object(routing, prepared)) if as_json else render.plan_text(routing, prepared))
        return 1 if prepared is not None and prepared.problems else 0

    return run(show())
