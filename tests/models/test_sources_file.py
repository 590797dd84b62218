from pathlib import Path

import pytest

from models.errors import SourceError, SourceUnreachable
from models.manifest import FileSource
from models.sources.file import fetch


def test_file_is_copied_and_progress_is_told(tmp_path: Path) -> None:
    (tmp_path / "origin").write_bytes(b"weights")
    told: list[tuple[int, int | None]] = []
    fetch(FileSource("file", str(tmp_path / "origin")), tmp_path / "f", lambda d, t: told.append((d, t)), size_bytes=7)
    assert (tmp_path / "f").read_bytes() == b"weights"
    assert told == [(7, 7)]


def test_missing_file_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="no file"):
        fetch(FileSource("file", str(tmp_path / "none")), tmp_path / "f", lambda d, t: None)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="can't be read"):
        fetch(FileSource("file", str(tmp_path)), tmp_path / "f", lambda d, t: None)


def test_an_endless_file_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="more than the 5,000,000 bytes"):
        fetch(FileSource("file", "/dev/zero"), tmp_path / "f", lambda d, t: None, size_bytes=5_000_000)
