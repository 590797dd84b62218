"""What fits is decided by numbers, before memory is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.engine import memory
from models.errors import OutOfMemory

MB = 10**6


def test_a_model_takes_its_weights_its_state_and_a_process_to_compute_in() -> None:
    found = memory.Footprint(100 * MB, 20_000 * 1000)
    assert found.total == 115 * MB + 20 * MB + memory.WORKER_BYTES


@pytest.mark.parametrize("tokens", [0, 1000, 5000])
def test_what_is_free_may_be_used_and_not_a_byte_more(tokens: int) -> None:
    found = memory.Footprint(100 * MB, 20_000 * tokens)
    memory.check(found, found.total, tokens=tokens)
    with pytest.raises(OutOfMemory):
        memory.check(found, found.total - 1, tokens=tokens)


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(OutOfMemory) as caught:
        memory.check(memory.Footprint(491 * MB, 12_000 * 100_000), 800 * MB, tokens=100_000)
    said = str(caught.value)
    assert "about 1,838 MB" in said and "491 MB for its weights" in said and "800 MB are free" in said
    assert "1,200 MB for 100,000 tokens of state" in said and "state_tokens" in said


def test_weights_are_read_into_memory_only_where_there_is_much_room(tmp_path: Path) -> None:
    weights = tmp_path / "weights.gguf"
    weights.write_bytes(b"x" * 1000)
    assert memory.has_room(weights, memory.ROOM * 1000)
    assert not memory.has_room(weights, memory.ROOM * 1000 - 1)
    assert not memory.has_room(tmp_path / "none.gguf", 10**12)
