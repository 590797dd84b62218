import asyncio
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from models import errors
from models.manifest import Artifact, FileSource, HttpsSource, HuggingFaceSource, Manifest, Source
from models.pull import Fetch, pull, pull_all
from models.sources.transfer import FileProgress
from models.store import Store
from models.types import Digest
from tests.models import tiny_gguf
from tests.models.tiny_wheel import artifact, manifest, part, sha256, source, wheel

WEIGHTS = os.urandom(4000)
HUB = HuggingFaceSource("hf", "owner/model", "model.bin")
WEB = HttpsSource("https", "https://example.org/model.bin")


class Fake:
    """A source that delivers given bytes, or fails."""

    def __init__(self, content: bytes = WEIGHTS, *, error: Exception | None = None, stated: str | None = None) -> None:
        self.content, self.error, self.stated = content, error, stated
        self.calls = 0

    def __call__(
        self, source: Source, target: Path, progress: FileProgress, *, size_bytes: int | None = None
    ) -> Digest | None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        target.write_bytes(self.content)
        progress(len(self.content), len(self.content))
        return Digest(self.stated) if self.stated else None


def run(wanted: Manifest, store: Store, *, accept_terms: bool = False, **fetchers: Fetch) -> Manifest:
    return asyncio.run(pull(wanted, store, accept_terms=accept_terms, fetchers=fetchers))


def left(store: Store) -> list[str]:
    return sorted(path.name for path in store.root.rglob("*") if path.is_file() and path.name != "pull.lock")


def test_pulled_model_is_installed_and_a_second_pull_fetches_nothing(tmp_path: Path) -> None:
    store, web = Store(tmp_path), Fake()
    wanted = manifest("tiny", artifact(WEIGHTS, WEB))
    assert run(wanted, store, https=web) == wanted
    assert run(wanted, store, https=web) == wanted
    assert web.calls == 1
    assert set(left(store)) == {sha256(WEIGHTS), "tiny.json"}
    assert store.verify("tiny") == []


def test_sources_are_tried_in_order_until_one_delivers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    hub, web = Fake(error=errors.SourceUnreachable("the hub is out of reach")), Fake()
    run(manifest("tiny", artifact(WEIGHTS, HUB, WEB)), store, hf=hub, https=web)
    assert (hub.calls, web.calls) == (1, 1) and store.verify("tiny") == []


def test_wrong_bytes_of_one_source_are_thrown_away_and_the_next_is_asked(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(manifest("tiny", artifact(WEIGHTS, HUB, WEB)), store, hf=Fake(b"something else"), https=Fake())
    assert store.verify("tiny") == [] and len(left(store)) == 2


def test_wrong_bytes_of_every_source_leave_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(errors.DigestMismatch, match="was promised"):
        run(manifest("tiny", artifact(WEIGHTS, HUB, WEB)), store, hf=Fake(b"x"), https=Fake(b"y"))
    assert left(store) == []


@pytest.mark.parametrize(
    ("failures", "kind"),
    [
        ((errors.SourceUnreachable("no network"), errors.SourceUnreachable("no host")), errors.SourceUnreachable),
        ((errors.SourceUnreachable("no network"), errors.SourceError("answered 404")), errors.SourceError),
    ],
)
def test_failure_of_all_sources_is_one_sentence_with_every_reason(
    tmp_path: Path, failures: Sequence[errors.SourceError], kind: type[errors.SourceError]
) -> None:
    hub, web = (Fake(error=failure) for failure in failures)
    with pytest.raises(kind) as caught:
        run(manifest("tiny", artifact(WEIGHTS, HUB, WEB)), Store(tmp_path), hf=hub, https=web)
    sentence = str(caught.value)
    assert type(caught.value) is kind and "\n" not in sentence
    assert all(str(failure) in sentence for failure in failures)
    assert "covey models pull tiny" in sentence and "covey models add FILE" in sentence


def test_digest_that_the_source_states_is_verified_and_pinned(tmp_path: Path) -> None:
    store, wanted = Store(tmp_path), manifest("tiny", Artifact("model", "model.bin", sources=(HUB,)))
    pulled = run(wanted, store, hf=Fake(stated=sha256(WEIGHTS)))
    assert pulled.artifact("model").sha256 == sha256(WEIGHTS)
    assert pulled.artifact("model").size_bytes == len(WEIGHTS)
    other = Fake(b"new weights", stated=sha256(b"new weights"))
    assert run(wanted, store, hf=other) == pulled and other.calls == 0


def test_after_pinning_other_bytes_are_refused(tmp_path: Path) -> None:
    store, wanted = Store(tmp_path), manifest("tiny", Artifact("model", "model.bin", sources=(HUB,)))
    pulled = run(wanted, store, hf=Fake())
    store.path(pulled, "model").unlink()
    with pytest.raises(errors.DigestMismatch):
        run(wanted, store, hf=Fake(b"swapped since", stated=sha256(b"swapped since")))


def test_a_source_that_lies_about_its_digest_is_refused(tmp_path: Path) -> None:
    wanted = manifest("tiny", Artifact("model", "model.bin", sources=(HUB,)))
    with pytest.raises(errors.DigestMismatch):
        run(wanted, Store(tmp_path), hf=Fake(stated="0" * 64))


def test_a_file_that_is_no_model_is_refused_before_it_is_kept(tmp_path: Path) -> None:
    wanted = replace(manifest("tiny", artifact(WEIGHTS, WEB)), kind="text", backend="llama")
    with pytest.raises(errors.BadArtifact, match="not a GGUF file"):
        run(wanted, Store(tmp_path), https=Fake())
    good = tiny_gguf.gguf()
    run(replace(wanted, artifacts=(artifact(good, WEB),)), Store(tmp_path), https=Fake(good))
    assert Store(tmp_path).verify("tiny") == []


def test_terms_must_be_accepted_before_anything_is_fetched(tmp_path: Path) -> None:
    store, web = Store(tmp_path), Fake()
    wanted = manifest("tiny", artifact(WEIGHTS, WEB), opt_in="Terms of the maker")
    with pytest.raises(errors.TermsNotAccepted, match="--accept-terms"):
        run(wanted, store, https=web)
    assert web.calls == 0
    run(wanted, store, accept_terms=True, https=web)


def test_a_file_larger_than_the_disk_is_refused_before_anything_is_fetched(tmp_path: Path) -> None:
    web = Fake()
    huge = replace(artifact(WEIGHTS, WEB), size_bytes=10**18)
    with pytest.raises(errors.StoreFull, match="MB are needed"):
        run(manifest("tiny", huge), Store(tmp_path), https=web)
    assert web.calls == 0


def test_two_models_share_a_file_and_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    path = wheel(tmp_path, "tiny-one", {"a": b"model a", "b": b"model b", "t": b"tokenizer"})
    tokenizer = artifact(b"tokenizer", source(part(path, "t")), role="tokenizer", file="tokenizer.json")
    wanted = [
        manifest("first", artifact(b"model a", source(part(path, "a"))), tokenizer),
        manifest("second", artifact(b"model b", source(part(path, "b"))), tokenizer),
    ]
    store = Store(tmp_path / "models")
    asyncio.run(pull_all(wanted, store))
    assert sorted(store.installed()) == ["first", "second"]
    assert len(left(store)) == 5  # three files, two manifests, no wheel


def test_progress_names_model_and_file_and_comes_on_the_loop(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None, bool]] = []
    main = threading.get_ident()

    def progress(file: str, done: int, total: int | None) -> None:
        told.append((file, done, total, threading.get_ident() == main))

    asyncio.run(pull(manifest("tiny", artifact(WEIGHTS, WEB)), Store(tmp_path), progress, fetchers={"https": Fake()}))
    assert told == [("tiny/model.bin", 4000, 4000, True)]


class Slow(Fake):
    """Delivers a little at a time, until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.ended = threading.Event(), threading.Event()

    def __call__(
        self, source: Source, target: Path, progress: FileProgress, *, size_bytes: int | None = None
    ) -> Digest | None:
        self.calls += 1
        try:
            self.started.set()
            for done in range(2000):
                progress(done, 2000)
                time.sleep(0.005)
        finally:
            self.ended.set()
        return None


def test_cancelling_stops_the_transfer_and_frees_the_lock(tmp_path: Path) -> None:
    slow, store = Slow(), Store(tmp_path)
    wanted = manifest("tiny", artifact(WEIGHTS, WEB))

    async def cancelled() -> None:
        work = asyncio.create_task(pull(wanted, store, fetchers={"https": slow}))
        await asyncio.to_thread(slow.started.wait, 5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert slow.ended.is_set() and store.installed() == {}
    run(wanted, store, https=Fake())


class Stalls(Fake):
    """Waits for a byte that does not come."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.comes, self.ended = threading.Event(), threading.Event(), threading.Event()

    def __call__(
        self, source: Source, target: Path, progress: FileProgress, *, size_bytes: int | None = None
    ) -> Digest | None:
        self.started.set()
        self.comes.wait(20)
        try:
            progress(1, 2)
        finally:
            self.ended.set()
        return None


def test_cancelling_does_not_wait_for_a_line_that_stalls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.pull.STOP_WAIT_S", 0.1)
    stalls, store = Stalls(), Store(tmp_path)

    async def cancelled() -> None:
        work = asyncio.create_task(pull(manifest("tiny", artifact(WEIGHTS, WEB)), store, fetchers={"https": stalls}))
        await asyncio.to_thread(stalls.started.wait, 5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(cancelled())
    assert not stalls.ended.is_set(), "the program could end"
    stalls.comes.set()
    assert stalls.ended.wait(5) and store.installed() == {}
    run(manifest("tiny", artifact(WEIGHTS, WEB)), store, https=Fake())


def test_two_pulls_of_one_model_fetch_it_once(tmp_path: Path) -> None:
    web = Fake()
    wanted = manifest("tiny", artifact(WEIGHTS, WEB))

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(pull(wanted, Store(tmp_path), fetchers={"https": web}))

    asyncio.run(both())
    assert web.calls == 1 and Store(tmp_path).verify("tiny") == []


def test_a_model_added_by_hand_can_only_be_brought_again(tmp_path: Path) -> None:
    with pytest.raises(errors.NotInstalled, match="covey models add"):
        run(manifest("mine", artifact(WEIGHTS)), Store(tmp_path))


def test_a_file_source_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(WEIGHTS)
    wanted = manifest("tiny", artifact(WEIGHTS, FileSource("file", str(tmp_path / "weights"))))
    run(wanted, Store(tmp_path / "models"))
    assert Store(tmp_path / "models").verify("tiny") == []


@pytest.mark.parametrize("content", [b"", b'{"id": "ti', b"\xff\x00", b'{"id": "tiny"}'])
@pytest.mark.parametrize("known", [artifact(WEIGHTS, WEB), Artifact("model", "model.bin", sources=(WEB,))])
def test_a_damaged_manifest_is_mended_by_a_pull(tmp_path: Path, known: Artifact, content: bytes) -> None:
    store, wanted = Store(tmp_path), manifest("tiny", known)
    pulled = run(wanted, store, https=Fake())
    (store.manifests / "tiny.json").write_bytes(content)
    web = Fake()
    assert run(wanted, store, https=web) == pulled and store.installed() == {"tiny": pulled}
    assert web.calls == (0 if known.sha256 else 1)  # which bytes it had taken without a digest is forgotten


def test_what_a_killed_program_had_begun_to_copy_is_cleared_away_by_a_pull(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.partial.mkdir()
    (store.partial / "blob-x1").write_bytes(WEIGHTS)
    run(manifest("tiny", artifact(WEIGHTS, WEB)), store, https=Fake())
    assert set(left(store)) == {sha256(WEIGHTS), "tiny.json"}


def test_the_files_of_an_older_version_go_when_a_newer_one_is_here(tmp_path: Path) -> None:
    store, tokenizer = Store(tmp_path), artifact(b"{}", HUB, role="tokenizer", file="tokenizer.json")
    fetchers = {"https": Fake(), "hf": Fake(b"{}")}
    run(manifest("tiny", artifact(WEIGHTS, WEB), tokenizer), store, **fetchers)
    newer = manifest("tiny", artifact(b"newer", WEB), tokenizer)
    with pytest.raises(errors.DigestMismatch):
        run(newer, store, https=Fake(b"neither"), hf=Fake(b"{}"))
    assert (store.blobs / sha256(WEIGHTS)).exists()
    run(newer, store, https=Fake(b"newer"), hf=Fake(b"{}"))
    assert set(left(store)) == {sha256(b"newer"), sha256(b"{}"), "tiny.json"}
    assert store.verify("tiny") == []


def test_the_files_of_an_older_version_stay_for_another_model(tmp_path: Path) -> None:
    store = Store(tmp_path)
    run(manifest("tiny", artifact(WEIGHTS, WEB)), store, https=Fake())
    run(manifest("twin", artifact(WEIGHTS, WEB)), store, https=Fake())
    run(manifest("tiny", artifact(b"newer", WEB)), store, https=Fake(b"newer"))
    assert store.verify("tiny") == store.verify("twin") == []
