"""What the onnxruntime backend promises, checked with tiny models of the same format."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Encoding

from models.backends import onnx_threads
from models.backends.onnx import OnnxEncoder, OnnxReranker, load
from models.backends.onnx_model import MAX_TEXT_CHARS, SLICE_TEXTS, session_options
from models.errors import BackendError, BadArtifact, InputError
from models.manifest import Artifact, Manifest
from tests.models.tiny_onnx import DIMENSIONS, write_encoder, write_scorer, write_tokenizer

SHA = "ab" * 32


def manifest(**changes: object) -> Manifest:
    fields: dict[str, object] = {
        "id": "tiny",
        "summary": "a test model",
        "kind": "encoder",
        "backend": "onnx",
        "artifacts": (Artifact("model", "model.onnx", sha256=SHA), Artifact("tokenizer", "tokenizer.json")),
        "licence": "CC0-1.0",
        "context_tokens": 8,
        "max_context_tokens": 8,
        "dimensions": DIMENSIONS,
        "pooling": "cls",
    }
    return Manifest(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def encoder(tmp_path: Path) -> OnnxEncoder:
    files = write_encoder(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    return OnnxEncoder(manifest(pooling="mean"), *files, 2)


@pytest.fixture
def reranker(tmp_path: Path) -> OnnxReranker:
    files = write_scorer(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    return OnnxReranker(manifest(kind="reranker", dimensions=None), *files, 2)


async def _encode(encoder: OnnxEncoder, texts: list[str]) -> np.ndarray:
    return await encoder.encode(texts)


def test_vectors_are_unit_and_in_the_order_asked(encoder: OnnxEncoder) -> None:
    texts = [f"w{n % 12} w{(n * 5) % 12}" * (1 + n % 3) for n in range(50)]
    together = asyncio.run(_encode(encoder, texts))
    assert together.shape == (50, DIMENSIONS)
    assert np.allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-6)
    for text, vector in zip(texts, together, strict=True):
        assert np.array_equal(asyncio.run(_encode(encoder, [text]))[0], vector)


def test_no_texts_give_no_vectors(encoder: OnnxEncoder) -> None:
    assert asyncio.run(_encode(encoder, [])).shape == (0, DIMENSIONS)


def test_cls_and_mean_pooling_differ(tmp_path: Path) -> None:
    files = write_encoder(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    by_cls = OnnxEncoder(manifest(), *files, 1)
    same = asyncio.run(_encode(by_cls, ["w1", "w2 w3"]))
    assert np.array_equal(same[0], same[1])  # a table has one vector for every first token
    by_mean = asyncio.run(_encode(OnnxEncoder(manifest(pooling="mean"), *files, 1), ["w1", "w2 w3"]))
    assert not np.array_equal(by_mean[0], by_mean[1])


def test_text_beyond_the_context_still_counts(encoder: OnnxEncoder) -> None:
    head = " ".join(["w1"] * 6)
    vectors = asyncio.run(_encode(encoder, [head, f"{head} w11 w11 w11 w11 w11 w11"]))
    assert not np.allclose(vectors[0], vectors[1], atol=0.05)


def test_token_states_carry_character_places(encoder: OnnxEncoder) -> None:
    text = "w1  w2 w3 w4 w5 w6 w7"
    states = asyncio.run(_states(encoder, text))
    assert [text[a:b] for a, b in states.offsets] == text.split()
    assert states.states.shape == (7, DIMENSIONS)


async def _states(encoder: OnnxEncoder, text: str):  # type: ignore[no-untyped-def]
    return await encoder.states(text)


def test_control_tokens_typed_by_a_user_stay_text(encoder: OnnxEncoder) -> None:
    states = asyncio.run(_states(encoder, "w1 [SEP] w2"))
    assert len(states.offsets) == 5  # w1, three pieces of plain text, w2


def test_far_too_long_text_is_refused_before_work(encoder: OnnxEncoder) -> None:
    with pytest.raises(InputError, match="too long"):
        asyncio.run(_encode(encoder, ["w1 " * (MAX_TEXT_CHARS // 3 + 1)]))
    with pytest.raises(InputError, match="split it into parts"):
        asyncio.run(_encode(encoder, ["w1 " * 1000]))


def test_scores_are_probabilities_and_follow_the_passage(reranker: OnnxReranker) -> None:
    scores = asyncio.run(_scores(reranker, "w1", ["w2", "w11", "w8", "w2"]))
    assert scores.shape == (4,)
    assert ((scores > 0) & (scores < 1)).all()
    assert scores.argmax() == 1
    assert scores[0] == scores[3]


def test_a_long_passage_scores_as_its_best_window(reranker: OnnxReranker) -> None:
    filler = "w2 " * 20
    alone, buried = asyncio.run(_scores(reranker, "w1", ["w11", f"{filler}w11 {filler}"]))
    assert alone == buried


def test_a_long_query_leaves_room_for_the_passage(reranker: OnnxReranker) -> None:
    scores = asyncio.run(_scores(reranker, "w1 " * 50, ["w11", "w2"]))
    assert scores[0] > scores[1]


async def _scores(reranker: OnnxReranker, query: str, passages: list[str]) -> np.ndarray:
    return await reranker.scores(query, passages)


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_damaged_model_file_is_named_with_the_next_step(tmp_path: Path, keep: int) -> None:
    model = write_encoder(tmp_path / "model.onnx")
    model.write_bytes(model.read_bytes()[:keep])
    with pytest.raises(BadArtifact, match=r"model\.onnx is damaged.*covey models pull tiny"):
        asyncio.run(load(manifest(), model, write_tokenizer(tmp_path / "tokenizer.json"), 1))


def test_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text('{"version": "1.0", "model"')
    with pytest.raises(BadArtifact, match=r"tokenizer\.json is damaged"):
        asyncio.run(load(manifest(), write_encoder(tmp_path / "model.onnx"), tokenizer, 1))


def test_missing_file_says_pull(tmp_path: Path) -> None:
    with pytest.raises(BadArtifact, match="covey models pull tiny"):
        asyncio.run(load(manifest(), tmp_path / "none.onnx", write_tokenizer(tmp_path / "tokenizer.json"), 1))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_text_of_no_tokens_has_a_vector_too(tmp_path: Path, pooling: str) -> None:
    """Some tokenizers put no mark at the ends of a text."""
    model, tokenizer = write_encoder(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    tokenizer.write_text(json.dumps({**json.loads(tokenizer.read_text()), "post_processor": None}))
    vectors = asyncio.run(_encode(OnnxEncoder(manifest(pooling=pooling), model, tokenizer, 1), ["", "w1"]))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_half_a_character_is_read_as_an_unknown_one(encoder: OnnxEncoder) -> None:
    vectors = asyncio.run(_encode(encoder, ["w1 \ud800", "w1 \ufffd"]))
    assert (vectors[0] == vectors[1]).all()


def test_vectors_that_are_no_numbers_go_to_nobody(tmp_path: Path) -> None:
    """JSON can't carry them, and who compares them gets nonsense without a word."""
    files = write_encoder(tmp_path / "model.onnx", lost="w5"), write_tokenizer(tmp_path / "tokenizer.json")
    encoder = OnnxEncoder(manifest(), *files, 1)
    assert asyncio.run(_encode(encoder, ["w4"])).shape == (1, DIMENSIONS)
    with pytest.raises(BackendError, match="tiny gives no numbers for this text"):
        asyncio.run(_encode(encoder, ["w4", "w5 w1"]))


def test_manifest_that_promises_other_dimensions_is_refused(tmp_path: Path) -> None:
    files = write_encoder(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(BadArtifact, match="vectors of 4 numbers"):
        asyncio.run(load(manifest(dimensions=384), *files, 1))


def test_kind_decides_the_class_and_digests_are_reported(tmp_path: Path) -> None:
    files = write_scorer(tmp_path / "model.onnx"), write_tokenizer(tmp_path / "tokenizer.json")
    loaded = asyncio.run(load(manifest(kind="reranker", dimensions=None), *files, 1))
    assert isinstance(loaded, OnnxReranker)
    assert loaded.artifacts == (SHA,)
    assert loaded.memory_bytes > 0


def test_event_loop_stays_free_while_encoding(encoder: OnnxEncoder) -> None:
    async def run() -> int:
        work = asyncio.ensure_future(encoder.encode(["w1 w2 w3"] * 3000))
        turns = 0
        while not work.done():
            await asyncio.sleep(0)
            turns += 1
        await work
        return turns

    assert asyncio.run(run()) > 100


def test_cancelling_leaves_the_encoder_usable(encoder: OnnxEncoder) -> None:
    async def run() -> np.ndarray:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await encoder.encode(["w1 w2 w3"] * 20000)
        return await encoder.encode(["w1"])

    assert asyncio.run(run()).shape == (1, DIMENSIONS)


def test_closed_encoder_refuses_work(encoder: OnnxEncoder) -> None:
    async def run() -> None:
        await encoder.close()
        await encoder.encode(["w1"])

    with pytest.raises(BackendError, match="closed"):
        asyncio.run(run())


def test_the_library_keeps_no_threads_of_its_own_and_none_that_spin() -> None:
    options = session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    for pool in ("intra_op", "inter_op"):
        assert options.get_session_config_entry(f"session.{pool}.allow_spinning") == "0"


class Watched(OnnxEncoder):
    """Notes which texts are computed, and in which threads."""

    def __init__(self, folder: Path, threads: int) -> None:
        files = write_encoder(folder / "model.onnx"), write_tokenizer(folder / "tokenizer.json")
        self.lengths: list[int] = []
        self.used: set[int] = set()
        super().__init__(manifest(pooling="mean"), *files, threads)

    def _pool(self, encoding: Encoding) -> np.ndarray:
        self.lengths.append(len(encoding.ids))
        self.used.add(threading.get_ident())
        return super()._pool(encoding)


def test_texts_of_similar_length_are_computed_together(tmp_path: Path) -> None:
    encoder = Watched(tmp_path, 1)
    asyncio.run(_encode(encoder, ["w1 " * (1 + n % 5) for n in range(4 * SLICE_TEXTS)]))
    assert len(encoder.lengths) == 4 * SLICE_TEXTS
    assert encoder.lengths == sorted(encoder.lengths)


async def test_all_models_together_compute_in_no_more_threads_than_one(tmp_path: Path) -> None:
    models = [Watched(tmp_path, 3) for _ in range(3)]
    many = ["w1 w2"] * (40 * SLICE_TEXTS)
    await asyncio.gather(*(model.encode(many) for model in models))
    assert len(set.union(*(model.used for model in models))) <= 3
    await asyncio.gather(*(model.close() for model in models))


async def test_a_model_that_is_closed_leaves_the_others_their_threads(tmp_path: Path) -> None:
    first, second = Watched(tmp_path, 7), Watched(tmp_path, 7)
    await first.close()
    await first.close()
    assert len(await second.encode(["w1"])) == 1
    with pytest.raises(BackendError, match="ask again"):
        await first.encode(["w1"])
    await second.close()
    with pytest.raises(KeyError):
        onnx_threads.release(7)  # nobody holds them any more
