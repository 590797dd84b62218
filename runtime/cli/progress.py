"""How a download looks on stderr: a bar a file on a terminal, else one line a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from models.pull import Progress


@contextmanager
def transfer_progress() -> Iterator[Progress]:
    """Give a callback for `models.pull.pull`; what it draws is gone or finished at the end of the block."""
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


def _lines() -> Progress:
    """Name each file once, when its first bytes come."""
    named: set[str] = set()

    def report(file: str, done: int, total: int | None) -> None:
        if file not in named and done:
            named.add(file)
            size = f" ({total / 1e6:,.0f} MB to fetch)" if total else ""
            print(f"fetching {file}{size}", file=sys.stderr, flush=True)

    return report


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console  # heavy, first use only
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars
    from rich.table import Column

    name = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    size = DownloadColumn(table_column=Column(no_wrap=True))
    left = TimeRemainingColumn(table_column=Column(no_wrap=True))
    with Bars(name, BarColumn(20), size, left, console=Console(stderr=True), expand=True) as bars:
        tasks: dict[str, TaskID] = {}

        def report(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=done, total=total)

        yield report
