"""What nobody foresaw ends one request, with a sentence; the others of the same step go on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from models.engine.prefixes import PrefixFiles
from models.errors import BackendError
from tests.models.engine.scripted_library import Bench, expected

SECRET = "what was asked"


class Breaks:
    """A matcher with a fault."""

    finished = False

    def allowed(self) -> Any:
        raise RuntimeError(SECRET)

    def forced(self) -> list[int]:
        return []


class BrokenFiles(PrefixFiles):
    def has(self, tokens: Sequence[int]) -> bool:
        raise RuntimeError(SECRET)


def test_request_that_breaks_something_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.ask(1, [1, 2], 12)
    bench.ask(2, [3, 4], 12, matcher=Breaks())
    bench.ask(3, [5, 6], 12)
    bench.run()
    assert isinstance(bench.failed[2], BackendError) and str(bench.failed[2]).endswith(".")
    assert [bench.answer(number) for number in (1, 3)] == [expected([1, 2], 12), expected([5, 6], 12)]
    assert SECRET not in str(bench.failed[2]) + caplog.text
    assert "test_unforeseen.py" in caplog.text and caplog.records[0].levelno == logging.ERROR


def test_state_that_can_not_be_put_away_fails_its_request_alone(tmp_path: Path) -> None:
    bench = Bench(kv=400)
    bench.batch._keeping._prefixes = BrokenFiles(tmp_path, "scripted")
    own = [n % 50 for n in range(100)]
    bench.ask(1, [*own, 7], 4, own=100, keep=100)
    bench.ask(2, [3, 4], 12)
    bench.run()
    assert set(bench.failed) == {1} and bench.answer(2) == expected([3, 4], 12)
    bench.ask(3, [*own, 8], 4, own=100)
    bench.run()
    assert bench.answer(3) == expected([*own, 8], 4)


def test_folder_that_can_not_be_looked_into_costs_only_the_time(tmp_path: Path) -> None:
    bench = Bench(kv=400, folder=tmp_path / ("x" * 300))  # no system has such names, and says so when it is asked
    own = [n % 50 for n in range(100)]
    bench.ask(1, [*own, 7], 4, own=100, keep=100)
    bench.run()
    assert not bench.failed and bench.answer(1) == expected([*own, 7], 4)
