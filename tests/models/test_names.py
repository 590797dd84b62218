"""What the finder of names promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.backends.onnx import OnnxEncoder
from models.heads import head, names
from models.heads.names import join, pieces, shapes, words_in
from models.pool import ModelPool
from models.store import Store
from models.types import Digest


def toy(reject: float = 0.5) -> head.Head:
    labels = ("none", "person", "place")
    return head.Head("names", labels, np.eye(3, dtype=np.float32), np.zeros(3, np.float32), 1.0, reject, Digest("0"))


def spans(text: str, sure: dict[str, tuple[float, float, float]]) -> list[tuple[str, str]]:
    words = words_in(text)
    chances = np.array([sure.get(word.text, (1.0, 0.0, 0.0)) for word in words], dtype=np.float32)
    return [(span.kind, text[span.start : span.end]) for span in join(text, words, chances, toy())]


PERSON, PLACE = (0.1, 0.9, 0.0), (0.2, 0.0, 0.8)


def test_neighbouring_words_of_one_kind_are_one_name() -> None:
    text = "I met Ada Lovelace in London and Bob."
    sure = {"Ada": PERSON, "Lovelace": PERSON, "London": PLACE, "Bob": PERSON}
    assert spans(text, sure) == [("person", "Ada Lovelace"), ("place", "London"), ("person", "Bob")]


def test_names_of_two_kinds_or_sentences_stay_apart() -> None:
    assert spans("Ada London", {"Ada": PERSON, "London": PLACE}) == [("person", "Ada"), ("place", "London")]
    assert len(spans("Ada. Ada", {"Ada": PERSON})) == 2


def test_word_that_is_likelier_a_name_of_some_kind_than_not_counts() -> None:
    assert spans("Paris", {"Paris": (0.4, 0.25, 0.35)}) == [("place", "Paris")]
    assert spans("Paris", {"Paris": (0.6, 0.2, 0.2)}) == []


@pytest.mark.parametrize("text", ["", "a", "x. " * 400, "no end " * 300, "\n\n\n", "One.\nTwo! Three? " * 60])
def test_pieces_lose_nothing_and_keep_their_place(text: str) -> None:
    found = list(pieces(text))
    assert "".join(piece for _, piece in found) == text
    assert all(text[start : start + len(piece)] == piece for start, piece in found)


def test_casing_says_nothing_where_all_is_capital_letters() -> None:
    assert shapes(words_in("CALL ADA NOW"))[1][:3] == [0.0, 0.0, 0.0]
    assert shapes(words_in("call Ada now"))[1][:2] == [1.0, 1.0]


@pytest.mark.real
@pytest.mark.skipif(not (head.FOLDER / "names.npz").exists(), reason="the head is not built")
async def test_real_encoder_finds_names_where_they_stand(models_home: Path) -> None:
    text = "Good news!\nMy neighbour Zofia Kowalczyk moved from Gdansk to Rotterdam last May. The weather is fine."
    pool = ModelPool(Store(models_home / "models"), budget_bytes=1 << 30, threads=2)
    try:
        async with pool.encoder(["bge-small-en"]) as encoder:
            assert isinstance(encoder, OnnxEncoder)
            found = await names.find(text, encoder, head.load(names.HEAD))
    finally:
        await pool.close()
    quoted = {text[span.start : span.end] for span in found}
    assert any("Zofia" in quote for quote in quoted)
    assert {"Gdansk", "Rotterdam"} <= quoted
    assert not any("weather" in quote for quote in quoted)
