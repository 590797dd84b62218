"""Shows how far a run is: a bar on a terminal, elsewhere a line every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from runtime.evals.run import Progress

LINE_EVERY_S = 10.0


@contextmanager
def progress_to(stream: TextIO, title: str, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """Give where the progress of one piece of work goes; what was drawn is gone at the end of the block."""
    if stream.isatty():
        with _bar(title) as show:
            yield show
    else:
        yield _lines(stream, title, clock)


def _lines(stream: TextIO, title: str, clock: Callable[[], float]) -> Progress:
    started = shown = clock()

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = clock()
        if now - shown >= LINE_EVERY_S:
            shown = now
            stream.write(f"{title}: {done} of {total} rows, {now - started:.0f} s\n")
            stream.flush()

    return show


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console  # heavy, first use only: not needed without a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TimeRemainingColumn())
    with Bar(*columns, *times, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
