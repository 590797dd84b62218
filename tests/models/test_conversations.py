"""Files of conversations: theirs alone, unreadable as names, removed when told to, never more than the bound."""

from __future__ import annotations

import errno
import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from models import conversations
from models.conversations import SECRET, ConversationFiles, expire, forget

TOKENS = list(range(100))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "conversations"


def test_what_is_kept_is_read_again(folder: Path) -> None:
    files = ConversationFiles("model")
    files.write(folder / "a", TOKENS, b"state")
    assert files.tokens(folder / "a") == TOKENS
    assert files.read(folder / "a") == (TOKENS, b"state")


def test_files_are_the_owners_and_do_not_tell_their_conversation(folder: Path) -> None:
    ConversationFiles("model").write(folder / "a", TOKENS, b"state")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    (folder / SECRET).write_bytes(os.urandom(32))
    ConversationFiles("model").write(folder / "a", TOKENS, b"state")
    assert len(list(folder.glob("*.state"))) == 2  # another secret, another name


def test_another_model_or_conversation_finds_nothing(folder: Path) -> None:
    ConversationFiles("model").write(folder / "a", TOKENS, b"state")
    assert ConversationFiles("other").read(folder / "a") is None
    assert ConversationFiles("model").read(folder / "b") is None
    assert ConversationFiles("model").tokens(folder / "b") == []


@pytest.mark.parametrize("place", [0, 33, 40, -1])
def test_a_file_that_was_changed_is_not_believed(folder: Path, place: int) -> None:
    files = ConversationFiles("model")
    files.write(folder / "a", TOKENS, b"state")
    (file,) = folder.glob("*.state")
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert files.read(folder / "a") is None
    assert not file.exists()


def test_a_torn_file_on_a_disk_that_can_only_be_read_costs_only_the_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a loss of power; the test may run as a user whom no mode of a folder keeps from removing a file."""
    files = ConversationFiles("model")
    files.write(folder / "a", TOKENS, b"state")
    (file,) = folder.glob("*.state")
    file.write_bytes(file.read_bytes()[:-1] + b"\0")

    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert files.tokens(folder / "a") == TOKENS
    assert files.read(folder / "a") is None


@pytest.mark.parametrize("size", [0, 10, 35, 200])
def test_a_file_that_was_cut_is_not_believed(folder: Path, size: int) -> None:
    files = ConversationFiles("model")
    files.write(folder / "a", TOKENS, b"state")
    (file,) = folder.glob("*.state")
    file.write_bytes(file.read_bytes()[:size])
    assert files.tokens(folder / "a") == []
    assert files.read(folder / "a") is None


def test_a_file_of_another_secret_is_not_believed(folder: Path) -> None:
    files = ConversationFiles("model")
    files.write(folder / "a", TOKENS, b"state")
    (file,) = folder.glob("*.state")
    content = file.read_bytes()
    (folder / SECRET).write_bytes(os.urandom(32))
    files.write(folder / "a", TOKENS, b"other")
    (now,) = set(folder.glob("*.state")) - {file}
    now.write_bytes(content)
    assert files.read(folder / "a") is None


def test_forget_removes_one_or_all(folder: Path) -> None:
    assert forget(folder) == 0
    for scope in ("model", "other"):
        for name in "ab":
            ConversationFiles(scope).write(folder / name, TOKENS, b"state")
    assert forget(folder, "a") == 2
    assert ConversationFiles("model").read(folder / "b") is not None
    assert forget(folder) == 2
    assert not list(folder.glob("*.state"))


def test_what_nobody_used_for_long_goes(folder: Path) -> None:
    files = ConversationFiles("model")
    files.write(folder / "a", TOKENS, b"state")
    (old,) = folder.glob("*.state")
    os.utime(old, (1, 1))
    files.write(folder / "b", TOKENS, b"state")
    assert expire(folder, 3600) == 1
    assert files.read(folder / "b") is not None


def test_the_one_used_longest_ago_makes_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MAX_FOLDER_BYTES", 1500)
    files = ConversationFiles("model")
    for number, name in enumerate("abc"):
        files.write(folder / name, TOKENS, bytes(200))
        for path in folder.glob("*.state"):
            if path.stat().st_mtime > 100:
                os.utime(path, (number + 1, number + 1))
    assert [bool(files.tokens(folder / name)) for name in "abc"] == [False, True, True]


def test_a_folder_that_can_not_be_written_costs_only_the_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = ConversationFiles("model")
    files.write(tmp_path / "file" / "a", TOKENS, b"state")
    assert files.tokens(tmp_path / "file" / "a") == []


def test_a_file_that_states_more_tokens_than_it_has_takes_no_memory_for_them(folder: Path) -> None:
    files = ConversationFiles("model")
    files.write(folder / "a", TOKENS, b"state")
    (file,) = folder.glob("*.state")
    content = bytearray(file.read_bytes())
    content[32:36] = b"\xff" * 4
    file.write_bytes(content)
    tracemalloc.start()
    try:
        assert files.tokens(folder / "a") == []
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
