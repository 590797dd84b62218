"""`covey peers log`: what devices did with this one, also those that are not paired any more. From the audit log."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from peers.audit import Audit
from peers.book import Book, among, find, names_of
from peers.node_id import NodeId, readable, short
from runtime.cli import peer_view
from runtime.cli.node_state import opened

MOST = 100_000
"""Entries that are looked through."""


def log(
    name: Annotated[str, typer.Argument(help="Only this device: its name, or the first letters of its id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what devices did, also revoked ones, newest first. Example: covey peers log kitchen --limit 50"""
    state = opened()
    book = state.peers.book()
    node = wanted(book, name, state.audit) if name else None
    found, names = state.audit.newest(limit, node), ever_named(book)
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


def ever_named(book: Book) -> dict[NodeId, str]:
    """Return what devices are called here, or were called when they were revoked."""
    return {notice.tombstone.subject: notice.name for notice in book.notices if notice.name} | names_of(book)


def wanted(book: Book, text: str, audit: Audit) -> NodeId:
    """Return the device of that name, or whose id begins so: a paired one, else a former one. Raises UnknownPeer."""
    node = among(names_of(book), text)
    if node is None:
        former = {one.peer: "" for one in audit.newest(MOST)} | ever_named(book)
        node = among({one: name for one, name in former.items() if one not in book.peers}, text)
    return find(book, text).node_id if node is None else node
