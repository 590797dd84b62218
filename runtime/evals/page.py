"""Reports as people read them: lines for the terminal, and sections of a page, each between two markers."""

from __future__ import annotations

import re
from pathlib import Path

from runtime.evals.drawing import drawn
from runtime.evals.metrics.intervals import Figure
from runtime.evals.report import Confusion, Report

HEADER = """# Evaluation

Each section is written by the command in it. Figures carry their 95 % bootstrap interval over rows; nothing was
tuned on the rows that a figure is from. `covey eval --list` says what each metric means.
"""


def lines(report: Report) -> list[str]:
    """Return the report as a small table of plain text."""
    kept = f", {report.cached} of them answered before" if report.cached else ""
    out = [f"{report.suite}: {report.rows} rows ({report.origin}{kept}), {report.seconds:.1f} s, run {report.run_id}"]
    out += [f"  {name:<20} {_cell(found)}" for name, found in report.metrics.items()]
    if report.groups:
        out.append(f"  {report.group_metric} by group:")
        out += [f"    {name:<22} {_cell(found)}" for name, found in report.groups.items()]
    mistakes = [(n, expected, answered) for expected, answered, n in report.confusion if expected != answered]
    if mistakes:
        out.append("  confused (expected: answered, rows):")
        out += [f"    {expected + ':':<22} {answered}, {n}" for n, expected, answered in sorted(mistakes, reverse=True)]
    if report.models:
        out.append(f"  models: {', '.join(report.models)}")
    if report.errors:
        out.append(f"  errors: {_errors(report)}")
    if report.comparison:
        out += [f"  against {report.comparison.against}, {report.comparison.metric}:", f"  {_compared(report)}"]
    if report.note:
        out.append(f"  {report.note}")
    return out


def section(report: Report, *, command: str, machine: str) -> str:
    """Return the report as a section of Markdown."""
    out = [f"## {report.suite}", "", f"`{command}`", ""]
    out += [f"{report.rows} rows ({report.origin}); {machine}.", f"Models: {_models(report)}.", ""]
    out += ["| metric | value | 95 % interval | rows |", "|---|---|---|---|"]
    out += [_row(name, found) for name, found in report.metrics.items()]
    if report.groups:
        out += ["", f"{report.group_metric} by group:", "", "| group | value | 95 % interval | rows |"]
        out += ["|---|---|---|---|", *(_row(name, found) for name, found in report.groups.items())]
    if report.confusion:
        out += ["", "Answered (columns) for what was expected (rows):", "", *matrix(report.confusion)]
    if report.curve:
        out += ["", *curve_table(report)]
    if report.errors:
        out += ["", f"Errors: {_errors(report)}"]
    if report.comparison:
        out += ["", f"Against {report.comparison.against}: {_compared(report)}"]
    if report.note:
        out += ["", report.note]
    return "\n".join(out)


def matrix(confusion: Confusion) -> list[str]:
    """Return the counts as a table of Markdown; only labels that were answered have a column."""
    counts = {(expected, answered): rows for expected, answered, rows in confusion}
    wanted = list(dict.fromkeys(expected for expected, _, _ in confusion))
    columns = sorted({answered for _, answered, _ in confusion})
    out = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    return out + [
        f"| {row} | {' | '.join(str(counts.get((row, column), '')) for column in columns)} |" for row in wanted
    ]


def curve_table(report: Report) -> list[str]:
    """Return the drawing, the curve as a table, and whose published figures are drawn in."""
    out = [f"![Quality against the share asked at the hub]({report.suite}.svg)", ""]
    out += ["| share at the hub | marking | 95 % interval | at random | longest first | oracle |", "|---" * 6 + "|"]
    for point in report.curve:
        low, high = point.interval
        out.append(
            f"| {point.share:.0%} | {point.marking:.4f} | {low:.4f} to {high:.4f} | {point.random:.4f} "
            f"| {point.length:.4f} | {point.oracle:.4f} |"
        )
    return out + [f"\nDrawn in as published by others: {one.words}." for one in report.published]


def write(path: Path, report: Report, *, command: str, machine: str) -> None:
    """Put the report's section into the page, in place of the suite's earlier one."""
    text = path.read_text(encoding="utf-8") if path.is_file() else HEADER
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(placed(text, report.suite, section(report, command=command, machine=machine)), encoding="utf-8")
    fresh.replace(path)
    if report.curve:
        title = f"{report.suite} ({report.rows} rows)"
        svg = drawn(title, report.curve, report.published, marked=report.marked)
        path.with_name(f"{report.suite}.svg").write_text(svg, encoding="utf-8")


def placed(text: str, name: str, body: str) -> str:
    """Return the page with the body between the suite's markers, which are added where they are absent."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{body}\n{end}"
    marked = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    if marked.search(text):
        return marked.sub(lambda _: block, text, count=1)
    return f"{text.rstrip()}\n\n{block}\n"


def _errors(report: Report) -> str:
    counts = ", ".join(f"{code} ({count} rows)" for code, count in report.errors.items())
    return f"{counts}, the first: {report.first_error}"


def _models(report: Report) -> str:
    named = [
        f"{model} ({', '.join(digest[:12] for digest in digests)})" if digests else model
        for model, digests in report.models.items()
    ]
    return ", ".join(named) or "none (deterministic)"


def _row(name: str, found: Figure) -> str:
    return f"| {name} | {_number(found.value)} | {_interval(found)} | {found.rows} |"


def _cell(found: Figure) -> str:
    return f"{_number(found.value):>8}  {_interval(found):<18} ({found.rows} rows)"


def _interval(found: Figure) -> str:
    return f"{_number(found.interval[0])} to {_number(found.interval[1])}" if found.interval else "no row counts"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}" if abs(value) >= 10 else f"{value:.4f}"


def _compared(report: Report) -> str:
    assert report.comparison is not None
    found = report.comparison.paired
    counts = f"{found.better} rows better, {found.worse} worse of {found.rows}, sign test p = {found.p_value:.3g}"
    return f"difference {found.difference:+.4f}; {counts}. {report.comparison.verdict}"
