"""Writes small GGUF files, right ones and wrong ones, for tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

ALIGNMENT = 32
KEYS: Mapping[str, str | int] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "general.license": "MIT",
    "llama.context_length": 512,
    "tokenizer.chat_template": "{{ messages }}",
}


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, value: str | int | Sequence[str] | Sequence[int]) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    if all(isinstance(item, int) for item in value):
        return text(key) + struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)
    return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(text(str(item)) for item in value)


def tensor(name: str, shape: Sequence[int], *, kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def gguf(
    keys: Mapping[str, str | int | Sequence[str] | Sequence[int]] = KEYS,
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    tensors: Sequence[bytes] | None = None,
    counts: tuple[int, int] | None = None,
    weights: int = 256,
) -> bytes:
    """Return a file with two tensors of 32 floats; `counts` states other numbers of (tensors, keys) than it has."""
    if tensors is None:
        tensors = [tensor("a.weight", [32]), tensor("b.weight", [8, 4], offset=128)]
    stated = counts or (len(tensors), len(keys) + 1)
    vocabulary = pair("tokenizer.ggml.tokens", ["<s>", "</s>", "tiny"])
    head = magic + struct.pack("<IQQ", version, *stated)
    head += b"".join(pair(key, value) for key, value in keys.items()) + vocabulary + b"".join(tensors)
    return head + bytes(-len(head) % ALIGNMENT) + bytes(weights)
