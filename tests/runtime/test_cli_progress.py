import io
import sys

import pytest

from runtime.cli.progress import transfer_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with transfer_progress() as report:
        for done in (0, 10, 20):
            report("tiny/a.bin", done, 2_000_000)
        report("tiny/b.bin", 5, None)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "fetching tiny/a.bin (2 MB to fetch)\nfetching tiny/b.bin\n"


def test_on_a_terminal_a_bar_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with transfer_progress() as report:
        report("tiny/a.bin", 1_000_000, 2_000_000)
    assert "tiny/a.bin" in terminal.getvalue() and "1.0/2.0 MB" in terminal.getvalue()
