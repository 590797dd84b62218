"""Paths: one private folder per node."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from runtime import paths
from runtime.errors import HomeNotWritable, exit_code


def test_the_variable_chooses_the_folder(tmp_path: Path) -> None:
    assert paths.home({"COVEY_HOME": str(tmp_path)}) == tmp_path


def test_a_tilde_means_the_users_folder() -> None:
    assert paths.home({"COVEY_HOME": "~/covey-two"}) == Path.home() / "covey-two"


def test_a_relative_folder_does_not_move_with_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert paths.home({"COVEY_HOME": "here"}) == tmp_path / "here"


@pytest.mark.parametrize("environ", [{}, {"COVEY_HOME": ""}])
def test_without_it_the_platform_chooses(environ: dict[str, str]) -> None:
    assert paths.home(environ).name == "covey"
    assert paths.home(environ).is_absolute()


@pytest.mark.skipif(os.name == "nt", reason="modes are not Windows' way")
def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    made = paths.ensure_home(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert paths.ensure_home(made) == made


def test_a_file_in_its_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "covey").write_text("in the way")
    with pytest.raises(HomeNotWritable, match="COVEY_HOME"):
        paths.ensure_home(tmp_path / "covey")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
def test_a_folder_that_can_not_be_written_is_one_sentence() -> None:
    with pytest.raises(HomeNotWritable, match=r"can't be written .*Make it writable") as caught:
        paths.ensure_home(Path("/proc/covey"))
    assert exit_code(caught.value) == 1


def test_everything_lies_in_the_folder(tmp_path: Path) -> None:
    inside = [
        paths.settings_file(tmp_path),
        paths.journal_file(tmp_path),
        paths.models_dir(tmp_path),
        paths.specialists_dir(tmp_path),
        paths.conversations_dir(tmp_path),
    ]
    assert len(set(inside)) == len(inside)
    assert all(path.parent == tmp_path for path in inside)


@pytest.mark.parametrize(
    "name", ["", "..", "../" * 9 + "etc/passwd", "a/" + "b" * 30, "A" * 32, "a" * 31, "a" * 32 + "\n"]
)
def test_a_conversation_that_could_lie_elsewhere_is_none(tmp_path: Path, name: str) -> None:
    assert paths.conversation(tmp_path, name) is None
    assert paths.conversation(tmp_path, "0f" * 16) == tmp_path / "conversations" / ("0f" * 16)
