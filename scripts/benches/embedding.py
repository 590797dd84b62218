"""What an answer and an embedding that run at once leave each other, and whether texts had better go in batches."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import numpy as np
import onnxruntime
from tokenizers import Encoding, Tokenizer

from models.backend import Delta, GenerateCall, Message
from models.backends import onnx
from models.backends.llama import LlamaModel
from models.manifest import Manifest
from models.store import Store
from runtime import paths
from scripts.benches import texts
from scripts.benches.figures import Report, Row, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "400 texts embedded beside an answer that is being written, and each alone"
SIDES = ("side by side", "alone")
ENCODER = "bge-small-en"
TEXTS = 400
FEWEST_TOKENS, MOST_TOKENS = 5, 150
"""Of a text."""
ALONE_S = 2.0
"""How long the answer is written alone in each round."""
BATCHES = (8, 16)
BATCHED_TEXTS = 200
ANSWER = GenerateCall((Message("user", "Write a long story about a lighthouse."),), 200)


async def run(setup: Setup) -> Report:
    rounds = setup.count(2, 8)
    store = Store(paths.models_dir(setup.home))
    manifest = store.get(ENCODER)
    encoder = await onnx.open_model(manifest, store, setup.threads)
    assert isinstance(encoder, onnx.OnnxEncoder)
    written: tuple[list[float], list[float]] = ([], [])
    embedded: tuple[list[float], list[float]] = ([], [])
    async with setup.loaded() as model:
        for number in range(rounds):
            for side, found in enumerate(await _round(model, encoder, _texts(TEXTS, number))):
                written[side].append(found[0])
                embedded[side].append(found[1])
            say(f"round {number + 1} of {rounds}: {written[0][-1]:.0f} against {written[1][-1]:.0f} tok/s")
    rows = [compared("answer", "tok/s", written), compared(f"{TEXTS} texts embedded", "s", embedded, "lower")]
    rows += await _in_batches(manifest, store, encoder, rounds, setup.threads)
    await encoder.close()
    settings: dict[str, object] = {"rounds": rounds, "tokens_a_text": f"{FEWEST_TOKENS} to {MOST_TOKENS}"}
    return Report("embedding", ABOUT, tuple(rows), SIDES, settings)


def _texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [texts.filler(draw.randint(FEWEST_TOKENS, MOST_TOKENS), seed * 10**6 + i) for i in range(count)]


async def _round(
    model: LlamaModel, encoder: onnx.OnnxEncoder, some: Sequence[str]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (tokens a second, seconds to embed), side by side and alone."""

    async def embed() -> float:
        began = time.perf_counter()
        await encoder.encode(some)
        return time.perf_counter() - began

    async def wait() -> float:
        await asyncio.sleep(ALONE_S)
        return ALONE_S

    beside = await _written(model, embed)
    rate, _ = await _written(model, wait)
    return beside, (rate, await embed())


async def _written(model: LlamaModel, meanwhile: Callable[[], Awaitable[float]]) -> tuple[float, float]:
    """Return the tokens a second that are written while something else goes on, and how long that takes."""
    times: list[float] = []
    begun = asyncio.Event()

    async def write() -> None:
        while True:
            async with aclosing(model.generate(ANSWER)) as items:
                async for item in items:
                    if isinstance(item, Delta):
                        times.extend([time.perf_counter()] * len(item.token_ids))
                        begun.set()

    writing = asyncio.create_task(write())
    try:
        await begun.wait()
        start = time.perf_counter()
        spent = await meanwhile()
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
    return sum(1 for at in times if start < at <= start + spent) / spent, spent


async def _in_batches(
    manifest: Manifest, store: Store, encoder: onnx.OnnxEncoder, rounds: int, threads: int
) -> list[Row]:
    """Return the texts a second: each alone, as a node does it, and in batches of similar length."""
    some = _texts(BATCHED_TEXTS, rounds)
    tokenizer = Tokenizer.from_file(str(store.path(manifest, "tokenizer")))
    model = str(store.path(manifest, "model"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    encoded = sorted(tokenizer.encode_batch(some), key=lambda one: len(one.ids))
    rates: dict[int, list[float]] = {size: [] for size in (1, *BATCHES)}
    for _ in range(rounds):
        for size, found in rates.items():
            began = time.perf_counter()
            if size == 1:
                await encoder.encode(some)
            else:
                await asyncio.to_thread(_compute, session, encoded, size)
            found.append(len(some) / (time.perf_counter() - began))
    return [
        alone("embedding, each text alone" if size == 1 else f"… in batches of {size}", "texts/s", found, "higher")
        for size, found in rates.items()
    ]


def _compute(session: onnxruntime.InferenceSession, encoded: Sequence[Encoding], size: int) -> None:
    for start in range(0, len(encoded), size):
        batch = encoded[start : start + size]
        ids = np.zeros((len(batch), max(len(one.ids) for one in batch)), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, one in enumerate(batch):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        session.run(None, {node.name: feed[node.name] for node in session.get_inputs()})
