"""`covey specialists`: what this device can do, and adding to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from models.store import Store
from models.types import Json
from runtime import paths, registry
from runtime.checks import checks_of
from runtime.config import load
from runtime.errors import UsageError
from runtime.registry import Entry, Registry
from runtime.training.examples import Columns

app = typer.Typer(help="What this device can do: the specialists, their models, and your own.")

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="A specialist's name, as `covey specialists list` shows it.")]

ExamplesFile = Annotated[
    Path | None, typer.Option("--examples", help="CSV or JSONL file with a text and a label in each row.")
]
TextColumn = Annotated[
    str, typer.Option("--text-column", help="Name of the column with the texts.", show_default=False)
]
LabelColumn = Annotated[
    str, typer.Option("--label-column", help="Name of the column with the labels.", show_default=False)
]


@app.command("list", epilog="Example: covey specialists list")
def list_specialists(as_json: AsJson = False) -> None:
    """List the specialists, and those that could not be used with the reason."""
    found, installed = _found(), set(_store().installed())
    if as_json:
        broken: list[Json] = [{"where": one.where, "reason": one.reason} for one in found.broken]
        _print_json({"specialists": [_row(entry, installed) for entry in found.entries], "broken": broken})
        return
    for entry in found.entries:
        print(f"{entry.spec.name:<14} {_state(entry, installed):<22} {entry.spec.summary}")
    for one in found.broken:
        print(f"left out: {one.reason}", file=sys.stderr)


@app.command(epilog="Example: covey specialists show extract")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a specialist: its models, checks, prompt and the requests it is known by."""
    entry, installed = _found().named(name), set(_store().installed())
    if as_json:
        _print_json(_row(entry, installed))
        return
    spec = entry.spec
    print(f"{spec.name}: {spec.summary}")
    print(f"capability: {entry.capability} (runner {spec.runner}), {entry.origin}: {entry.where}")
    models = ", ".join(f"{model}{'' if model in installed else ' (not here)'}" for model in spec.models)
    print(f"models, best first: {models or 'none, it is computed'}")
    print(f"checks: {', '.join(checks_of(spec.runner, spec.postconditions)) or 'none'}")
    if spec.system:
        print(f"prompt: {spec.system}")
    for request in spec.requests:
        print(f"  e.g. {request}")


@app.command(epilog="Example: covey specialists add triage --examples mails.csv")
def add(
    what: Annotated[
        list[str],
        typer.Argument(metavar="[NAME] [FILE]", help="A spec file, with its name before it; or a name alone."),
    ],
    examples: ExamplesFile = None,
    text_column: TextColumn = "",
    label_column: LabelColumn = "",
    as_json: AsJson = False,
) -> int:
    """Add a specialist of your own: from a TOML file (one of the same name is replaced), or from examples."""
    if examples is not None:
        if len(what) != 1:
            raise UsageError("Give one name for it: covey specialists add triage --examples mails.csv")
        from runtime.cli import teaching  # heavy, first use only: numpy

        return teaching.add(what[0], examples, Columns(text_column, label_column), as_json=as_json)
    if len(what) not in (1, 2):
        raise UsageError("Give one file, or a name and a file: covey specialists add receipts.toml")
    _only_with_examples(text_column, label_column)
    spec = registry.add(Path(what[-1]), _folder(), what[0] if len(what) == 2 else "")
    if as_json:
        _print_json({"added": spec.name, "capability": spec.capability or spec.name})
        return 0
    missing = [model for model in spec.models if model not in _store().installed()]
    lacking = f" Its models are not here yet: covey models pull {spec.models[0]}" if missing == [*spec.models] else ""
    print(f"Added {spec.name}: {spec.summary}" + (lacking if spec.models else ""))
    return 0


@app.command(epilog="Example: covey specialists update triage --examples more.csv")
def update(
    name: Name,
    examples: ExamplesFile = None,
    text_column: TextColumn = "",
    label_column: LabelColumn = "",
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the version before the last update.")] = False,
    as_json: AsJson = False,
) -> int:
    """Fit a specialist that was made from examples again, with more of them; the better version is kept."""
    if undo and examples is not None:
        raise UsageError("--undo goes back one version and takes no examples. Give one of the two.")
    if examples is None:
        _only_with_examples(text_column, label_column)
    from runtime.cli import teaching  # heavy, first use only: numpy

    if undo:
        return teaching.undo(name, as_json=as_json)
    return teaching.update(name, examples, Columns(text_column, label_column), as_json=as_json)


@app.command(epilog="Example: covey specialists remove receipts")
def remove(name: Name, as_json: AsJson = False) -> None:
    """Remove one of your own specialists; the built-in ones stay."""
    file = registry.remove(name, _folder())
    from runtime.training import kept  # heavy, first use only: numpy

    kept.forget(name, _folder())
    if as_json:
        _print_json({"removed": name, "file": str(file)})
        return
    print(f"Removed {name}.")


def _only_with_examples(text: str, label: str) -> None:
    if text or label:
        raise UsageError("--text-column and --label-column belong to --examples FILE. Give it too.")


def _found() -> Registry:
    home = paths.home()
    return registry.load(paths.specialists_dir(home), models_of=load(paths.settings_file(home)).models)


def _folder() -> Path:
    return paths.specialists_dir(paths.ensure_home(paths.home()))


def _store() -> Store:
    return Store(paths.models_dir(paths.home()))


def _state(entry: Entry, installed: set[str]) -> str:
    if entry.deterministic:
        return "ready (computed)"
    chosen = next((model for model in entry.spec.models if model in installed), None)
    return chosen or "needs a model"


def _row(entry: Entry, installed: set[str]) -> dict[str, Json]:
    spec = entry.spec
    return {
        "name": spec.name,
        "capability": entry.capability,
        "runner": spec.runner,
        "summary": spec.summary,
        "origin": entry.origin,
        "where": entry.where,
        "models": list(spec.models),
        "installed": [model for model in spec.models if model in installed],
        "ready": entry.deterministic or any(model in installed for model in spec.models),
        "checks": list(checks_of(spec.runner, spec.postconditions)),
        "floor": spec.floor,
        "requests": list(spec.requests),
    }


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value))
