"""`covey peers`: the paired devices, what each may do, and how to end that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from models.types import Json
from peers import membership
from peers.book import find
from peers.codes import parse_address
from peers.errors import RecordError
from peers.node_id import readable, short
from runtime import paths
from runtime.cli import granting, networks, peer_view, peers_log
from runtime.cli.node_state import opened
from runtime.errors import UsageError

SHOWN_HAPPENINGS = 10
ANSWER_S = 5.0
"""What a running node is given to tell how its links are."""
MAX_FIXED = 4
"""Addresses of one device that its owner says; each is dialled in every round."""

app = typer.Typer(help="See and change what paired devices may do.")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Name = Annotated[str, typer.Argument(help="The device's name, or the first letters of its id.")]


app.command("home")(networks.home)
app.command("log")(peers_log.log)


@app.command("list")
def list_peers(
    everything: Annotated[bool, typer.Option("--all", help="Also revoked devices.")] = False, as_json: AsJson = False
) -> None:
    """List the paired devices. Example: covey peers list"""
    state = opened()
    book, now = state.peers.book(), state.peers.now_ns()
    peers = sorted(book.peers.values(), key=lambda peer: peer.name.casefold())
    warnings = [notice for notice in book.notices if not notice.binds and notice.tombstone.subject in book.peers]
    gone = [notice for notice in book.notices if notice.binds and notice.tombstone.subject not in book.peers]
    linked = linked_now(paths.home())
    if as_json:
        shown: dict[str, Json] = {
            "node_id": readable(state.identity.node_id),
            "peers": [peer_view.peer_json(peer, now) | peer_view.link_json(linked, peer.node_id) for peer in peers],
            "warnings": [peer_view.notice_json(notice) for notice in warnings],
        }
        _print_json({**shown, "revoked": [peer_view.notice_json(notice) for notice in gone]} if everything else shown)
        return
    for row in (
        peer_view.rows(peers, now, linked)
        if peers
        else ["No device is paired. Run `covey pair` here, and on the other device."]
    ):
        print(row)
    for notice in warnings:
        print(peer_view.warning(notice, book.peers[notice.tombstone.subject].name))
    for notice in gone if everything else ():
        print(
            f"{notice.name or short(notice.tombstone.subject)} was revoked {peer_view.when(notice.tombstone.time_ns)}."
        )


@app.command("show")
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one device: id, grant, figures, and what happened lately. Example: covey peers show kitchen"""
    state = opened()
    peer, now = find(state.peers.book(), name), state.peers.now_ns()
    lately = state.audit.newest(SHOWN_HAPPENINGS, peer.node_id)
    if as_json:
        linked = linked_now(paths.home())
        shown = peer_view.peer_json(peer, now) | peer_view.link_json(linked, peer.node_id)
        _print_json({**shown, "lately": [peer_view.happening_json(one) for one in lately]})
        return
    for line in peer_view.lines(peer, now, linked_now(paths.home())):
        print(line)
    for one in lately:
        print(peer_view.happening_words(one))


@app.command("grant")
def grant(
    name: Name,
    label: Annotated[str, typer.Option(help="Highest label it may see: public, personal or sensitive.")] = "",
    may: Annotated[str, typer.Option(help="Work it may do and ask for, like extract,embed; `all` for any.")] = "",
    copy_models: Annotated[bool | None, typer.Option("--copy-models/--no-copy-models", help="Copy models.")] = None,
    relay: Annotated[bool | None, typer.Option("--relay/--no-relay", help="Use this device's hubs through it.")] = None,
    admin: Annotated[bool | None, typer.Option("--admin/--no-admin", help="Revoke other devices here.")] = None,
    quiet: Annotated[str, typer.Option(help="Hours without work for it, like 22:00-07:00; `none` ends them.")] = "",
    lasts: Annotated[str, typer.Option("--for", help="How long from now, like 2h or 7d; `ever` for no end.")] = "",
    tasks: Annotated[int | None, typer.Option(min=0, help="Tasks it may still ask for; 0 for any number.")] = None,
    tokens: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="Most tokens of one task.")] = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, max=granting.MOST_AT_ONCE, help="Most tasks of it that run at the same time.")
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option(min=1, max=granting.MOST_PER_MINUTE, help="Most requests of it in a minute.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change what a device may do; what is not named stays. Example: covey peers grant kitchen --label sensitive"""
    state = opened()
    peer = find(state.peers.book(), name)
    now = state.peers.now_ns()
    changed = peer.grant
    if label:
        changed = replace(changed, label=granting.parse_label(label))
    if may:
        changed = replace(changed, capabilities=granting.parse_capabilities(may))
    if quiet:
        changed = replace(changed, quiet=granting.parse_quiet(quiet))
    if lasts:
        changed = replace(changed, expires_ns=None if lasts == "ever" else now + granting.parse_length_s(lasts) * 10**9)
    if tasks is not None:
        changed = replace(changed, tasks=peer.figures.tasks_in + tasks if tasks else None)
    if tokens is not None:
        changed = replace(changed, limits=replace(changed.limits, tokens_per_task=tokens))
    if at_once is not None:
        changed = replace(changed, limits=replace(changed.limits, at_once=at_once))
    if per_minute is not None:
        changed = replace(changed, limits=replace(changed.limits, tasks_per_minute=per_minute))
    if copy_models is not None:
        changed = replace(changed, copy_models=copy_models)
    if relay is not None:
        changed = replace(changed, relay=relay)
    if admin is not None:
        changed = replace(changed, admin=admin)
    if changed == peer.grant:
        raise UsageError("Say what to change, for example `--label sensitive`; `covey peers grant --help` lists all.")
    with _told(f"{peer.name} has the new grant"):
        after = membership.set_grant(state, peer.node_id, changed)
    if as_json:
        _print_json(peer_view.peer_json(after, now))
    else:
        print(f"{after.name}: {peer_view.grant_words(after.grant, after.figures.tasks_in)}.")


@app.command("at")
def at(
    name: Name,
    places: Annotated[list[str], typer.Argument(help="Where it is, like 192.168.1.20:4489; `none` ends that.")],
    as_json: AsJson = False,
) -> None:
    """Say where a device always is; it is tried early. Example: covey peers at kitchen 192.168.1.20:4489"""
    if len(places) > MAX_FIXED:
        raise UsageError(f"A device has {MAX_FIXED} such addresses at most. Name those at which it really is.")
    fixed = [] if places == ["none"] else [parse_address(place) for place in places]
    state = opened()
    peer = membership.set_places(state, find(state.peers.book(), name).node_id, fixed)
    if as_json:
        _print_json(peer_view.peer_json(peer, state.peers.now_ns()))
    else:
        print(f"{peer.name} is looked for at {', '.join(peer.places) or 'whatever address it announces'}.")


@app.command("revoke")
def revoke(name: Name, as_json: AsJson = False) -> None:
    """End the pairing with a device at once. Example: covey peers revoke kitchen"""
    state = opened()
    peer = find(state.peers.book(), name)
    with _told(f"{peer.name} is no longer paired"):
        membership.revoke(state, peer.node_id)
    if as_json:
        _print_json({"revoked": peer.name, "node_id": readable(peer.node_id)})
    else:
        print(f"{peer.name} is no longer paired. Only pairing it again in person brings it back.")


@app.command("forget")
def forget(name: Name, as_json: AsJson = False) -> None:
    """Remove what is kept of a revoked device. Example: covey peers forget kitchen"""
    node = membership.forget(opened(), name)
    if as_json:
        _print_json({"forgotten": readable(node)})
    else:
        print(f"Nothing but a number is kept of {name}.")


def linked_now(home: Path) -> peer_view.Linked | None:
    """Return how the linked devices are, as the running node tells; None where none runs."""
    if not (home / paths.NODE_SOCKET).exists():
        return None
    from runtime.running import RunningNode  # heavy, first use only
    from runtime.wire import NodeError

    async def ask() -> peer_view.Linked | None:
        node = RunningNode(home)
        async with asyncio.timeout(ANSWER_S):
            return await node.linked() if await node.answers() else None

    try:
        return asyncio.run(ask())
    except (
        NodeError,
        OSError,
        TimeoutError,
    ):  # it hangs, stops, or is older: what is written down is shown all the same
        return None


@contextmanager
def _told(done: str) -> Iterator[None]:
    """Say what was done all the same, when it could not be written down."""
    try:
        yield
    except RecordError as error:
        raise type(error)(f"{done}, but that could not be written down. {error}") from error


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value, ensure_ascii=False))
