"""Where a real model's weights lie: in memory of the process where there is room, else mapped from their file."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from models.engine import memory
from models.engine.library import ContextSettings, Library
from models.store import Store

MAPS = Path("/proc/self/maps")

pytestmark = [pytest.mark.real, pytest.mark.skipif(not MAPS.exists(), reason="needs /proc")]


@pytest.mark.parametrize(("room", "mapped"), [(0, False), (10**9, True)])
def test_weights_are_mapped_only_where_memory_is_short(
    models_home: Path, monkeypatch: pytest.MonkeyPatch, room: int, mapped: bool
) -> None:
    monkeypatch.setattr(memory, "ROOM", room)
    store = Store(models_home / "models")
    weights = store.path(store.get("smollm2-135m"), "model").resolve()
    with closing(Library(str(weights), ContextSettings(kv_tokens=256, sequences=1, threads=1, batch_rows=32))):
        assert (str(weights) in MAPS.read_text()) is mapped
