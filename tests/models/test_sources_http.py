from pathlib import Path

import pytest

from models.errors import SourceError, SourceUnreachable
from models.manifest import HttpsSource, ManifestError, parse
from models.sources.http import download, fetch
from tests.models.loopback import SCHEMES, Site, serving

CONTENT = bytes(range(256)) * 400


def silent(done: int, total: int | None) -> None:
    pass


def get(site: Site, target: Path, path: str = "/model.bin", size_bytes: int | None = None) -> bytes:
    download(site.url + path, target, silent, schemes=SCHEMES, size_bytes=size_bytes, timeout_s=5)
    return target.read_bytes()


def test_file_comes_whole_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with serving(Site({"/model.bin": CONTENT})) as site:
        download(
            site.url + "/model.bin", tmp_path / "f", lambda done, total: told.append((done, total)), schemes=SCHEMES
        )
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_progress_is_told_as_it_comes_and_not_when_much_has_come(tmp_path: Path) -> None:
    told: list[int] = []

    def stops(done: int, total: int | None) -> None:
        told.append(done)
        if done:
            raise InterruptedError

    with serving(Site({"/model.bin": CONTENT}, pause_s=0.01)) as site, pytest.raises(InterruptedError):
        download(site.url + "/model.bin", tmp_path / "f", stops, schemes=SCHEMES)
    assert told[0] == 0 and told[-1] < len(CONTENT)


def test_who_went_away_makes_no_connection(tmp_path: Path) -> None:
    def stops(done: int, total: int | None) -> None:
        raise InterruptedError

    with serving(Site({"/model.bin": CONTENT})) as site:
        with pytest.raises(InterruptedError):
            download(site.url + "/model.bin", tmp_path / "f", stops, schemes=SCHEMES)
        assert site.asked == []


def test_a_broken_download_goes_on_within_one_call(tmp_path: Path) -> None:
    site = Site({"/model.bin": CONTENT}, break_after=40_000, breaks_left=2)
    with serving(site):
        assert get(site, tmp_path / "f") == CONTENT
    assert site.ranges() == ["", "bytes=40000-", "bytes=80000-"]


def test_a_repeat_goes_on_where_the_first_call_gave_up(tmp_path: Path) -> None:
    site = Site({"/model.bin": CONTENT}, break_after=10_000, breaks_left=4)
    with serving(site):
        with pytest.raises(SourceUnreachable, match="broke"):
            get(site, tmp_path / "f")
        assert not (tmp_path / "f").exists()
        assert get(site, tmp_path / "f") == CONTENT
    assert site.ranges()[-1] == "bytes=40000-"


def test_a_server_that_ignores_ranges_starts_again(tmp_path: Path) -> None:
    site = Site({"/model.bin": CONTENT}, break_after=40_000, breaks_left=1, ignore_range=True)
    with serving(site):
        assert get(site, tmp_path / "f") == CONTENT


def test_a_file_that_changed_meanwhile_starts_again(tmp_path: Path) -> None:
    site = Site({"/model.bin": CONTENT}, break_after=20_000, breaks_left=4)
    with serving(site):
        with pytest.raises(SourceUnreachable):
            get(site, tmp_path / "f")
        site.files["/model.bin"], site.etag = CONTENT[::-1], '"two"'
        assert get(site, tmp_path / "f") == CONTENT[::-1]


def test_without_a_strong_validator_it_starts_again(tmp_path: Path) -> None:
    site = Site({"/model.bin": CONTENT}, break_after=20_000, breaks_left=1, etag='W/"weak"')
    with serving(site):
        assert get(site, tmp_path / "f") == CONTENT
    assert site.ranges() == ["", ""]


def test_a_leftover_longer_than_the_file_starts_again(tmp_path: Path) -> None:
    (tmp_path / "f.part").write_bytes(CONTENT * 2)
    (tmp_path / "f.etag").write_text('"\\"one\\""')
    with serving(Site({"/model.bin": CONTENT})) as site:
        assert get(site, tmp_path / "f", size_bytes=len(CONTENT)) == CONTENT


def test_more_bytes_than_expected_are_refused(tmp_path: Path) -> None:
    with serving(Site({"/model.bin": CONTENT})) as site, pytest.raises(SourceError, match="where 1,000 are expected"):
        get(site, tmp_path / "f", size_bytes=1000)
    assert not (tmp_path / "f").exists()


def test_missing_file_names_the_answer(tmp_path: Path) -> None:
    with serving(Site()) as site, pytest.raises(SourceError, match="404"):
        get(site, tmp_path / "f")


def test_nobody_listening_is_unreachable(tmp_path: Path) -> None:
    with serving(Site()) as site:
        pass
    with pytest.raises(SourceUnreachable, match="out of reach"):
        get(site, tmp_path / "f")


@pytest.mark.parametrize("elsewhere", ["file:///etc/passwd", "ftp://127.0.0.1/model.bin", "https://127.0.0.1:1/x"])
def test_a_redirect_to_another_scheme_is_refused(tmp_path: Path, elsewhere: str) -> None:
    with serving(Site(redirects={"/model.bin": elsewhere})) as site, pytest.raises(SourceError):
        get(site, tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_a_redirect_within_the_scheme_is_followed(tmp_path: Path) -> None:
    with serving(Site({"/there": CONTENT}, redirects={"/model.bin": "/there"})) as site:
        assert get(site, tmp_path / "f") == CONTENT


def test_plain_http_is_refused_by_manifest_and_by_source(tmp_path: Path) -> None:
    with serving(Site({"/model.bin": CONTENT})) as site:
        with pytest.raises(SourceError, match="not HTTPS"):
            download(site.url + "/model.bin", tmp_path / "f", silent)
        artifact = {"role": "model", "file": "f", "sources": [{"kind": "https", "url": site.url}]}
        rest = {"id": "x", "summary": "x", "kind": "text", "backend": "llama", "licence": "MIT"}
        with pytest.raises(ManifestError):
            parse({**rest, "artifacts": [artifact]}, "test")
    assert site.asked == []


def test_https_source_says_when_the_host_is_out_of_reach(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable):
        fetch(HttpsSource("https", "https://127.0.0.1:1/model.bin"), tmp_path / "f", silent)
