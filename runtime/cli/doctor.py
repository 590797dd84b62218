"""`covey doctor`: check this device and say what to mend."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from runtime import paths
from runtime.doctor import Finding, examine

MARKS = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}

app = typer.Typer(help="Check this device and say what to mend.")


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> int:
    """Check Python, libraries, memory, disk, models and the journal. Example: covey doctor"""
    findings: list[Finding] = []
    for finding in examine(paths.home()):
        findings.append(finding)
        if not as_json:
            print(line(finding), flush=True)
    failed = any(finding.status == "fail" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}))
    elif not failed:
        print("Covey can run here.")
    return 1 if failed else 0


def line(finding: Finding) -> str:
    """Return a finding as one line, with the cure under it."""
    cure = f"\n{'':<19}→ {finding.cure}" if finding.cure else ""
    return f"{MARKS[finding.status]}  {finding.name:<12} {finding.sentence}{cure}"
