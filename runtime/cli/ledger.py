"""`covey ledger`: see what left this device, byte for byte, and check that nothing was changed."""

from __future__ import annotations

import base64
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from models.types import Json
from peers import membership
from peers.chain import Chain
from peers.chain_check import Verdict
from peers.ledger import Leaving
from peers.private_files import write_whole
from peers.state import NodeState
from runtime.cli.node_state import opened
from runtime.errors import NotFound, UsageError
from runtime.trace.show import clock_time

PREVIEW_CHARACTERS = 2000
"""What `show` prints of the bytes; `--json` and `export` have all of them."""

app = typer.Typer(help="See what left this device, byte for byte.")
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_entries(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List what left, newest first. Example: covey ledger list --limit 5"""
    found = opened().ledger.entries(limit)
    if as_json:
        _print_json({"entries": [_entry_json(one) for one in found]})
    elif not found:
        print("Nothing has left this device.")
    for one in () if as_json else found:
        print(line(one))


@app.command("show")
def show(number: Annotated[int, typer.Argument(min=1, help="Number of the entry.")], as_json: AsJson = False) -> None:
    """Show one entry and exactly what left. Example: covey ledger show 12"""
    ledger = opened().ledger
    found = ledger.find(number)
    if found is None:
        raise NotFound(f"The ledger has no entry {number}. Run `covey ledger list` to see those that it has.")
    value = ledger.bytes_of(found)
    if as_json:
        _print_json({**_entry_json(found), **_content(value)})
        return
    print(line(found))
    print(f"why        {found.reason or '(no reason was given)'}")
    print(f"digest     sha256 {found.digest}")
    if value is None:
        print("The exact bytes are no longer kept (or none were); their digest stays.")
        return
    text = value.decode("utf-8", "replace")
    print(f"exactly    {text[:PREVIEW_CHARACTERS]!r}")
    if len(text) > PREVIEW_CHARACTERS:
        print(f"           … and {len(text) - PREVIEW_CHARACTERS} characters more: `covey ledger show {number} --json`")


@app.command("verify")
def verify(
    begin_anew: Annotated[
        bool, typer.Option("--begin-anew", help="Put a broken record aside (it is kept) and begin a new one.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Check that nothing in the ledger and the audit log was changed, removed or cut. Example: covey ledger verify"""
    state = opened()
    records = {"ledger": state.ledger.verify(membership.witnesses(state)), "audit": state.audit.chain.verify()}
    aside = _begin_anew(state, records) if begin_anew else {}
    ok = all(verdict.ok or name in aside for name, verdict in records.items())
    if as_json:
        shown: dict[str, Json] = {name: _verdict_json(verdict) for name, verdict in records.items()}
        _print_json({"ok": ok, "kept_aside": {name: str(path) for name, path in aside.items()}, **shown})
    else:
        for name, verdict in records.items():
            _print_verdict(name, verdict)
        for name, path in aside.items():
            print(f"A new {name} was begun; the old one is kept in {path}.")
        if not ok:
            print("Nothing leaves until that is settled: `covey ledger verify --begin-anew` keeps the old file.")
    return 0 if ok else 1


@app.command("export")
def export(
    to: Annotated[Path | None, typer.Option(help="File to write; without it, the screen.")] = None,
    with_bytes: Annotated[bool, typer.Option("--with-bytes", help="Also what left, where it is still kept.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write all entries, one JSON object a line. Example: covey ledger export --to ledger.jsonl"""
    if as_json and to is None:
        raise UsageError("Say where to write when you want --json: `covey ledger export --to FILE --json`.")
    ledger = opened().ledger
    entries = ledger.entries()[::-1]
    lines = (
        json.dumps({**_entry_json(one), **(_content(ledger.bytes_of(one)) if with_bytes else {})}, ensure_ascii=False)
        for one in entries
    )
    text = "".join(f"{one}\n" for one in lines)
    if to is None:
        sys.stdout.write(text)
        return
    try:
        write_whole(to, text.encode())
    except (OSError, ValueError) as error:  # ValueError: a folder's own name, as in `/`
        why = (error.strerror if isinstance(error, OSError) else "") or "it is no file's name"
        raise UsageError(f"{to} can't be written ({why}). Choose another file with --to.") from error
    if as_json:
        _print_json({"exported": len(entries), "file": str(to)})
    else:
        print(f"Wrote {len(entries)} entries to {to}.")


def line(one: Leaving) -> str:
    """Return an entry as one line: when, how far, to whom, under which label, how much, for what."""
    what = {"lowered": "label lowered", "opened": f"{one.capability}, begun"}.get(one.act, one.capability)
    return (
        f"{one.number:>6}  {local_time(one.time_ns)}  {one.place.words}  to {one.recipient.value} "
        f"{one.recipient_name}  {one.label.name.lower()}  {one.size_bytes} B  {what}"
    )


def local_time(time_ns: int) -> str:
    """Return a time as it reads on this device's clock."""
    return datetime.fromtimestamp(time_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _entry_json(one: Leaving) -> dict[str, Json]:
    return {"time": clock_time(one.time_ns), **one.to_json()}


def _content(value: bytes | None) -> dict[str, Json]:
    """Return the bytes as text where they are text, else in base64."""
    if value is None:
        return {"content": None}
    try:
        return {"content": value.decode()}
    except UnicodeDecodeError:
        return {"content_base64": base64.b64encode(value).decode()}


def _begin_anew(state: NodeState, records: dict[str, Verdict]) -> dict[str, Path]:
    chains: dict[str, Chain] = {"ledger": state.ledger.chain, "audit": state.audit.chain}
    aside = {name: chains[name].begin_anew() for name, verdict in records.items() if not verdict.ok}
    if "ledger" in aside:
        membership.forget_witnesses(state)
    return {name: path for name, path in aside.items() if path is not None}


def _print_verdict(name: str, verdict: Verdict) -> None:
    if verdict.ok:
        print(f"The {name} is whole: {verdict.entries} entries, none changed, removed or cut.")
    for problem in verdict.problems:
        print(f"The {name} is not as it was written. {problem.sentence}")
    for note in verdict.notes:
        print(note)


def _verdict_json(verdict: Verdict) -> dict[str, Json]:
    problems: list[Json] = [
        {"kind": problem.kind, "entry": problem.number, "message": problem.sentence} for problem in verdict.problems
    ]
    return {"ok": verdict.ok, "entries": verdict.entries, "problems": problems, "notes": list(verdict.notes)}


def _print_json(value: dict[str, Json]) -> None:
    print(json.dumps(value, ensure_ascii=False))
