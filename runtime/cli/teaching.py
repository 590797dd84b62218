"""Specialists from examples, on the command line: runs the training and says what came of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from models.types import Json
from runtime import paths
from runtime.cli.running import run
from runtime.node import open_node
from runtime.running import RunningNode
from runtime.training import kept, train
from runtime.training.examples import Columns
from runtime.training.report import figure, figures, lines

STEP = 512
"""Texts between two lines of progress where there is no terminal to draw on."""


def add(name: str, file: Path, columns: Columns, *, as_json: bool) -> int:
    """Make a specialist from the examples in a file."""
    return run(_add(name, file, columns, as_json=as_json))


def update(name: str, file: Path | None, columns: Columns, *, as_json: bool) -> int:
    """Fit a specialist again, with more examples where a file is given."""
    return run(_update(name, file, columns, as_json=as_json))


def undo(name: str, *, as_json: bool) -> int:
    """Go back to the version before the last update."""
    folder = _folder()
    with kept.changing(folder):
        number = kept.undo(name, folder)
    if as_json:
        print(json.dumps({"undone": name, "version": number}))
    else:
        print(f"{name} is back at version {number}.")
    return 0


async def _add(name: str, file: Path, columns: Columns, *, as_json: bool) -> int:
    progress = _Progress()
    async with open_node() as node:
        made = await train.add(
            name, file, _folder(), pool=node.pool, registry=node.registry, columns=columns, progress=progress.say
        )
    progress.end()
    running = await _running()
    if as_json:
        counts: dict[str, Json] = dict(made.counts)
        _print_json(
            {
                "added": name,
                "capability": name,
                "version": 1,
                "rows": made.rows,
                "labels": counts,
                "measured": figures(made.measured),
                "warnings": list(made.warnings),
                "restart_node": running,
                "seconds": round(made.seconds, 2),
            }
        )
        return 0
    print(f"Added {name}: {len(made.counts)} labels from {made.rows:,} rows.")
    print("\n".join(lines(made.measured)))
    _warn(made.warnings, running=running)
    print(f'Try it: covey ask --as {name} "..."')
    return 0


async def _update(name: str, file: Path | None, columns: Columns, *, as_json: bool) -> int:
    progress = _Progress()
    async with open_node() as node:
        made = await train.update(name, file, _folder(), pool=node.pool, columns=columns, progress=progress.say)
    progress.end()
    compared = made.compared
    running = compared.kept == "new" and await _running()
    if as_json:
        _print_json(
            {
                "updated": name,
                "kept": compared.kept,
                "reason": compared.reason,
                "version": made.version,
                "rows": len(compared.rows.labels),
                "added_rows": made.added,
                "before": {"all_rows": figure(compared.before), "new_rows": figure(compared.before_new)},
                "after": {"all_rows": figure(compared.after), "new_rows": figure(compared.after_new)},
                "measured": figures(compared.measured),
                "warnings": list(made.warnings),
                "restart_node": running,
                "seconds": round(made.seconds, 2),
            }
        )
        return 0
    print(f"{compared.reason} Version {made.version} of {name} is in use.")
    print(f"Right before: {_share(compared.before.value)} of all rows, {_share(compared.before_new.value)} of the new.")
    print(f"Right after:  {_share(compared.after.value)} of all rows, {_share(compared.after_new.value)} of the new.")
    if compared.kept == "new":
        print("\n".join(lines(compared.measured)))
        print(f"To go back: covey specialists update {name} --undo")
    _warn(made.warnings, running=running)
    return 0


class _Progress:
    """What is being done, on stderr: one line that changes on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._drawn = False

    def say(self, what: str, done: int, total: int) -> None:
        amount = f" {done:,} of {total:,}" if total else ""
        if sys.stderr.isatty():
            print(f"\r\033[K{what}{amount} ...", end="", file=sys.stderr, flush=True)
            self._drawn = True
        elif total > STEP and done % STEP == 0:
            print(f"{what}{amount}", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._drawn:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _warn(warnings: tuple[str, ...], *, running: bool) -> None:
    for warning in warnings:
        print(f"note: {warning}", file=sys.stderr)
    if running:
        print("note: the running node learns of it when it starts: end `covey up` and start it again.", file=sys.stderr)


async def _running() -> bool:
    return await RunningNode(paths.home()).answers()


def _folder() -> Path:
    return paths.specialists_dir(paths.ensure_home(paths.home()))


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.1%}"


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value))
