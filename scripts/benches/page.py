"""The page of figures, `docs/performance.md`: each bench owns one section, and a run replaces only its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from scripts.benches.figures import Report, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"


def start_of(name: str) -> str:
    return f"<!-- bench {name} -->"


def end_of(name: str) -> str:
    return f"<!-- end {name} -->"


def section(report: Report, machine: Mapping[str, object]) -> str:
    """Return a report as a section of the page, its marks included."""
    header, *rows = table(report)
    lines = [start_of(report.name), f"## {report.name}", "", f"{report.about[:1].upper()}{report.about[1:]}.", ""]
    lines += [_row(header), _row(["---"] * len(header)), *(_row(row) for row in rows), ""]
    lines += [f"{note}\n" for note in report.notes]
    lines += [_measured(report, machine), *_tried(report), end_of(report.name)]
    return "\n".join(lines)


def with_section(page: str, name: str, new: str) -> str:
    """Return the page with one section replaced, or added at its end."""
    pattern = re.compile(f"{re.escape(start_of(name))}.*?{re.escape(end_of(name))}", re.DOTALL)
    if pattern.search(page):
        return pattern.sub(lambda _: new, page)
    return f"{page.rstrip()}\n\n{new}\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _measured(report: Report, machine: Mapping[str, object]) -> str:
    settings = {name: value for name, value in (report.settings or {}).items() if name != "tried"}
    how = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in settings.items())
    where = f"{machine['processor']}, {machine['cores']} cores, llama-cpp-python {machine['llama_cpp_python']}"
    busy = f"; load before the run {machine['load_before']}"
    return f"Measured with {how}. On {where}{busy}."


def _plain(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) else str(value)


def _tried(report: Report) -> list[str]:
    tried = (report.settings or {}).get("tried")
    if not isinstance(tried, list) or not tried:
        return []
    reason = ["for"] if any("for" in one for one in tried) else []  # the row that it was tried for
    header = ["options", *reason, "figure"]
    rows = [
        _row([f"`{one['options']}`", *(str(one[name]) for name in reason), str(one.get("figure", one.get("failed")))])
        for one in tried
    ]
    marks = "|".join(["---"] * len(header))
    return ["", "Configurations of the reference that were tried:", "", _row(header), f"|{marks}|", *rows]
