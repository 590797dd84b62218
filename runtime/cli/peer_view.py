"""A paired device as its owner reads it, and as programs do. Pure: values in, lines or JSON out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from models.types import Json
from peers.audit import Act, Happening
from peers.book import Notice, Peer, is_expired
from peers.grants import Grant, Limits, clock
from peers.node_id import NodeId, readable, short

Linked = Mapping[str, Mapping[str, Json]]
"""How the linked devices are, by node id, as the running node tells."""

ACTS = {
    Act.PAIRED: "was paired as",
    Act.GRANTED: "was granted something else",
    Act.REVOKED: "was revoked",
    Act.WARNED: "a warning:",
    Act.TASK_IN: "asked for",
    Act.TASK_OUT: "was asked for",
    Act.BLOB: "copied",
    Act.REFUSED: "was refused",
}
"""What is written down of a device, with the device as the subject."""


def link_json(linked: Linked | None, node: NodeId) -> dict[str, Json]:
    """Return how a device is now, for programs: null where no node runs here that could know."""
    if linked is None:
        return {"link": None}
    return {"link": dict(linked.get(node, {"health": "down"}))}


def link_words(linked: Linked | None, node: NodeId) -> str:
    """Return how a device is now, as a person reads it."""
    if linked is None:
        return ""
    link = linked.get(node)
    if link is None:
        return "down"
    words = [str(link["health"])]
    if link["draining"]:
        words = ["about to stop"]
    words.append(f"{float(str(link['rtt_s'])) * 1000:.0f} ms away")
    running, waiting = int(str(link["running"])), int(str(link["queued"]))
    words.append(f"{running} running" if running else "" if waiting else "idle")
    words.append(f"{waiting} waiting" if waiting else "")
    if isinstance(link["battery"], float) and not link["plugged"]:
        words.append(f"battery {link['battery']:.0%}")
    return ", ".join(word for word in words if word)


def success_words(linked: Linked | None, node: NodeId) -> str:
    """Return how often a device's own answers were sure, by kind of work; nothing where it does not say."""
    said = (linked or {}).get(node, {}).get("success")
    shares = said if isinstance(said, dict) else {}
    return ", ".join(f"{kind} {share:.0%}" for kind, share in sorted(shares.items()) if isinstance(share, float))


def lent_words(linked: Linked | None, node: NodeId) -> Iterator[str]:
    """Yield the hubs that a device lends to this one, as a person reads them."""
    hubs = (linked or {}).get(node, {}).get("hubs")
    for hub in hubs if isinstance(hubs, list) else []:
        if isinstance(hub, dict):
            works = hub["capabilities"]
            work = ", ".join(map(str, works)) if isinstance(works, list) else ""
            where = "at its home" if hub["place"] == "home" else "away from home"
            yield f"{hub['name']}, a hub {where}: {hub['label']} things, for {work}"


def peer_json(peer: Peer, now_ns: int) -> dict[str, Json]:
    """Return a device for programs."""
    return {
        "name": peer.name,
        "node_id": readable(peer.node_id),
        "grant": grant_json(peer.grant),
        "expired": is_expired(peer, now_ns),
        "addresses": list(peer.places),
        "fixed": list(peer.fixed),
        "paired_ns": peer.paired_ns,
        "seen_ns": peer.seen_ns,
        "tasks_in": peer.figures.tasks_in,
        "tasks_out": peer.figures.tasks_out,
        "bytes_in": peer.figures.bytes_in,
        "bytes_out": peer.figures.bytes_out,
    }


def grant_json(granted: Grant) -> dict[str, Json]:
    """Return a grant for programs."""
    quiet = granted.quiet
    capabilities: list[Json] | None = None if granted.capabilities is None else [*sorted(granted.capabilities)]
    return {
        "whose": granted.whose,
        "label": granted.label.name.lower(),
        "capabilities": capabilities,
        "copy_models": granted.copy_models,
        "relay": granted.relay,
        "admin": granted.admin,
        "quiet": None if quiet is None else f"{clock(quiet.start)}-{clock(quiet.end)}",
        "expires_ns": granted.expires_ns,
        "tasks": granted.tasks,
        "tasks_per_minute": granted.limits.tasks_per_minute,
        "at_once": granted.limits.at_once,
        "tokens_per_task": granted.limits.tokens_per_task,
    }


def notice_json(notice: Notice) -> dict[str, Json]:
    """Return a revocation for programs."""
    stone = notice.tombstone
    return {
        "name": notice.name,
        "node_id": readable(stone.subject),
        "revoked_by": readable(stone.issuer),
        "time_ns": stone.time_ns,
    }


def happening_json(one: Happening) -> dict[str, Json]:
    """Return an entry of the audit log for programs."""
    return {
        "act": one.act.value,
        "time_ns": one.time_ns,
        "scope": one.scope,
        "bytes": one.size_bytes,
        "label": one.label.name.lower(),
        "note": one.note,
    }


def rows(peers: Sequence[Peer], now_ns: int, linked: Linked | None = None) -> Iterator[str]:
    """Yield one line per device."""
    width = max(len(peer.name) for peer in peers)
    states = [link_words(linked, peer.node_id) or f"seen {when(peer.seen_ns)}" for peer in peers]
    state_width = max(map(len, states))
    for peer, state in zip(peers, states, strict=True):
        may = grant_words(peer.grant, peer.figures.tasks_in)
        over = "  (its time is over)" if is_expired(peer, now_ns) else ""
        yield f"{peer.name:<{width}}  {short(peer.node_id)}  {state:<{state_width}}  {may}{over}"


def lines(peer: Peer, now_ns: int, linked: Linked | None = None) -> Iterator[str]:
    """Yield all there is to say about one device."""
    figures = peer.figures
    yield f"{peer.name}, {'your own device' if peer.grant.whose == 'own' else 'a guest’s device'}"
    yield f"id         {readable(peer.node_id)}"
    if words := link_words(linked, peer.node_id):
        yield f"now        {words}"
    if words := success_words(linked, peer.node_id):
        yield f"was sure   {words} (as it says of its last answers)"
    for hub in lent_words(linked, peer.node_id):
        yield f"lends      {hub}"
    yield f"may        {grant_words(peer.grant, peer.figures.tasks_in)}"
    yield f"limits     {_limit_words(peer.grant.limits)}"
    if is_expired(peer, now_ns):
        yield "over       its time is over; pair it again, or `covey peers grant --for`"
    yield f"found at   {', '.join(peer.places) or '(nowhere yet)'}"
    yield f"paired     {when(peer.paired_ns)}, seen {when(peer.seen_ns)}"
    yield f"it asked   {_tasks(figures.tasks_in)}, {figures.bytes_in} B"
    yield f"we asked   {_tasks(figures.tasks_out)}, {figures.bytes_out} B"


def happening_words(one: Happening, name: str = "") -> str:
    """Return what happened with a device, as a person reads it; with its name where the lines are of several."""
    size = f", {one.size_bytes} B" if one.size_bytes else ""
    note = f" ({one.note})" if one.note else ""
    scope = "" if one.act is Act.REFUSED else one.scope  # the note says it in words
    who = f"{name} " if name else ""
    return f"{when(one.time_ns)}  {who}{ACTS[one.act]} {scope}".rstrip() + size + note


def grant_words(granted: Grant, asked: int = 0) -> str:
    """Return a grant as a person reads it. `asked`: the tasks that the device has had done."""
    work = "any work" if granted.capabilities is None else ", ".join(sorted(granted.capabilities)) or "no work"
    powers = {"copies models": granted.copy_models, "uses your hubs": granted.relay, "admin": granted.admin}
    words = [f"sees {granted.label.name.lower()}", work, *(word for word, held in powers.items() if held)]
    if granted.quiet is not None:
        words.append(f"quiet {clock(granted.quiet.start)}-{clock(granted.quiet.end)}")
    if granted.expires_ns is not None:
        words.append(f"until {when(granted.expires_ns)}")
    if granted.tasks is not None:
        words.append(f"up to {_tasks(max(0, granted.tasks - asked))}")
    return ", ".join(words)


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"


def _limit_words(limits: Limits) -> str:
    return f"{limits.at_once} at once, {limits.tasks_per_minute} a minute, {limits.tokens_per_task} tokens each"


def warning(notice: Notice, name: str) -> str:
    """Return the sentence about a revocation that does not bind here."""
    return (
        f"{short(notice.tombstone.issuer)} says that its owner revoked {name} {when(notice.tombstone.time_ns)}. "
        f"If that was you: `covey peers revoke {name}`."
    )


def when(time_ns: int) -> str:
    """Return a time on this device's clock."""
    if not time_ns:
        return "never"
    try:
        return datetime.fromtimestamp(time_ns / 1e9).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"
