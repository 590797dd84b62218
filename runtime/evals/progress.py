"""Shows how far a run is: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import time
from typing import TextIO

from runtime.evals.run import Progress

LINE_EVERY_S = 10.0


def progress_to(stream: TextIO, title: str) -> Progress:
    """Return where the progress of one piece of work goes."""
    return _bar(title) if stream.isatty() else _lines(stream, title)


def _lines(stream: TextIO, title: str) -> Progress:
    started = shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= LINE_EVERY_S:
            shown = now
            stream.write(f"{title}: {done} of {total} rows, {now - started:.0f} s\n")
            stream.flush()

    return show


def _bar(title: str) -> Progress:
    from rich.console import Console  # heavy, first use only: not needed without a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Bar(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task = bar.add_task(title)

    def show(done: int, total: int) -> None:
        if not bar.live.is_started:
            bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    return show
