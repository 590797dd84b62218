"""Writes what a head's `.json` says about it into a page, as a section between two markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.heads.head import FOLDER
from runtime.evals.page import HEADER, placed


def write(page: Path, names: list[str]) -> None:
    """Put the heads' sections into the page, in place of their earlier ones. Fits nothing."""
    text = page.read_text(encoding="utf-8") if page.is_file() else HEADER
    for name in names:
        about = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        text = placed(text, f"head {name}", section(about))
    page.write_text(text, encoding="utf-8")


def section(about: dict[str, Any]) -> str:
    """Return the section: figures with their intervals, what it was fitted on, and what a reader must know."""
    data = "; ".join(f"{one['name']} ({one['rows']} rows, {one['licence']})" for one in about["data"])
    out = [f"## The head `{about['name']}`", "", f"`{about['command']}`", "", about["summary"], ""]
    out += ["| figure | value | 95 % interval | rows |", "|---|---|---|---|"]
    out += [_row(figure, found) for figure, found in about["measured"].items() if "value" in found]
    return "\n".join([*out, "", about["notes"], "", f"Fitted on: {data}."])


def _row(figure: str, found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return f"| {figure} | {found['value']:.4f} | {low:.4f} to {high:.4f} | {found['rows']} |"
