"""`covey hub`: the hubs that hard requests may be given to, and what may go there."""

from __future__ import annotations

import getpass
import json
import sys
from typing import Annotated, Literal

import typer

from hub.book import CEILINGS, PLACES, Hub, PlaceName, Price
from hub.consent import Rule, Rules
from hub.hubs import Hubs
from models.types import Json, Label
from peers.book import find
from peers.secret import Secret
from runtime import paths
from runtime.cli import hub_serving
from runtime.cli.given import label_of
from runtime.cli.node_state import opened
from runtime.cli.running import run
from runtime.errors import CoveyError, UsageError

MAX_KEY_LINE = 8192

app = typer.Typer(help="Hubs: servers that the owner chose for what is too hard for the devices at home.")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="What you call the hub.")]
For = Annotated[str, typer.Option("--for", help="Kind of work, for example answer; every kind by default.")]
Highest = Annotated[
    str, typer.Option("--label", help="public, personal or sensitive: as the text was before redaction.")
]


app.command("serve")(hub_serving.serve)
app.command("token")(hub_serving.token)
app.command("tokens")(hub_serving.tokens)
app.command("revoke")(hub_serving.revoke)


class HubHasNot(CoveyError):
    """The hub answers and does not have the model; the message says which it has."""

    code = "model_not_at_hub"


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="Its address, up to and with the version: https://hub.example/v1")],
    model: Annotated[str, typer.Option(help="The model to ask for there.")],
    home: Annotated[bool, typer.Option("--home", help="It is a bigger machine of your own.")] = False,
    ceiling: Annotated[str, typer.Option(help="Highest label that may go there as it is, without redaction.")] = "",
    key: Annotated[
        bool, typer.Option("--key", help="It has a key: ask for it, or read it from standard input.")
    ] = False,
    price_in: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens read.")] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens written.")] = None,
    pin: Annotated[str, typer.Option(help="SHA-256 of its certificate, for a machine of your own.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add a hub. Example: covey hub add big-box https://192.168.1.7:4490/v1 --model qwen2.5-coder-0.5b --home --key

    Nothing is sent by this. By default only what is public, or was redacted and confirmed by you, may go to a hub.
    """
    if (price_in is None) != (price_out is None):
        raise UsageError("A price has two parts. Give --price-in and --price-out (0 where it is free).")
    place: PlaceName = "home" if home else "away"
    highest = label_of(ceiling) if ceiling else CEILINGS[PLACES[place]]
    prices = {} if price_in is None or price_out is None else {model: Price(price_in, price_out)}
    hub = Hub(name, url, model, place, "none", highest, prices, pin.lower().replace(":", ""))
    added = _hubs().add(hub, _typed_key(name) if key else None)
    if as_json:
        _print_json(_as_json(added))
        return
    print(f"Added {added.name}: {_sees(added)}")
    if added.price is None:
        print(f"What {model} costs is not known, so it is not used: add it again with --price-in and --price-out.")
    print(f"Look whether it answers: covey hub test {name}")


@app.command("list")
def list_hubs(as_json: AsJson = False) -> None:
    """List the hubs in the order in which they are tried. Example: covey hub list"""
    hubs = _hubs().all()
    if as_json:
        _print_json({"hubs": [_as_json(hub) for hub in hubs]})
        return
    if not hubs:
        print("No hub was added, so nothing leaves your devices for one. `covey hub add --help` shows how.")
    for hub in hubs:
        key = {"none": "no key", "file": "key in a file", "keyring": "key in the keyring"}[hub.key]
        print(f"{hub.name:<12} {hub.place:<5} {hub.model:<24} {hub.url}  {key}\n{'':<12} {_sees(hub)}")


@app.command()
def test(name: Name, as_json: AsJson = False) -> None:
    """Ask a hub which models it has: no text of yours is sent. Example: covey hub test big-box"""
    hub = _hubs().get(name)
    found = run(_models(hub))
    if hub.model not in found:
        some = ", ".join(found[:5]) or "none"
        raise HubHasNot(f"{name} answers, and has no {hub.model!r} but {some}. Add it again with another --model.")
    if as_json:
        _print_json({"hub": name, "answers": True, "models": list(found)})
        return
    print(f"{name} answers and has {hub.model}" + (f" among {len(found)} models." if len(found) > 1 else "."))


@app.command()
def remove(name: Name, as_json: AsJson = False) -> None:
    """Take a hub away, with its key and all that was said about it. Example: covey hub remove far"""
    gone = _hubs().remove(name)
    _rules().forget(name)
    if as_json:
        _print_json({"removed": gone.name})
        return
    print(f"Removed {gone.name}. What went there stays in the ledger: covey ledger list")


@app.command()
def allow(name: Name, label: Highest = "personal", kind: For = "", as_json: AsJson = False) -> None:
    """Let a kind of thing go without being asked each time. Example: covey hub allow big-box --for answer

    It is redacted all the same, and written down. One that a paired device lends is called like far@kitchen.
    """
    _say("allow", name, label, kind, as_json=as_json)


@app.command()
def never(name: Name, label: Highest = "public", kind: For = "", as_json: AsJson = False) -> None:
    """Never let a kind of thing go, and do not ask. Example: covey hub never far --label personal"""
    _say("never", name, label, kind, as_json=as_json)


@app.command()
def rules(as_json: AsJson = False) -> None:
    """Show what you said once and for all. Example: covey hub rules"""
    found = _rules().all()
    if as_json:
        _print_json({"rules": [_rule_json(rule) for rule in found]})
        return
    if not found:
        print("Nothing was said once and for all: you are asked each time.")
    for rule in found:
        print(_sentence(rule))


def _say(word: Literal["allow", "never"], name: str, label: str, kind: str, *, as_json: bool) -> None:
    hub, via = _named(name)
    rule = Rule(word, label_of(label), kind, hub, via)
    if word == "allow" and rule.label >= Label.SENSITIVE:
        raise UsageError("What is sensitive is asked about each time. Allow public or personal.")
    _rules().add(rule)
    if as_json:
        _print_json(_rule_json(rule))
        return
    print(_sentence(rule))


def _named(name: str) -> tuple[str, str]:
    """Return the hub of that name and the node id of the device that lends it; none where it is the owner's own."""
    hub, at, device = name.partition("@")
    if not at:
        return _hubs().get(name).name, ""
    peer = find(opened().peers.book(), device)
    return f"{hub}@{peer.name}", peer.node_id


async def _models(hub: Hub) -> list[str]:
    from hub.client import HubClient  # heavy, first use only: the network
    from peers.release import Releaser

    released = Releaser(opened().ledger).release(
        b"/models", Label.PUBLIC, capability="test", recipient=hub.recipient(), reason="you asked whether it answers"
    )
    async with HubClient() as client:
        return await client.models(hub, _hubs().key(hub), released)


def _typed_key(name: str) -> Secret:
    """Return the key; what is typed is not shown, and it never stands in the command line."""
    if sys.stdin is not None and sys.stdin.isatty():
        return Secret(getpass.getpass(f"Key of {name}: ").strip())
    return Secret(sys.stdin.readline(MAX_KEY_LINE).strip() if sys.stdin else "")


def _hubs() -> Hubs:
    return Hubs(paths.ensure_home(paths.home()))


def _rules() -> Rules:
    return Rules(paths.ensure_home(paths.home()))


def _sees(hub: Hub) -> str:
    as_it_is = f"{hub.ceiling.name.lower()} things may go as they are"
    return f"{as_it_is}, others redacted and when you say so. It {PLACES[hub.place].words.replace('left', 'leaves')}."


def _sentence(rule: Rule) -> str:
    what = f"for {rule.capability}" if rule.capability else "for every kind of work"
    who = rule.hub or "every hub"
    label = rule.label.name.lower()
    if rule.word == "allow":
        return f"{who} may be given {label} things {what} without asking (redacted where it may not see them)."
    return f"{who} is never given {label} things {what}, nor any above that."


def _as_json(hub: Hub) -> dict[str, Json]:
    price = hub.price
    return {
        "name": hub.name,
        "url": hub.url,
        "model": hub.model,
        "place": hub.place,
        "key": hub.key,
        "ceiling": hub.ceiling.name.lower(),
        "price_per_million": None if price is None else {"in": price.per_million_in, "out": price.per_million_out},
        "pin": hub.pin or None,
    }


def _rule_json(rule: Rule) -> dict[str, Json]:
    return {
        "word": rule.word,
        "label": rule.label.name.lower(),
        "capability": rule.capability or None,
        "hub": rule.hub or None,
    }


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value))
