"""Progress is a line every ten seconds where nobody watches a terminal."""

from __future__ import annotations

import io

import pytest

from runtime.evals import progress


def test_lines_come_at_most_every_ten_seconds() -> None:
    now = [100.0]
    stream = io.StringIO()
    with progress.progress_to(stream, "tiny", clock=lambda: now[0]) as show:
        for done in range(1, 31):
            now[0] += 1
            show(done, 30)
    assert stream.getvalue().splitlines() == [f"tiny: {n} of 30 rows, {n} s" for n in (10, 20, 30)]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_taken_down_when_the_run_fails() -> None:
    with pytest.raises(RuntimeError), progress.progress_to(Terminal(), "tiny") as show:
        show(1, 3)
        raise RuntimeError
    with progress.progress_to(Terminal(), "tiny") as show:
        show(3, 3)
