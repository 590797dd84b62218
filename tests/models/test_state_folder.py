"""Kept state: whole files below a bound, and nothing of what a killed process had begun."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models import conversations
from models.conversations import ConversationFiles
from models.engine.prefixes import PrefixFiles
from models.state_folder import UNFINISHED_S, put

TOKENS = list(range(100))


def unfinished(folder: Path, name: str = ".new-abc", *, age_s: float = 0) -> Path:
    path = folder / name
    path.write_bytes(bytes(500))
    now = path.stat().st_mtime
    os.utime(path, (now - age_s, now - age_s))
    return path


def test_the_one_used_longest_ago_makes_room(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        put(tmp_path / f"{name}.state", bytes(100), bytes(300), most_bytes=1000)
        os.utime(tmp_path / f"{name}.state", (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.state", "c.state"]


def test_what_is_beyond_the_bound_alone_is_not_written_and_drives_nothing_out(tmp_path: Path) -> None:
    put(tmp_path / "a.state", bytes(400), most_bytes=1000)
    put(tmp_path / "b.state", bytes(600), bytes(401), most_bytes=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.state"]


def test_what_a_killed_process_had_begun_goes_and_what_another_is_writing_stays(tmp_path: Path) -> None:
    old, new = unfinished(tmp_path, age_s=UNFINISHED_S + 9), unfinished(tmp_path, ".new-def")
    PrefixFiles(tmp_path, "model").write(TOKENS, b"state")
    assert (old.exists(), new.exists()) == (False, True)


def test_what_nobody_used_for_long_goes_with_what_was_begun_before(tmp_path: Path) -> None:
    old = unfinished(tmp_path, age_s=UNFINISHED_S + 9)
    assert conversations.expire(tmp_path, 10**9) == 0
    assert not old.exists()


def test_forgetting_leaves_nothing_of_a_conversation_that_was_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ConversationFiles("model")
    for name in "ab":
        files.write(tmp_path / name, TOKENS, b"state")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", lambda *_: None)  # as if it had been killed there
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        files.write(tmp_path / "a", TOKENS, b"newer")
        files.write(tmp_path / "b", TOKENS, b"newer")
    assert len(list(tmp_path.glob(".new-*"))) == 2
    assert conversations.forget(tmp_path, "a") == 1
    assert len(list(tmp_path.glob(".new-*"))) == 1
    assert conversations.forget(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [conversations.SECRET]
