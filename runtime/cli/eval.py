"""`covey eval`: measures specialists and the router on data sets, with intervals, and compares runs."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from models.types import Json
from runtime import paths
from runtime.errors import UsageError
from runtime.evals import page
from runtime.evals.device import open_device
from runtime.evals.errors import SuiteSkipped
from runtime.evals.evaluate import Wanted, evaluate
from runtime.evals.metrics.table import METRICS
from runtime.evals.prepare import Place
from runtime.evals.progress import progress_to
from runtime.evals.report import Report
from runtime.evals.suite import QUICK_ROWS, Suite, find_suite, read_suite, suite_files

DATA_VARIABLE = "COVEY_DATA"
CLONE = Path(__file__).resolve().parents[2]

app = typer.Typer(add_completion=False)


@app.command()
def evaluation(
    suite: Annotated[list[str] | None, typer.Option(help="A suite's name; may be given several times.")] = None,
    rows: Annotated[Path | None, typer.Option(help="Run on the rows of this file (JSON lines, .gz or not).")] = None,
    against: Annotated[str, typer.Option(help="Compare with an earlier run: its id, or its file.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Rows asked at once.")] = 1,
    fresh: Annotated[
        bool, typer.Option(help="Ask every row again; else kept answers and their times are used.")
    ] = False,
    quick: Annotated[
        bool, typer.Option(help="A quick look: a few rows of each suite, of all suites where none is named.")
    ] = False,
    fit: Annotated[bool, typer.Option(help="Fit the suite's head first; without it nothing is ever fitted.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show suites and metrics, and run nothing.")] = False,
    page_file: Annotated[Path | None, typer.Option("--page", help="Write the figures into this page.")] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Measure on data sets. `covey eval --suite trec` measures one suite, `covey eval --list` shows them all.

    `covey eval --quick` looks at every suite on a few rows, in under ten minutes on two cores; at those that ask a hub
    only where they are named.
    """
    home = paths.ensure_home(paths.home())
    place = Place(data_folder(), home / "evals")
    if list_:
        print_list(place, as_json=json_)
        return 0
    if quick:
        _check_quick(limit, rows, page_file)
        suite = suite or [name for name in suite_files(place.suites) if find_suite(name, place.suites).kind != "live"]
    if not suite:
        raise UsageError("Name at least one suite: `covey eval --suite trec`. `covey eval --list` shows them.")
    if rows is not None and len(suite) > 1:
        raise UsageError("--rows goes with one --suite. Name one suite, or leave --rows away.")
    chosen = [find_suite(name, place.suites) for name in dict.fromkeys(suite)]
    wanted = Wanted(rows, limit, fit, against, concurrency, fresh, lambda title: progress_to(sys.stderr, title))

    def done(report: Report) -> None:
        """Show and keep each suite as it ends, so that an interrupt loses only the one it was at."""
        if not json_:
            print("\n".join(page.lines(report)), flush=True)
        if page_file is not None:
            page.write(page_file, report, command=command_line(), machine=machine())

    reports, skipped = asyncio.run(_measure(chosen, home, place, wanted, done, quick=quick))
    if json_:
        print(json.dumps(as_object(reports, skipped), ensure_ascii=False))
    return 0 if reports else 1


def _check_quick(limit: int | None, rows: Path | None, page_file: Path | None) -> None:
    if limit is not None or rows is not None:
        raise UsageError("--quick chooses the rows itself. Leave --quick away, or --limit and --rows.")
    if page_file is not None:
        raise UsageError("--quick has too few rows for figures on a page. Leave --quick away, or --page.")


def data_folder() -> Path:
    """Return the folder of the data sets: COVEY_DATA, else `../shared/data` beside the clone."""
    chosen = os.environ.get(DATA_VARIABLE, "")
    return Path(chosen).expanduser().absolute() if chosen else (CLONE / ".." / "shared" / "data").resolve()


async def _measure(
    suites: list[Suite], home: Path, place: Place, wanted: Wanted, done: Callable[[Report], None], *, quick: bool
) -> tuple[list[Report], dict[str, str]]:
    """Return the reports, and why each of the other suites was skipped."""
    reports: list[Report] = []
    skipped: dict[str, str] = {}
    async with open_device(home) as device:
        for suite in suites:
            this = replace(wanted, limit=QUICK_ROWS[suite.kind]) if quick else wanted
            try:
                reports.append(await evaluate(suite, device, place, this, router=device.router, both=device.both))
                done(reports[-1])
            except SuiteSkipped as reason:
                skipped[suite.name] = str(reason)
                print(f"{suite.name}: skipped. {reason}", file=sys.stderr)
    return reports, skipped


def as_object(reports: list[Report], skipped: dict[str, str]) -> Json:
    """Return what `--json` prints: one suite's object, or all of them under `suites`."""
    objects: list[Json] = [report.to_json() for report in reports]
    objects += [{"suite": name, "rows": 0, "metrics": {}, "skipped": why} for name, why in skipped.items()]
    return objects[0] if len(objects) == 1 else {"suites": objects}


def print_list(place: Place, *, as_json: bool) -> None:
    """Print every suite with what it measures, then every metric."""
    suites = {name: read_suite(path) for name, path in suite_files(place.suites).items()}
    if as_json:
        listed: list[Json] = [
            {"suite": s.name, "summary": s.summary, "metrics": list(s.metrics), "licence": s.licence}
            for s in suites.values()
        ]
        print(json.dumps({"suites": listed, "metrics": {name: m.meaning for name, m in METRICS.items()}}))
        return
    print("Suites (the first metric is the headline):")
    for one in suites.values():
        print(f"  {one.name:<22} {one.summary} [{one.headline}]")
    print("\nMetrics:")
    for name, metric in METRICS.items():
        print(f"  {name:<22} {metric.meaning}")


def command_line() -> str:
    """Return the command as it was typed, for the page, without the page's own option."""
    words = sys.argv[1:]
    kept = [word for n, word in enumerate(words) if word != "--page" and (n == 0 or words[n - 1] != "--page")]
    return " ".join(["covey", *(word for word in kept if not word.startswith("--page="))])


def machine() -> str:
    """Return what the figures were measured on: processor kind, cores, system."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
