"""`covey peers log`: what devices did with this one, also those that are not paired any more. From the audit log."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Annotated

import typer

from peers.book import Book, find
from peers.errors import UnknownPeer
from peers.node_id import NodeId, readable, short
from runtime.cli import peer_view
from runtime.cli.node_state import opened

LEAST_LETTERS = 4
"""Of an id, to tell it from a word."""


def log(
    name: Annotated[str, typer.Argument(help="Only this device: its name, or the first letters of its id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what devices did, also revoked ones, newest first. Example: covey peers log kitchen --limit 50"""
    state = opened()
    book = state.peers.book()
    node = wanted(book, name, {one.peer for one in state.audit.newest(100_000)}) if name else None
    found, names = state.audit.newest(limit, node), names_of(book)
    if as_json:
        shown = [
            {"node_id": readable(one.peer), "name": names.get(one.peer, ""), **peer_view.happening_json(one)}
            for one in found
        ]
        print(json.dumps({"entries": shown}, ensure_ascii=False))
        return
    for one in found:
        print(peer_view.happening_words(one, names.get(one.peer) or short(one.peer)))
    if not found:
        print("Nothing is written down yet: no device was paired with this one.")


def names_of(book: Book) -> dict[NodeId, str]:
    """Return what devices are called here, or were called when they were revoked."""
    gone = {notice.tombstone.subject: notice.name for notice in book.notices if notice.name}
    return gone | {node: peer.name for node, peer in book.peers.items()}


def wanted(book: Book, text: str, logged: Collection[NodeId]) -> NodeId:
    """Return the device of that name, or whose id begins so: a paired one, else a former one. Raises UnknownPeer."""
    try:
        return find(book, text).node_id
    except UnknownPeer as unknown:
        name, letters = text.strip().casefold(), re.sub(r"[\s-]", "", text).upper()
        names = {node: known for node, known in names_of(book).items() if node not in book.peers}
        gone = {*names, *logged} - book.peers.keys()
        found = [node for node in gone if names.get(node, "").casefold() == name]
        found = found or [node for node in gone if len(letters) >= LEAST_LETTERS and node.startswith(letters)]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(sorted(map(short, found)))
            raise UnknownPeer(f"{text!r} may be any of {ids}. Name one by the letters of its id.") from unknown
        raise
