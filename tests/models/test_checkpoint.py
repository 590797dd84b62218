"""What a checkpoint folder must be, and what is said of one that can't or must not be converted."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from models import checkpoint, safetensors
from models.errors import BadArtifact, InputError
from tests.models.checkpoint_folder import weights, write


def test_classifier_is_read(tmp_path: Path) -> None:
    found = checkpoint.read(write(tmp_path / "mails"))
    assert (found.kind, found.labels, found.parameters) == ("classifier", ("billing", "delivery", "technical"), 40)
    assert (found.context_tokens, found.dimensions, found.licence) == (64, 8, "unknown")
    assert found.inputs == ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"architectures": ["BertForTokenClassification"]}, "tagger"),
        ({"id2label": {"0": "LABEL_0"}}, "reranker"),
        ({"architectures": ["BertModel"]}, "encoder"),
        ({"architectures": ["MPNetModel"], "model_type": "mpnet"}, "encoder"),
        ({"architectures": ["DistilBertForSequenceClassification"], "model_type": "distilbert"}, "classifier"),
    ],
)
def test_architecture_says_what_kind_it_is(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    assert checkpoint.read(write(tmp_path / "m", **changes)).kind == kind


def test_two_labels_go_without_saying(tmp_path: Path) -> None:
    assert checkpoint.read(write(tmp_path / "m", id2label=None)).labels == ("LABEL_0", "LABEL_1")


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        (None, "mean"),
    ],
)
def test_folder_of_sentence_transformers_says_how_it_pools(
    tmp_path: Path, pooling: dict[str, Any] | None, expected: str
) -> None:
    folder = write(tmp_path / "m", architectures=["BertForMaskedLM"])
    (folder / "modules.json").write_text("[]")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    if pooling is not None:
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    found = checkpoint.read(folder)
    assert (found.kind, found.pooling, found.context_tokens) == ("encoder", expected, 32)


def test_padding_takes_positions_from_some(tmp_path: Path) -> None:
    changes = {"architectures": ["RobertaModel"], "model_type": "roberta", "max_position_embeddings": 514}
    found = checkpoint.read(write(tmp_path / "m", **changes))
    assert found.context_tokens == 512 and "token_type_ids" not in found.inputs


def test_licence_of_the_model_card_is_kept(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# license: other\n")
    assert checkpoint.read(folder).licence == "mit"


def test_weights_in_parts_are_added_up(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "model-00001-of-00002.safetensors").write_bytes(weights(3))
    (folder / "model-00002-of-00002.safetensors").write_bytes(weights(4, 4))
    assert checkpoint.read(folder).parameters == 19


def test_folder_without_config_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no config\.json.*GGUF file\.$"):
        checkpoint.read(tmp_path)


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "training_args.bin").write_bytes(b"not weights")
    with pytest.raises(BadArtifact, match=r"no model\.safetensors"):
        checkpoint.read(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(BadArtifact, match=r"a pickle \(pytorch_model\.bin\), which can run code"):
        checkpoint.read(folder)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, "'llama' model.*not supported.*GGUF"),
        ({"architectures": ["BertForQuestionAnswering"]}, "BertForQuestionAnswering, which is not supported"),
        ({"architectures": ["BertForMaskedLM"]}, "BertForMaskedLM, which is not supported"),
        ({"architectures": None}, "not supported"),
        ({"model_type": None}, "not supported"),
        ({"auto_map": {"AutoModel": "mine.py"}}, "needs code of its own"),
        ({"quantization_config": {"bits": 4}}, "quantized already"),
        ({"problem_type": "multi_label_classification"}, "several labels at once"),
        ({"architectures": {"first": "BertModel"}}, "not supported"),
        ({"id2label": {"0": "a", "2": "b"}}, "has gaps"),
        ({"id2label": 5}, "has gaps"),
        ({"id2label": {"0": "a", "1": "a"}}, "can't be a label"),
        ({"id2label": {"0": "a", "1": "\x1b[31m"}}, "can't be a label"),
        ({"id2label": {str(n): f"l{n}" for n in range(1001)}}, "1001 labels"),
        ({"hidden_size": "many"}, "no hidden_size"),
        ({"max_position_embeddings": 3}, "room for 3 tokens"),
    ],
)
def test_what_is_not_supported_is_said(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadArtifact, match=sentence):
        checkpoint.read(write(tmp_path / "m", **changes))


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "\xff"])
def test_damaged_config_is_a_sentence(tmp_path: Path, content: str) -> None:
    folder = write(tmp_path / "m")
    (folder / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(BadArtifact, match=r"config\.json of m is damaged"):
        checkpoint.read(folder)


def test_every_cut_of_the_weights_is_noticed(tmp_path: Path) -> None:
    folder, whole = write(tmp_path / "m"), weights(2, 3)
    for length in range(len(whole)):
        (folder / "model.safetensors").write_bytes(whole[:length])
        with pytest.raises(BadArtifact, match="damaged"):
            checkpoint.read(folder)


def test_header_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"\xff" * 16)
    with pytest.raises(BadArtifact, match="damaged"):
        checkpoint.read(folder)


def test_too_many_parameters_are_refused_with_the_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors, "MAX_PARAMETERS", 30)
    with pytest.raises(BadArtifact, match="0 million parameters; at most"):
        checkpoint.read(write(tmp_path / "m"))


def test_tokenizer_must_be_there(tmp_path: Path) -> None:
    folder = write(tmp_path / "m")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadArtifact, match="no tokenizer"):
        checkpoint.read(folder)


def test_further_layers_and_other_poolings_are_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", architectures=["BertModel"])
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    with pytest.raises(BadArtifact, match="pools by pooling_mode_lasttoken"):
        checkpoint.read(folder)
    shutil.rmtree(folder / "1_Pooling")
    (folder / "2_Dense").mkdir()
    with pytest.raises(BadArtifact, match="further layer"):
        checkpoint.read(folder)


def test_the_name_of_an_architecture_is_kept_as_plain_text(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", architectures=["Bert\x1b[31m\n\ud800" + "x" * 500 + "Model"])
    (folder / "modules.json").write_text("[]")
    assert checkpoint.read(folder).architecture == "Bert[31m" + "x" * 72


@pytest.mark.parametrize("opening", [b"[", b'{"w":'])
def test_header_that_is_nested_without_end_is_damaged(tmp_path: Path, opening: bytes) -> None:
    folder, header = write(tmp_path / "m"), opening * 100_000
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(BadArtifact, match=r"model\.safetensors is damaged"):
        checkpoint.read(folder)
