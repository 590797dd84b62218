"""Asks the owner which networks are home, once for each, and `covey peers home` to change that."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from peers import networks
from peers.networks import Networks
from runtime.cli.node_state import opened
from runtime.errors import UsageError
from runtime.home_network import around
from runtime.reach import Reach

WORDS = {
    "home": "home",
    "unknown": "not said yet",
    "away": "not home",
    "no_router": "its router has not answered yet, so it can't be told from others; use the network, and ask again",
}


def ask_once(folder: Path, far: Reach, *, may_ask: bool) -> None:
    """Ask about each network that was never spoken of; where nobody can answer, say how it is done."""
    unknown = around(folder).unknown if far == "auto" else ()
    for interface in unknown:
        if not (may_ask and sys.stdin and sys.stdin.isatty()):
            print(
                f"Other devices are not looked for on {networks.shown(interface)}: it was never said to be your home. "
                "If it is: covey peers home --yes",
                file=sys.stderr,
            )
            continue
        is_home = typer.confirm(f"Is {networks.shown(interface)} your home network? Devices find each other only there")
        Networks(folder).say([interface], "home" if is_home else "away")


def home(
    yes: Annotated[bool, typer.Option("--yes", help="The networks of now are home.")] = False,
    no: Annotated[bool, typer.Option("--no", help="They are not home.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether this network is your home: devices find each other only there. Example: covey peers home --yes"""
    if yes and no:
        raise UsageError("Say either --yes or --no.")
    folder = opened().folder
    before = around(folder)
    if yes or no:
        Networks(folder).say([*before.home, *before.unknown, *before.away], "home" if yes else "away")
    now = around(folder)
    away = [one for one in now.away if networks.network_id(one)]
    early = [one for one in now.away if not networks.network_id(one)]
    standings = [("home", now.home), ("unknown", now.unknown), ("away", away), ("no_router", early)]
    rows = [(networks.shown(one), one.name, standing) for standing, found in standings for one in found]
    if as_json:
        found = [{"network": shown.partition(" on ")[0], "interface": name, "is": said} for shown, name, said in rows]
        print(json.dumps({"networks": found}))
        return
    for shown, _, standing in rows:
        print(f"{shown}: {WORDS[standing]}")
    if not rows:
        print("This device is on no network.")
