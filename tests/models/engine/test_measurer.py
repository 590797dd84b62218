"""A job of tuning ends in time, and its failures are told apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from models.engine import measurer
from models.engine.measurer import Measurer
from models.errors import BackendError, WorkerDied

NEVER_ENDS = (sys.executable, "-c", "import time; time.sleep(60)")
DIES = (sys.executable, "-c", "")


def test_job_that_takes_too_long_is_not_called_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurer, "JOB_S", 0.3)
    monkeypatch.setattr(measurer, "_COMMAND", NEVER_ENDS)
    with pytest.raises(BackendError, match=r"took more than .* minutes") as caught:
        Measurer().quantize(Path("a"), Path("b"), "Q8_0", 1)
    assert not isinstance(caught.value, WorkerDied)


def test_process_that_ends_is_called_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurer, "_COMMAND", DIES)
    with pytest.raises(WorkerDied, match="ended unexpectedly"):
        Measurer().quantize(Path("a"), Path("b"), "Q8_0", 1)
