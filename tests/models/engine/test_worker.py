"""What a kept state depends on: a file of another model, setting or version is never taken for this one's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from models.engine import worker
from models.engine.prefixes import FEWEST_TOKENS, PrefixFiles

LOAD = {"digest": "ab" * 32, "reproducible": False, "kv_tokens": 2048, "threads": 2}
TOKENS = list(range(100))


def found(folder: Path, load: dict[str, Any]) -> bytes | None:
    return PrefixFiles(folder, worker._scope(load)).read(TOKENS)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    PrefixFiles(tmp_path, worker._scope(LOAD)).write(TOKENS, b"state")
    assert found(tmp_path, LOAD) == b"state"
    return tmp_path


@pytest.mark.parametrize(
    "other", [{"digest": "cd" * 32}, {"reproducible": True}, {"kv_tokens": 4096}, {"threads": 1}], ids=str
)
def test_state_of_another_model_or_setting_is_not_found(kept: Path, other: dict[str, Any]) -> None:
    assert found(kept, LOAD | other) is None


def test_state_of_another_library_is_not_found(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_cpp, "__version__", "0.0.0")
    assert found(kept, LOAD) is None


def test_state_of_another_form_is_not_found(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STATE_VERSION", worker.STATE_VERSION + 1)
    assert found(kept, LOAD) is None


def test_short_prompt_of_a_specialist_is_not_kept_nor_looked_for(tmp_path: Path) -> None:
    files = PrefixFiles(tmp_path, "model")
    assert [worker._kept(own, files) for own in (0, FEWEST_TOKENS - 1, FEWEST_TOKENS, 300)] == [
        0,
        0,
        FEWEST_TOKENS,
        300,
    ]
    assert worker._kept(300, None) == 0


def test_state_of_other_tokens_is_not_found(kept: Path) -> None:
    files = PrefixFiles(kept, worker._scope(LOAD))
    assert files.read(TOKENS[:-1]) is None and files.read([*TOKENS, 1]) is None and files.read(TOKENS[::-1]) is None
