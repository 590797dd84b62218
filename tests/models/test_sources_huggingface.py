import hashlib
from pathlib import Path

import pytest

from models.errors import SourceError, SourceUnreachable
from models.manifest import HuggingFaceSource
from models.sources.huggingface import fetch
from tests.models.loopback import Site, serving

CONTENT = bytes(range(256)) * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "c" * 40
SOURCE = HuggingFaceSource("hf", "owner/model-GGUF", "model.gguf")
PATHS = tuple(f"/owner/model-GGUF/resolve/{revision}/model.gguf" for revision in ("main", COMMIT))


def hub(**options: object) -> Site:
    site = Site({path: CONTENT for path in PATHS}, etag=f'"{DIGEST}"', headers={"X-Repo-Commit": COMMIT})
    for name, value in options.items():
        setattr(site, name, value)
    return site


def silent(done: int, total: int | None) -> None:
    pass


def test_file_comes_with_the_digest_that_the_hub_states(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with serving(hub()) as site:
        stated = fetch(SOURCE, tmp_path / "f", lambda done, total: told.append((done, total)), endpoint=site.url)
    assert stated == DIGEST
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_who_asks_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with serving(hub()) as site:
        fetch(SOURCE, tmp_path / "f", silent, endpoint=site.url)
    assert len(site.asked) == 2 and not any("authorization" in headers for _, _, headers in site.asked)


def test_a_broken_connection_is_taken_up_again_silently(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(hub(break_after=50_000, breaks_left=1)) as site:
        fetch(SOURCE, tmp_path / "f", silent, endpoint=site.url)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert site.ranges() == ["", "bytes=50000-"]
    assert capfd.readouterr() == ("", "")


def test_a_repeat_goes_on_where_the_first_call_was_stopped(tmp_path: Path) -> None:
    with serving(hub(break_after=20_000, breaks_left=4)) as site:
        with pytest.raises(SourceUnreachable):
            fetch(SOURCE, tmp_path / "f", silent, endpoint=site.url)
        fetch(SOURCE, tmp_path / "f", silent, endpoint=site.url)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert site.ranges()[-1] == "bytes=80000-"


def test_a_file_of_another_size_is_refused_before_it_comes(tmp_path: Path) -> None:
    with serving(hub()) as site, pytest.raises(SourceError, match="where 5 are expected"):
        fetch(SOURCE, tmp_path / "f", silent, size_bytes=5, endpoint=site.url)
    assert site.ranges() == []


def test_missing_file_is_named(tmp_path: Path) -> None:
    with serving(Site()) as site, pytest.raises(SourceError, match="the Hugging Face hub"):
        fetch(SOURCE, tmp_path / "f", silent, endpoint=site.url)


def test_no_network_is_unreachable(tmp_path: Path) -> None:
    with serving(Site()) as site:
        pass
    with pytest.raises(SourceUnreachable, match="out of reach"):
        fetch(SOURCE, tmp_path / "f", silent, endpoint=site.url)
