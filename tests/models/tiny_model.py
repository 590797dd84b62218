"""Writes tiny language models of random weights in kinds that no model at hand is of: they load and compute."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 32
VOCABULARY = 64
WIDTH = 32

Weights = Mapping[str, NDArray[np.float32]]


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def _pair(key: str, value: str | int | float) -> bytes:
    if isinstance(value, str):
        return _text(key) + struct.pack("<I", 8) + _text(value)
    if isinstance(value, int):
        return _text(key) + struct.pack("<II", 4, value)
    return _text(key) + struct.pack("<If", 6, value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def _write(path: Path, keys: Mapping[str, str | int | float], weights: Weights) -> Path:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(keys))
    head += b"".join(_pair(key, value) for key, value in keys.items())
    data = b""
    for name, values in weights.items():
        shape = values.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += _padded(values.tobytes())
    path.write_bytes(_padded(head) + data)
    return path


def _common(architecture: str, layers: int) -> dict[str, str | int | float]:
    return {
        "general.architecture": architecture,
        "tokenizer.ggml.model": "no_vocab",
        f"{architecture}.vocab_size": VOCABULARY,
        f"{architecture}.context_length": 4096,
        f"{architecture}.embedding_length": WIDTH,
        f"{architecture}.block_count": layers,
        f"{architecture}.attention.layer_norm_rms_epsilon": 1e-6,
    }


def _outside(some: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Return what is before and behind the layers."""
    words, said = (some.normal(0, 1, (VOCABULARY, WIDTH)).astype(np.float32) for _ in range(2))
    return {"token_embd.weight": words, "output.weight": said, "output_norm.weight": np.ones(WIDTH, np.float32)}


def windowed(path: Path, *, window: int) -> Path:
    """Write a gemma3 model: five of its six layers see the last `window` tokens only."""
    some, layers, heads, size, inner = np.random.default_rng(1), 6, 2, 16, 64
    keys = _common("gemma3", layers) | {
        "gemma3.feed_forward_length": inner,
        "gemma3.attention.head_count": heads,
        "gemma3.attention.head_count_kv": heads,
        "gemma3.attention.key_length": size,
        "gemma3.attention.value_length": size,
        "gemma3.attention.sliding_window": window,
    }

    def drawn(*shape: int) -> NDArray[np.float32]:
        return some.normal(0, 0.5, shape).astype(np.float32)

    weights = _outside(some)
    for i in range(layers):
        named = {
            "attn_norm": np.ones(WIDTH, np.float32),
            "attn_q": drawn(heads * size, WIDTH),
            "attn_k": drawn(heads * size, WIDTH),
            "attn_v": drawn(heads * size, WIDTH),
            "attn_output": drawn(WIDTH, heads * size),
            "post_attention_norm": np.ones(WIDTH, np.float32),
            "attn_k_norm": np.ones(size, np.float32),
            "attn_q_norm": np.ones(size, np.float32),
            "ffn_norm": np.ones(WIDTH, np.float32),
            "ffn_gate": drawn(inner, WIDTH),
            "ffn_up": drawn(inner, WIDTH),
            "ffn_down": drawn(WIDTH, inner),
            "post_ffw_norm": np.ones(WIDTH, np.float32),
        }
        weights |= {f"blk.{i}.{name}.weight": values for name, values in named.items()}
    return _write(path, keys, weights)


def recurrent(path: Path) -> Path:
    """Write a mamba model: its state holds all that was read at once and can't be cut."""
    some, layers, inner, state, rank, kernel = np.random.default_rng(1), 2, 2 * WIDTH, 16, 4, 4
    keys = _common("mamba", layers) | {
        "mamba.ssm.conv_kernel": kernel,
        "mamba.ssm.inner_size": inner,
        "mamba.ssm.state_size": state,
        "mamba.ssm.time_step_rank": rank,
    }

    def drawn(*shape: int) -> NDArray[np.float32]:
        return some.normal(0, 0.5, shape).astype(np.float32)

    weights = _outside(some)
    for i in range(layers):
        named = {
            "attn_norm.weight": np.ones(WIDTH, np.float32),
            "ssm_in.weight": drawn(2 * inner, WIDTH),
            "ssm_conv1d.weight": drawn(inner, kernel),
            "ssm_conv1d.bias": drawn(inner),
            "ssm_x.weight": drawn(rank + 2 * state, inner),
            "ssm_dt.weight": drawn(inner, rank),
            "ssm_dt.bias": drawn(inner),
            "ssm_a": -np.abs(drawn(inner, state)),
            "ssm_d": drawn(inner),
            "ssm_out.weight": drawn(WIDTH, inner),
        }
        weights |= {f"blk.{i}.{name}": values for name, values in named.items()}
    return _write(path, keys, weights)
