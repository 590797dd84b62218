"""`covey hub serve`, and the tokens of the devices that may ask there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from hub.book import is_loopback
from hub.tokens import PER_MINUTE, TOKENS_PER_DAY, Device, Tokens
from models.types import Json
from runtime import config, paths
from runtime.cli.stopping import STOP_S, say, told_to_stop
from runtime.own_state import own_state

PORT = 4490
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DeviceName = Annotated[str, typer.Argument(help="What you call the device.")]


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at: 127.0.0.1, one of this device's, or 0.0.0.0 for all.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any.")] = PORT,
    as_json: AsJson = False,
) -> None:
    """Let this device be a hub for your others. Example: covey hub serve --host 0.0.0.0

    Any model that is installed here answers under its name, to devices with a token (`covey hub token`). No prompt
    and no answer is kept. Off this machine it is always encrypted.
    """
    home = paths.ensure_home(paths.home())
    asyncio.run(_serve(home, host, port, as_json=as_json))


async def _serve(home: Path, host: str, port: int, *, as_json: bool) -> None:
    from runtime.api.household import Household, household  # heavy, first use only
    from runtime.node import open_node

    state = await asyncio.to_thread(own_state, home, config.load(paths.settings_file(home)))

    def announce(hub: Household) -> None:
        urls = [hub.url(name) for name in _names(host)]
        if as_json:
            print(json.dumps({"status": "up", "urls": urls, "pin": hub.pin or None}), flush=True)
            return
        print(f"This device is a hub at {', '.join(urls)}. Ctrl-C stops it.")
        if not hub.pin:
            print("Only programs on this machine reach it; --host 0.0.0.0 lets your other devices in, encrypted.")
        pin = f" --pin {hub.pin}" if hub.pin else ""
        print("`covey hub token NAME` makes a token for a device; there, run:", flush=True)
        print(f"  covey hub add big-box {urls[0]} --home --model MODEL --key{pin}", flush=True)

    with told_to_stop() as stop:
        async with open_node(home) as node, household(node, state, host, port) as hub:
            announce(hub)
            await stop.wait()
            if not await hub.gate.drain(STOP_S, stop.hurry):
                say("Some requests were cut off.")


def _names(host: str) -> list[str]:
    """Return under which addresses others find what listens at a host."""
    if is_loopback(host):
        return [host]
    from runtime.addresses import EVERYWHERE, home_addresses  # heavy, first use only

    return (home_addresses() or [host]) if host in EVERYWHERE else [host]


def token(
    name: DeviceName,
    per_minute: Annotated[int, typer.Option(min=1, max=6000, help="Requests a minute.")] = PER_MINUTE,
    per_day: Annotated[int, typer.Option(min=1, max=10**9, help="Tokens a day, read and written.")] = TOKENS_PER_DAY,
    as_json: AsJson = False,
) -> None:
    """Make a token with which a device may ask this hub; it is shown once. Example: covey hub token kitchen"""
    made = _tokens().mint(name, per_minute=per_minute, tokens_per_day=per_day).reveal()
    if as_json:
        print(json.dumps({"name": name, "token": made}))
        return
    print(f"{made}\nGive it to {name} when `covey hub add ... --key` asks there. It is not shown again.")


def tokens(as_json: AsJson = False) -> None:
    """List the devices that may ask this hub, and what they used today. Example: covey hub tokens"""
    kept = _tokens()
    found = kept.all()
    if as_json:
        print(json.dumps({"devices": [_as_json(kept, device) for device in found]}))
        return
    if not found:
        print("No device has a token. `covey hub token NAME` makes one.")
    for device in found:
        print(f"{device.name:<16} {kept.left(device):>10,} of {device.tokens_per_day:,} tokens left today")


def revoke(name: DeviceName, as_json: AsJson = False) -> None:
    """End a device's token, at once. Example: covey hub revoke kitchen"""
    _tokens().revoke(name)
    print(json.dumps({"revoked": name}) if as_json else f"{name} may not ask this hub any more.")


def _tokens() -> Tokens:
    return Tokens(paths.ensure_home(paths.home()))


def _as_json(kept: Tokens, device: Device) -> Json:
    return {
        "name": device.name,
        "per_minute": device.per_minute,
        "tokens_per_day": device.tokens_per_day,
        "left_today": kept.left(device),
    }
