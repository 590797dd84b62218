"""Models that label texts and words, checked with tiny models of the same format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.backend import Tag
from models.backends import onnx_threads
from models.backends.onnx import load
from models.backends.onnx_labels import OnnxClassifier, OnnxTagger, joined
from models.backends.scripted import ScriptedEncoder, ScriptedPool
from models.backends.scripted_labels import ScriptedClassifier, ScriptedTagger
from models.errors import BadArtifact
from models.manifest import Artifact, Manifest
from models.specialist import SpecialistSpec, build
from tests.models.asking import told
from tests.models.tiny_onnx import WORDS, write_classifier, write_encoder, write_tokenizer

LABELS = ("a", "b", "c", "d")


def manifest(kind: str, labels: tuple[str, ...] = LABELS) -> Manifest:
    artifacts = (Artifact("model", "model.onnx", sha256="ab" * 32), Artifact("tokenizer", "tokenizer.json"))
    return Manifest("tiny", "a test model", kind, "onnx", artifacts, "CC0-1.0", 8, 8, labels=labels)  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_classifier(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")


async def test_each_text_gets_a_probability_for_each_label(files: tuple[Path, Path]) -> None:
    model = await load(manifest("classifier"), *files, 2)
    assert isinstance(model, OnnxClassifier) and model.labels == LABELS
    shares = await model.probabilities(["w1", "w3 w3 w3", "w11 " * 40])
    assert shares.shape == (3, 4) and np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    alone = await model.probabilities(["w3 w3 w3"])
    assert np.array_equal(alone[0], shares[1])
    await model.close()


async def test_model_with_other_labels_than_its_manifest_is_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(BadArtifact, match=r"gives 4 numbers.*names 3 labels"):
        await load(manifest("classifier", LABELS[:3]), *files, 1)


@pytest.mark.parametrize("refused", [{"kind": "classifier", "labels": LABELS[:3]}, {"kind": "encoder"}])
async def test_a_refused_model_holds_no_threads(files: tuple[Path, Path], refused: dict[str, Any]) -> None:
    """The shared threads end with the last model; one that was never loaded would hold them for ever."""
    with pytest.raises(BadArtifact):
        await load(replace(manifest("classifier"), dimensions=5, **refused), *files, 9)
    with pytest.raises(KeyError):
        onnx_threads.release(9)  # nobody holds them


async def test_words_are_tagged_where_they_stand(tmp_path: Path) -> None:
    files = write_encoder(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    model = await load(manifest("tagger", ("O", "B-x", "I-x", "y")), *files, 1)
    assert isinstance(model, OnnxTagger)
    text = "w0 w1 w2 w3 w5 w5"  # token i has label i % 4, and w0 is token 4
    tags = await model.tags(text)
    assert [(WORDS.index(f"w{n}") % 4) for n in (0, 1, 2, 3, 5)] == [0, 1, 2, 3, 1]
    found = [(text[tag.start : tag.end], tag.label) for tag in tags]
    assert found == [("w1 w2", "x"), ("w3", "y"), ("w5", "x"), ("w5", "x")]
    assert await model.tags("") == []
    await model.close()


async def test_tags_of_a_long_text_stand_at_their_own_places(tmp_path: Path) -> None:
    files = write_encoder(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    model = await load(manifest("tagger", ("O", "B-x", "I-x", "y")), *files, 1)
    assert isinstance(model, OnnxTagger)
    text = "w0 " * 30 + "w1"
    (tag,) = await model.tags(text)
    assert (tag.start, tag.end) == (90, 92)
    await model.close()


def word(label: str, start: int, end: int, score: float = 1.0) -> Tag:
    return Tag(label, start, end, score)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([word("B-x", 0, 2, 1.0), word("I-x", 3, 5, 0.5)], [Tag("x", 0, 5, 0.75)]),
        ([word("B-x", 0, 2), word("B-x", 3, 5)], [Tag("x", 0, 2, 1), Tag("x", 3, 5, 1)]),
        ([word("x", 0, 2), word("x", 3, 5)], [Tag("x", 0, 5, 1)]),
        ([word("x", 0, 2), word("O", 3, 5), word("x", 6, 8)], [Tag("x", 0, 2, 1), Tag("x", 6, 8, 1)]),
        ([word("I-x", 0, 2), word("I-y", 3, 5)], [Tag("x", 0, 2, 1), Tag("y", 3, 5, 1)]),
        ([], []),
    ],
)
def test_words_that_belong_together_are_joined(words: list[Tag], expected: list[Tag]) -> None:
    assert joined(words, "aa bb cc dd") == expected


def test_words_apart_are_not_joined() -> None:
    assert len(joined([word("x", 0, 2), word("x", 5, 7)], "aa - bb")) == 2


async def test_specialist_names_the_parts_of_a_text() -> None:
    pool = ScriptedPool(tagger={"mine": ScriptedTagger({"oslo": "place", "ann": "person"})})
    specialist = build(SpecialistSpec("tag.names", "tag", "finds names", models=("mine",)), pool)
    result = (await told(specialist, {"text": "Ann moved to Oslo."}))[1]
    assert result.text == "Ann: person\nOslo: place"
    assert isinstance(result.output, list) and result.output[1] == {
        "text": "Oslo",
        "label": "place",
        "start": 13,
        "end": 17,
        "score": 0.9,
    }
    nothing = (await told(specialist, {"text": "Nobody."}))[1]
    assert nothing.output == [] and nothing.text and nothing.confidence == 0.5


async def test_classify_uses_a_model_made_for_it_and_the_request_may_bring_other_labels() -> None:
    mine = ScriptedClassifier({"refund": "billing", "parcel": "delivery"})
    pool = ScriptedPool(classifier={"mine": mine}, encoder={"bge-small-en": ScriptedEncoder()})
    specialist = build(SpecialistSpec("classify.mails", "classify", "sorts mails", models=("mine",)), pool)
    result = (await told(specialist, {"text": "Where is my parcel?"}))[1]
    assert result.output == "delivery" and result.artifacts == mine.artifacts and result.confidence > 0.8
    other = (await told(specialist, {"text": "bees and flowers", "labels": ["bees", "cars"]}))[1]
    assert other.model != mine.id
