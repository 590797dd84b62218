"""What fitted heads promise: they load without running anything, fit their encoder, and give probabilities."""

from __future__ import annotations

import json
import pickle
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from models.backends.scripted import ScriptedEncoder
from models.errors import BadArtifact
from models.heads import few, head, wording
from models.types import Digest

ENCODER = ScriptedEncoder(dimensions=3)


def made(**changes: object) -> head.Head:
    known = head.Head(
        name="toy",
        labels=("left", "right"),
        weights=np.array([[4, -4], [-4, 4], [0, 0]], dtype=np.float32),
        bias=np.zeros(2, dtype=np.float32),
        temperature=1.0,
        reject=0.6,
        encoder=ENCODER.artifacts[0],
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def test_saved_head_predicts_the_same(tmp_path: Path) -> None:
    head.save(made(), tmp_path)
    loaded = head.load("toy", tmp_path)
    inputs = np.array([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0.7]], dtype=np.float32)
    shares = loaded.probabilities(inputs)
    assert np.allclose(shares, made().probabilities(inputs))
    assert np.allclose(shares.sum(axis=1), 1.0)
    assert [loaded.labels[i] for i in shares[:2].argmax(axis=1)] == ["left", "right"]
    assert loaded.reject == pytest.approx(0.6)


def test_head_that_reads_words_keeps_them_and_tells_equal_vectors_apart(tmp_path: Path) -> None:
    weights = np.zeros((3 + 64, 2), dtype=np.float32)
    weights[3 + next(iter(wording.places("lost", 64)))] = [5, -5]
    head.save(made(weights=weights, words=64, word_weight=0.5), tmp_path)
    loaded = head.load("toy", tmp_path)
    same = np.array([[1, 0, 0], [1, 0, 0]], dtype=np.float32)
    inputs = loaded.inputs(same, ["lost", "found"])
    assert inputs.shape == (2, 67)
    assert np.linalg.norm(inputs[0, 3:]) == pytest.approx(0.5)
    lost, found = loaded.probabilities(inputs)
    assert abs(lost[0] - found[0]) > 0.3
    assert made().inputs(same, ["lost", "found"]) is same


def test_text_below_the_least_logit_is_like_no_label(tmp_path: Path) -> None:
    head.save(made(least=2.0), tmp_path)
    loaded = head.load("toy", tmp_path)
    near, far = np.array([[1, 0, 0], [0.1, 0, 0.9]], dtype=np.float32)
    assert loaded.knows(np.array([near, far])).tolist() == [True, False]
    assert made().knows(np.array([near, far])).all(), "a head without such a bound knows everything"


def test_higher_temperature_is_less_sure() -> None:
    vector = np.array([[1, 0, 0]], dtype=np.float32)
    assert made(temperature=4.0).probabilities(vector).max() < made().probabilities(vector).max()


def test_head_of_another_encoder_is_refused() -> None:
    made().require(ENCODER)
    with pytest.raises(BadArtifact, match="fitted on another encoder"):
        made(encoder=Digest("0" * 64)).require(ENCODER)


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_truncated_head_is_refused(tmp_path: Path, keep: int) -> None:
    path = head.save(made(), tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadArtifact, match=r"toy\.npz is damaged"):
        head.load("toy", tmp_path)


def test_missing_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArtifact, match=r"toy\.npz"):
        head.load("toy", tmp_path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "sprung").touch, ())

    np.savez(tmp_path / "toy.npz", labels=np.array([Trap()], dtype=object))
    with pytest.raises(BadArtifact):
        head.load("toy", tmp_path)
    (tmp_path / "toy.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(BadArtifact):
        head.load("toy", tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_head_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "toy.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights.npy", bytes(head.MAX_HEAD_BYTES + 1))
    with pytest.raises(BadArtifact):
        head.load("toy", tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"bias": np.zeros(3, dtype=np.float32)},
        {"weights": np.zeros(3, dtype=np.float32)},
        {"weights": np.full((3, 2), np.nan, dtype=np.float32)},
        {"temperature": 0.0},
        {"words": 3},
        {"words": -1},
        {"word_weight": np.nan},
        {"least": np.nan},
    ],
)
def test_head_whose_parts_do_not_fit_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    head.save(made(**changes), tmp_path)
    with pytest.raises(BadArtifact):
        head.load("toy", tmp_path)


@pytest.mark.parametrize("path", sorted(head.FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def test_shipped_head_is_small_and_says_where_it_is_from(path: Path) -> None:
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert path.stat().st_size < 2_000_000
    assert about["sha256"] == sha256(path.read_bytes()).hexdigest()
    assert about["command"] == f"scripts/build_heads {path.stem}"
    assert all(source["licence"] and source["rows"] and len(source["sha256"]) == 64 for source in about["data"])
    assert about["measured"]


@pytest.mark.parametrize(
    ("name", "figure", "least"),
    [
        ("clinc150", "accuracy", 0.955),
        ("clinc150", "oos_recall", 0.6),
        ("clinc150_20", "accuracy", 0.91),
        ("banking77", "accuracy", 0.92),
        ("snips", "accuracy", 0.97),
        ("hwu64", "accuracy", 0.90),
        ("trec", "accuracy", 0.94),
        ("injection", "auroc", 0.95),
    ],
)
def test_shipped_head_is_as_good_as_promised(name: str, figure: str, least: float) -> None:
    about = json.loads((head.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert about["measured"][figure]["value"] >= least


def blobs(count: int, *, seed: int) -> tuple[few.Floats, list[str]]:
    """Return unit vectors around three directions."""
    draw = np.random.default_rng(seed)
    vectors = np.repeat(np.eye(3, 16), count, axis=0) + draw.normal(0, 0.12, (3 * count, 16))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit, [name for name in ("a", "b", "c") for _ in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_few_examples_are_enough_for_clear_classes(count: int) -> None:
    fitted = few.fit(*blobs(count, seed=0))
    vectors, labels = blobs(20, seed=1)
    found = [fitted.probabilities(vector) for vector in vectors]
    right = [fitted.labels[shares.argmax()] == label for (shares, _), label in zip(found, labels, strict=True)]
    assert np.mean(right) > 0.9
    assert all(shares.sum() + none == pytest.approx(1.0, abs=1e-5) for shares, none in found)


def test_text_far_from_every_example_is_none_of_them() -> None:
    fitted = few.fit(*blobs(5, seed=0))
    stranger = np.zeros(16, dtype=np.float32)
    stranger[9] = 1.0
    shares, none = fitted.probabilities(stranger)
    assert none > shares.max()
    ordinary = [few_none for _, few_none in map(fitted.probabilities, blobs(20, seed=1)[0])]
    assert np.median(ordinary) < 0.2


def test_one_label_alone_can_still_be_told_from_something_else() -> None:
    vectors, labels = blobs(6, seed=0)
    fitted = few.fit(vectors[:6], labels[:6])
    assert fitted.probabilities(vectors[0])[1] < 0.5 < fitted.probabilities(vectors[-1])[1]
