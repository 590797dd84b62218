"""Checkpoints become int8 models that the specialists use; the converting runs where PyTorch is installed."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from models import conversion, workplace
from models.conversion import add_checkpoint
from models.errors import BackendError, ExtraMissing, InputError, StoreFull
from models.manifest import Artifact, Manifest
from models.pool import ModelPool
from models.specialist import SpecialistSpec, build
from models.store import Store
from runtime import paths
from runtime.cli.adding import labelled
from runtime.cli.main import main
from tests.models import export_environment
from tests.models.asking import told
from tests.models.checkpoint_folder import write

CONVERTS = [pytest.mark.slow, pytest.mark.timeout(1500)]
Convert = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def interpreter() -> Path:
    return export_environment.python()


@pytest.fixture(scope="module")
def checkpoints(interpreter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints, trained here: `mails`, `places`, `vectors`, and `rows.csv`."""
    folder = tmp_path_factory.mktemp("checkpoints")
    command = [str(interpreter), "-W", "ignore", "-m", "tests.models.tiny_checkpoint", str(folder)]
    subprocess.run(command, cwd=export_environment.ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture
def convert(interpreter: Path, tmp_path: Path) -> Convert:
    """Runs `covey models add` where PyTorch is, on the test's own home."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(interpreter), "-m", "runtime.cli.main", "models", "add", *map(str, arguments), "--json"]
        environ = {**os.environ, "COVEY_HOME": str(tmp_path / "home")}
        return subprocess.run(
            command, cwd=export_environment.ROOT, env=environ, capture_output=True, text=True, check=False
        )

    return run


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def fill(weights: Path, name: str, value: float) -> None:
    """Set all numbers of one tensor."""
    data = bytearray(weights.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    start, end = json.loads(data[8 : 8 + length])[name]["data_offsets"]
    data[8 + length + start : 8 + length + end] = struct.pack("<f", value) * ((end - start) // 4)
    weights.write_bytes(data)


def store_of(tmp_path: Path) -> Store:
    return Store(paths.models_dir(tmp_path / "home"))


async def result_of(store: Store, runner: str, model: str, given: dict[str, Any]) -> Any:
    """Return what a specialist over the model says, loaded by the real pool."""
    pool = ModelPool(store, budget_bytes=10**9, threads=1)
    try:
        spec = SpecialistSpec("mine", runner, "made from a checkpoint", models=(model,))
        return (await told(build(spec, pool), given))[1]
    finally:
        await pool.close()


class TestConverting:
    pytestmark = CONVERTS

    async def test_sequence_classification_answers_for_classify(
        self, checkpoints: Path, convert: Convert, tmp_path: Path
    ) -> None:
        done = convert(checkpoints / "mails", "--rows", checkpoints / "rows.csv")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)["measured"]
        assert said["labelled"] and said["faithful"] and said["agreement"] > 0.97
        assert said["accuracy_before"] > 0.7 and said["accuracy_after"] >= said["accuracy_before"] - 0.02
        store = store_of(tmp_path)
        manifest = store.get("mails")
        assert (manifest.kind, manifest.licence) == ("classifier", "apache-2.0")
        assert list(store.partial.iterdir()) == [] and store.verify("mails") == []
        result = await result_of(store, "classify", "mails", {"text": "the invoice charged my card"})
        assert result.output == "billing" and result.artifacts == manifest.digests

    async def test_token_classification_answers_for_tag(
        self, checkpoints: Path, convert: Convert, tmp_path: Path
    ) -> None:
        assert json.loads(convert(checkpoints / "places").stdout)["measured"]["agreement"] > 0.97
        result = await result_of(store_of(tmp_path), "tag", "places", {"text": "from Oslo with you at Lima"})
        assert [(tag["text"], tag["label"]) for tag in result.output] == [("Oslo", "place"), ("Lima", "place")]

    async def test_embedding_model_answers_for_embed(self, checkpoints: Path, convert: Convert, tmp_path: Path) -> None:
        done = convert(checkpoints / "vectors", "--name", "my-vectors", "--rows", checkpoints / "rows.csv")
        said = json.loads(done.stdout)["measured"]
        assert said["agreement"] > 0.8 and said["accuracy_after"] > said["accuracy_before"] - 0.1
        result = await result_of(store_of(tmp_path), "embed", "my-vectors", {"texts": ["a parcel", "my card"]})
        assert [len(vector) for vector in result.output] == [32, 32]

    def test_weights_that_are_not_all_there_install_nothing(
        self, checkpoints: Path, convert: Convert, tmp_path: Path
    ) -> None:
        """The file is sound, but a layer that the architecture needs is in no file: it would be made up."""
        folder = tmp_path / "half"
        shutil.copytree(checkpoints / "vectors", folder)
        shutil.rmtree(folder / "1_Pooling")
        (folder / "modules.json").unlink()
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "architectures": ["BertForSequenceClassification"]}))
        done = convert(folder)
        assert done.returncode == 1
        assert "its weights lack classifier" in json.loads(done.stdout)["error"]["message"]
        store = store_of(tmp_path)
        assert store.recorded_ids() == [] and list(store.partial.iterdir()) == []

    def test_labels_that_are_not_those_of_the_weights_are_named(
        self, checkpoints: Path, convert: Convert, tmp_path: Path
    ) -> None:
        folder = tmp_path / "four"
        shutil.copytree(checkpoints / "mails", folder)
        config = json.loads((folder / "config.json").read_text())
        labels = {str(n): f"label {n}" for n in range(4)}
        (folder / "config.json").write_text(
            json.dumps({**config, "id2label": labels, "label2id": {label: int(n) for n, label in labels.items()}})
        )
        done = convert(folder)
        assert done.returncode == 1
        assert (
            "classifier.bias of 3 numbers where config.json asks for 4" in json.loads(done.stdout)["error"]["message"]
        )

    def test_weights_that_give_no_numbers_install_nothing(
        self, checkpoints: Path, convert: Convert, tmp_path: Path
    ) -> None:
        """A training that went wrong leaves such; before and after would be called equal."""
        folder = tmp_path / "lost"
        shutil.copytree(checkpoints / "mails", folder)
        fill(folder / "model.safetensors", "classifier.weight", float("inf"))
        done = convert(folder)
        assert done.returncode == 1
        assert "classifier.weight holds what is no number" in json.loads(done.stdout)["error"]["message"]
        assert store_of(tmp_path).recorded_ids() == []

    def test_who_is_killed_leaves_no_process_that_goes_on(
        self, checkpoints: Path, interpreter: Path, tmp_path: Path
    ) -> None:
        command = [str(interpreter), "-m", "runtime.cli.main", "models", "add", str(checkpoints / "mails")]
        environ = {**os.environ, "COVEY_HOME": str(tmp_path / "home")}
        asked = subprocess.Popen(command, cwd=export_environment.ROOT, env=environ, stderr=subprocess.PIPE, text=True)
        assert asked.stderr is not None and "converting mails" in asked.stderr.readline()
        partial = store_of(tmp_path).partial
        until(lambda: list(partial.glob("convert-*/float.onnx")) or asked.poll() is not None)
        (converting,) = psutil.Process(asked.pid).children()
        asked.kill()
        asked.communicate()
        converting.wait(30)  # raises where it goes on


def test_missing_libraries_are_one_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(conversion, "EXTRA", ("no_such_library",))
    assert main(["models", "add", str(write(tmp_path / "m")), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "extra_missing"
    assert "needs no_such_library; run `" in error["message"] and "[export]" in error["message"]


def test_conversion_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokenizer is damaged; where PyTorch is missing the process does not even start. Either way nothing stays."""
    monkeypatch.setattr(conversion, "EXTRA", ())
    store = Store(tmp_path / "models")
    with pytest.raises(BackendError):
        add_checkpoint(write(tmp_path / "m"), store)
    assert store.recorded_ids() == [] and list(store.partial.iterdir()) == [] and not store.blobs.exists()


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "EXTRA", ())
    store = Store(tmp_path / "models")
    left = store.partial / "convert-abc"
    left.mkdir(parents=True)
    (left / "float.onnx").write_bytes(b"half")
    with pytest.raises(BackendError):
        add_checkpoint(write(tmp_path / "m"), store)
    assert not left.exists()


def test_disk_that_becomes_full_half_way_is_said_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "EXTRA", ())
    monkeypatch.setattr(workplace, "FULL_BYTES", 2**62)  # no disk has as much
    with pytest.raises(StoreFull, match="became full while m was converted; free some space"):
        add_checkpoint(write(tmp_path / "m"), Store(tmp_path / "models"))


class SmallDisk(Store):
    """A store on a disk with one MB of room."""

    def free_bytes(self) -> int:
        return 1_000_000


def test_full_disk_is_a_sentence_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "EXTRA", ())
    with pytest.raises(StoreFull, match=r"has 1 MB free and converting m takes"):
        add_checkpoint(write(tmp_path / "m"), SmallDisk(tmp_path / "models"))


@pytest.mark.parametrize(
    ("changes", "name", "rows", "sentence"),
    [
        ({}, "Not A Name", [], "can't be a model's name"),
        ({}, "bge-small-en", [], "is known already"),
        ({}, "", [("a text", "refunds")], "'refunds' in the rows is no label of m, which has: billing"),
        ({"architectures": ["BertForTokenClassification"]}, "", [("a", "b")], "nothing about a tagger"),
    ],
)
def test_wrong_use_is_said_before_the_work(
    tmp_path: Path, changes: dict[str, Any], name: str, rows: list[tuple[str, str]], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        add_checkpoint(write(tmp_path / "m", **changes), Store(tmp_path / "models"), name=name, rows=rows)


def test_model_whose_files_are_gone_can_be_added_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manifest is still there, and a pull says that it was added by hand and is to be brought again."""
    monkeypatch.setattr(conversion, "EXTRA", ("no_such_library",))
    store, folder = Store(tmp_path / "models"), write(tmp_path / "m")
    digest = store.add_blob(folder / "tokenizer.json")
    store.install(Manifest("m", "labels", "classifier", "onnx", (Artifact("model", "m", 2, digest),), "MIT"))
    with pytest.raises(InputError, match="is known already"):
        add_checkpoint(folder, store)
    (store.blobs / digest).unlink()
    with pytest.raises(ExtraMissing):  # all that stands in its way
        add_checkpoint(folder, store)


@pytest.mark.parametrize("more", [["other.gguf"], ["other-folder"]])
def test_folder_is_added_by_itself(tmp_path: Path, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "add", str(write(tmp_path / "m")), *more]) == 2
    assert "by itself" in capsys.readouterr().err


def test_rows_are_for_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n")
    assert main(["models", "add", str(tmp_path / "x.gguf"), "--rows", str(tmp_path / "rows.csv")]) == 2
    assert "--rows" in capsys.readouterr().err


def test_rows_are_drawn_from_all_labels_of_a_sorted_file(tmp_path: Path) -> None:
    """Only so many are measured, and files are often sorted by label."""
    labels = ("billing", "delivery", "technical")
    lines = [f"text {n} about {label},{label}" for label in labels for n in range(400)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]))
    found = Counter(label for _, label in labelled(tmp_path / "rows.csv")[: conversion.MAX_ROWS])
    assert all(120 < found[label] < 220 for label in labels)


def test_rows_may_have_columns_of_other_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("was,wohin\na text,refunds\n")
    command = ["models", "add", str(write(tmp_path / "m")), "--rows", str(tmp_path / "rows.csv")]
    assert main(command) == 2
    assert "--text-column" in capsys.readouterr().err
    assert main([*command, "--text-column", "was", "--label-column", "wohin"]) == 2
    assert "'refunds' in the rows is no label" in capsys.readouterr().err


def test_rows_that_say_nothing_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("text,label\n,billing\n")
    assert main(["models", "add", str(write(tmp_path / "m")), "--rows", str(tmp_path / "rows.csv")]) == 2
    assert "no row with a text and a label" in capsys.readouterr().err
