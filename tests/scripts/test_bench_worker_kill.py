"""When the new process is said to have written: behind what lay in the pipes when the old one died."""

from __future__ import annotations

import pytest

from scripts.benches.worker_kill import KINDS, Stream


@pytest.mark.parametrize(
    ("pieces", "kind", "back"),
    [
        ([9.0, 9.9, 10.1, 11.5, 11.6], KINDS[0], 1.5),  # the piece of 10.1 was under way
        ([9.0, 9.9, 10.8, 10.9, 11.0], KINDS[0], 0.8),
        ([9.0, 9.9], KINDS[0], None),  # over before
        ([9.0, 10.1], KINDS[1], None),
        ([9.0, 10.1], KINDS[2], None),
    ],
)
def test_a_stream_is_back_after_its_longest_silence(pieces: list[float], kind: str, back: float | None) -> None:
    assert Stream(pieces, kind).back_s(10.0) == pytest.approx(back)
