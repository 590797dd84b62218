import hashlib
import io
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import DigestMismatch, ManifestError, NotInstalled, StoreError, StoreFull, UnknownModel
from models.manifest import Artifact, Manifest, parse
from models.store import Store

WEIGHTS = b"weights of a very small model"


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def manifest_of(model_id: str, *contents: bytes) -> Manifest:
    artifacts = tuple(
        Artifact(role=role, file=f"{role}.bin", size_bytes=len(content), sha256=digest_of(content))
        for role, content in zip(("model", "tokenizer"), contents, strict=False)
    )
    return Manifest(model_id, "For tests.", "text", "scripted", artifacts, "MIT")


def filled(root: Path, model_id: str = "tiny", *contents: bytes) -> tuple[Store, Manifest]:
    store, manifest = Store(root), manifest_of(model_id, *(contents or (WEIGHTS,)))
    for content in contents or (WEIGHTS,):
        store.add_blob(io.BytesIO(content))
    store.install(manifest)
    return store, manifest


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_installed_model_is_found_with_its_files(tmp_path: Path) -> None:
    store, manifest = filled(tmp_path)
    assert store.installed() == {"tiny": manifest}
    assert store.get("tiny") == manifest
    assert store.path(manifest, "model").read_bytes() == WEIGHTS
    assert store.verify("tiny") == []


def test_a_store_that_was_never_used_is_empty_and_untouched(tmp_path: Path) -> None:
    store = Store(tmp_path / "models")
    assert store.installed() == {} and store.free_bytes() > 0
    assert not (tmp_path / "models").exists()


def test_missing_model_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="covey models pull smollm2-135m"):
        Store(tmp_path).get("smollm2-135m")
    with pytest.raises(UnknownModel, match="covey models list"):
        Store(tmp_path).get("no-such-model")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "", "a/b", "a\0b", "x" * 5000])
def test_a_name_never_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(UnknownModel):
        store.get(name)
    with pytest.raises(UnknownModel):
        store.remove(name)
    with pytest.raises(UnknownModel):
        store.verify(name)


@pytest.mark.parametrize("file", ["../model.gguf", "/tmp/model.gguf", "a/b", "", ".hidden", "a\0b"])
def test_a_manifest_with_a_path_for_a_file_name_is_refused(file: str) -> None:
    artifact = {"role": "model", "file": file, "size_bytes": 1, "sha256": "0" * 64}
    data = {"id": "x", "summary": "x", "kind": "text", "backend": "llama", "licence": "MIT", "artifacts": [artifact]}
    with pytest.raises(ManifestError):
        parse(data, "test")


def test_wrong_bytes_are_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(DigestMismatch):
        store.add_blob(io.BytesIO(b"other bytes"), digest_of(WEIGHTS))
    assert files(tmp_path) == []


def test_adopted_file_moves_into_place(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.partial.mkdir(parents=True)
    (store.partial / "new").write_bytes(WEIGHTS)
    assert store.adopt(store.partial / "new") == digest_of(WEIGHTS)
    assert files(tmp_path) == [f"blobs/{digest_of(WEIGHTS)}"]


def test_a_model_without_its_files_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled):
        Store(tmp_path).install(manifest_of("tiny", WEIGHTS))
    assert files(tmp_path) == []


def test_removal_keeps_what_another_model_uses(tmp_path: Path) -> None:
    store, _ = filled(tmp_path, "one", b"model one", b"shared tokenizer")
    filled(tmp_path, "two", b"model two", b"shared tokenizer")
    assert store.remove("one") == len(b"model one")
    assert list(store.installed()) == ["two"]
    assert store.verify("two") == []
    store.remove("two")
    assert files(tmp_path) == []


def test_cut_and_damaged_files_are_found_and_discarded(tmp_path: Path) -> None:
    store, manifest = filled(tmp_path, "tiny", b"model", b"tokenizer")
    store.path(manifest, "model").write_bytes(b"modem")
    store.path(manifest, "tokenizer").write_bytes(b"token")
    assert store.verify("tiny") == [
        "model.bin is damaged: its bytes are not the promised ones",
        "tokenizer.bin is missing or cut short",
    ]
    assert store.installed() == {}
    with pytest.raises(NotInstalled, match="covey models pull tiny"):
        store.get("tiny")
    store.discard_damaged("tiny")
    assert not store.has_artifact(manifest.artifact("model"))


def test_damaged_manifest_hides_one_model_only(tmp_path: Path) -> None:
    store, _ = filled(tmp_path, "good")
    filled(tmp_path, "bad", b"other")
    (store.manifests / "bad.json").write_text('{"id": "bad", "surprise": 1}')
    assert list(store.installed()) == ["good"]
    with pytest.raises(ManifestError, match="Pull or add"):
        store.get("bad")
    store.remove("bad")
    assert store.recorded_ids() == ["good"]


def test_a_manifest_under_another_name_is_not_trusted(tmp_path: Path) -> None:
    store, _ = filled(tmp_path, "tiny")
    (store.manifests / "tiny.json").rename(store.manifests / "smollm2-135m.json")
    assert store.installed() == {}


def test_an_interrupted_write_leaves_no_final_name(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(5, "Input/output error")
            return super().read(4)

    with pytest.raises(StoreError, match="Input/output error"):
        Store(tmp_path).add_blob(Broken(WEIGHTS))
    assert files(tmp_path) == []


def _add_many(root: str) -> None:
    store, manifest = Store(Path(root)), manifest_of("tiny", WEIGHTS * 50_000)
    for _ in range(20):
        store.add_blob(io.BytesIO(WEIGHTS * 50_000))
        store.install(manifest)


def test_two_processes_may_fill_one_store(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_add_many, args=(str(tmp_path),)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert worker.exitcode == 0
    assert Store(tmp_path).verify("tiny") == []
    assert len(files(tmp_path)) == 2


def test_a_file_larger_than_allowed_says_that_the_disk_is_full(tmp_path: Path) -> None:
    program = (
        "import io, resource, sys; from pathlib import Path; from models.store import Store\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: Store(Path(sys.argv[1])).add_blob(io.BytesIO(bytes(10_000_000)))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.startswith("StoreFull The disk of")
    assert files(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_keeps_nothing_half_written(small_disk: Path) -> None:
    store, _ = filled(small_disk)
    with pytest.raises(StoreFull, match="free some space"):
        store.add_blob(io.BytesIO(bytes(5_000_000)))
    assert store.verify("tiny") == [] and len(files(small_disk)) == 2
    store.add_blob(io.BytesIO(bytes(1000)))


def test_read_only_store_can_be_read_and_says_that_it_cannot_be_written(small_disk: Path) -> None:
    store, manifest = filled(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert store.get("tiny") == manifest and store.verify("tiny") == []
    for change in (lambda: store.add_blob(io.BytesIO(b"x")), lambda: store.remove("tiny")):
        with pytest.raises(StoreError, match="can't be written"):
            change()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_someone_else_says_that_it_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="can't be written"):
        Store(tmp_path).add_blob(io.BytesIO(b"x"))
    tmp_path.chmod(0o700)


def test_what_is_damaged_is_said_once_and_not_at_every_look(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path)
    store.manifests.mkdir(parents=True)
    (store.manifests / "one.json").write_text('{"id": ')
    for _ in range(3):
        assert Store(tmp_path).installed() == {}
    assert [record.message.count("one.json") for record in caplog.records] == [1]
