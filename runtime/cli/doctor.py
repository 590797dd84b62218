"""`covey doctor`: check this device and say what to mend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Annotated

import typer

from runtime import paths
from runtime.doctor import Finding, examine
from runtime.reach import reach

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}

app = typer.Typer(help="Check this device and say what to mend.")


@app.command()
def doctor(
    awake: Annotated[
        list[str] | None, typer.Option("--awake", help="A paired device that is on for sure, by its name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Check Python, libraries, memory, disk, models, the journal, and the way to paired devices. Example: covey doctor

    A device that can't be reached may be off, or kept apart by the network. If you see that it is on, say so:
    covey doctor --awake kitchen
    """
    findings: list[Finding] = []
    for finding in chain(examine(paths.home()), _network(awake or [])):
        findings.append(finding)
        if not as_json:
            print(line(finding), flush=True)
    failed = any(finding.status == "fail" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}))
    elif not failed:
        print("Covey can run here.")
    return 1 if failed else 0


def _network(awake: Sequence[str]) -> Iterator[Finding]:
    from runtime import network_doctor  # heavy (aiohttp, zeroconf), and only once the rest was shown

    yield from network_doctor.examine(paths.home(), reach(), awake=awake)


def line(finding: Finding) -> str:
    """Return a finding as one line, with the cure under it."""
    cure = f"\n{'':<19}→ {finding.cure}" if finding.cure else ""
    return f"{MARKS[finding.status]}  {finding.name:<12} {finding.sentence}{cure}"
