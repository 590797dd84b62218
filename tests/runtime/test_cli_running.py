"""A command that is asked to end clears away what it has begun."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from runtime.cli.running import cleared_away


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_polite_kill_and_closed_terminal_clear_away_as_an_interrupt_does(tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, cleared_away(), tempfile.TemporaryDirectory(dir=tmp_path):
        assert list(tmp_path.iterdir())
        signal.raise_signal(number)
    assert ended.value.code == 128 + number and list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


def test_signal_that_is_ignored_stays_so() -> None:
    """As `nohup` has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cleared_away():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
