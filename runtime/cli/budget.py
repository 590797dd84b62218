"""`covey budget`: what hubs may use up per day and per task, and what they used today."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer

from hub.budget import UNITS, Account, Budget, Change, Limits, Unit, shown
from models.types import Json
from runtime import paths
from runtime.errors import UsageError

NO_LIMIT = "none"

N = TypeVar("N", int, float)

app = typer.Typer(help="What hubs may use up, and what they used.")
Amount = Annotated[str, typer.Option(help="The new limit; `none` sets no bound.", show_default=False)]


@app.command()
def budget(
    day: Annotated[bool, typer.Option("--day", help="Change the limits of a day.")] = False,
    task: Annotated[bool, typer.Option("--task", help="Change the limits of one task.")] = False,
    money: Amount = "",
    tokens: Amount = "",
    size: Annotated[str, typer.Option("--bytes", help="The same for bytes that leave.", show_default=False)] = "",
    requests: Amount = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show or change the limits. Example: covey budget --day --money 0.50

    They are checked before anything is sent, with the most that a request can cost.
    """
    wanted: Change = {}
    if money:
        wanted["money"] = _amount("money", money, float)
    if tokens:
        wanted["tokens"] = _amount("tokens", tokens, _whole)
    if size:
        wanted["bytes"] = _amount("bytes", size, _whole)
    if requests:
        wanted["requests"] = _amount("requests", requests, _whole)
    account = _changed(day, task, wanted)
    if as_json:
        print(json.dumps(_as_json(account)))
        return
    print(f"{'':<10} {'used today':>16} {'most a day':>16} {'most a task':>16}")
    for unit in UNITS:
        used, per_day, per_task = (
            _cell(unit, getattr(part, unit)) for part in (account.today, account.per_day, account.per_task)
        )
        print(f"{unit:<10} {used:>16} {per_day:>16} {per_task:>16}")


def _changed(day: bool, task: bool, wanted: Change) -> Account:
    kept = Budget(paths.ensure_home(paths.home()))
    if not wanted and not day and not task:
        return kept.account()
    if not wanted or day == task:
        raise UsageError("Say whose limit and which: covey budget --day --money 0.50, or --task --tokens 5000.")
    return kept.limit(per_day=wanted if day else {}, per_task=wanted if task else {})


def _amount(unit: Unit, text: str, number: Callable[[str], N]) -> N | None:
    if text == NO_LIMIT:
        return None
    with contextlib.suppress(ValueError):
        if 0 <= (value := number(text)) < 1e15:
            return value
    raise UsageError(f"--{unit} {text!r} is no amount. Give a number, or `none` for no bound.")


def _whole(text: str) -> int:
    return int(text.replace(",", "").replace("_", ""))


def _cell(unit: str, value: float | int | None) -> str:
    if value is None:
        return "no bound"
    return shown("money", value) if unit == "money" else f"{value:,}"


def _as_json(account: Account) -> dict[str, Json]:
    return {"today": asdict(account.today), "per_day": _limits(account.per_day), "per_task": _limits(account.per_task)}


def _limits(limits: Limits) -> dict[str, Json]:
    return asdict(limits)
