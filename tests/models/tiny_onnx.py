"""Writes tiny ONNX models and tokenizers, so that the real backend runs in tests without real weights.

The encoder looks each token up in a table; the scorer adds up one number a token. Both are written
byte by byte in the protobuf encoding of the ONNX format (opset 13), because the `onnx` package is
not among the dependencies.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import BertProcessing

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(12))]
DIMENSIONS = 4
_FLOAT, _INT64 = 1, 7


def write_tokenizer(path: Path) -> Path:
    """Write a tokenizer that knows the words w0 to w11."""
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))  # type: ignore[assignment]
    tokenizer.add_special_tokens(WORDS[:4])
    tokenizer.save(str(path))
    return path


def write_encoder(path: Path, *, lost: str = "") -> Path:
    """Write a model whose `last_hidden_state` is row `i % 4` of the unit matrix (times i) for token i.

    For the token `lost` it is no number.
    """
    rows = [[float(i) if i % DIMENSIONS == d else 0.5 for d in range(DIMENSIONS)] for i in range(len(WORDS))]
    if lost:
        rows[WORDS.index(lost)] = [float("nan")] * DIMENSIONS
    node = _node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    table = _tensor("table", (len(WORDS), DIMENSIONS), [x for row in rows for x in row])
    path.write_bytes(_model([node], [table], "last_hidden_state"))
    return path


def write_classifier(path: Path) -> Path:
    """Write a model whose `logits` are the largest values of the encoder's rows over the tokens of a text."""
    rows = [[float(i) if i % DIMENSIONS == d else 0.5 for d in range(DIMENSIONS)] for i in range(len(WORDS))]
    nodes = [
        _node("Gather", ["table", "input_ids"], ["values"]),
        _node("ReduceMax", ["values"], ["logits"], axis=1),
    ]
    table = _tensor("table", (len(WORDS), DIMENSIONS), [x for row in rows for x in row])
    path.write_bytes(_model(nodes, [table], "logits"))
    return path


def write_scorer(path: Path) -> Path:
    """Write a model whose `logits` are the largest token's id minus 9."""
    nodes = [
        _node("Gather", ["table", "input_ids"], ["values"]),
        _node("ReduceMax", ["values"], ["logits"], axis=1),
    ]
    table = _tensor("table", (len(WORDS), 1), [float(i - 9) for i in range(len(WORDS))])
    path.write_bytes(_model(nodes, [table], "logits"))
    return path


def _model(nodes: list[bytes], tensors: list[bytes], output: str) -> bytes:
    graph = b"".join(_field(1, node) for node in nodes) + _field(2, b"tiny")
    graph += b"".join(_field(5, tensor) for tensor in tensors)
    for name in ("input_ids", "attention_mask"):
        graph += _field(11, _value(name, _INT64, 2))
    graph += _field(12, _value(output, _FLOAT, 3 if output == "last_hidden_state" else 2))
    return _number(1, 8) + _field(7, graph) + _field(8, _number(2, 13))


def _node(op: str, inputs: list[str], outputs: list[str], axis: int | None = None) -> bytes:
    node = b"".join(_field(1, name.encode()) for name in inputs)
    node += b"".join(_field(2, name.encode()) for name in outputs) + _field(4, op.encode())
    if axis is not None:
        axes = _field(1, b"axes") + _number(8, axis) + _number(20, 7)
        node += _field(5, axes) + _field(5, _field(1, b"keepdims") + _number(3, 0) + _number(20, 2))
    return node


def _tensor(name: str, shape: tuple[int, ...], values: list[float]) -> bytes:
    dims = b"".join(_number(1, size) for size in shape)
    return dims + _number(2, _FLOAT) + _field(8, name.encode()) + _field(9, struct.pack(f"<{len(values)}f", *values))


def _value(name: str, kind: int, rank: int) -> bytes:
    shape = b"".join(_field(1, _field(2, f"{name}{axis}".encode())) for axis in range(rank))
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, kind) + _field(2, shape)))


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
