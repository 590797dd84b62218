"""What the finder of names promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.backends.onnx import OnnxEncoder
from models.backends.scripted import ScriptedEncoder
from models.errors import BadArtifact
from models.heads import head, names, tagger
from models.heads.tagger import IMPOSSIBLE, Floats, Tagger, viterbi
from models.heads.words import pieces, shapes, words_in
from models.pool import ModelPool
from models.store import Store
from models.types import Digest

TAGS = ("none", "B-person", "I-person", "B-place", "I-place")
ENCODER = ScriptedEncoder(dimensions=3)


def toy(reject: float = 0.0, encoder: Digest = ENCODER.artifacts[0]) -> Tagger:
    """Every step that makes sense is as likely as every other."""
    size = len(TAGS)
    step = np.array([[IMPOSSIBLE if t[0] == "I" and b[1:] != t[1:] else 0.0 for t in TAGS] for b in TAGS], np.float32)
    start = np.array([IMPOSSIBLE if t[0] == "I" else 0.0 for t in TAGS], np.float32)
    eye, zeros = np.eye(size, dtype=np.float32), np.zeros(size, np.float32)
    return Tagger("names", TAGS, eye, zeros, eye, zeros, start, step, zeros, reject, encoder)


def spans(text: str, sure: dict[str, tuple[float, ...]], reject: float = 0.0) -> list[tuple[str, str]]:
    words = words_in(text)
    chances = np.array([sure.get(word.text, (0.96, 0.01, 0.01, 0.01, 0.01)) for word in words], dtype=np.float32)
    found = names.chosen([names.Piece(0, words, chances)], toy(reject))
    return [(span.kind, text[span.start : span.end]) for span in found]


BEGIN, GOES_ON, PLACE = (0.1, 0.8, 0.1, 0.0, 0.0), (0.1, 0.1, 0.8, 0.0, 0.0), (0.2, 0.0, 0.0, 0.8, 0.0)


def test_words_that_go_on_with_a_name_are_one_name() -> None:
    text = "I met Ada Lovelace in London and Bob."
    sure = {"Ada": BEGIN, "Lovelace": GOES_ON, "London": PLACE, "Bob": BEGIN}
    assert spans(text, sure) == [("person", "Ada Lovelace"), ("place", "London"), ("person", "Bob")]


def test_names_beside_each_other_stay_apart() -> None:
    assert spans("Ada, Bob", {"Ada": BEGIN, "Bob": BEGIN}) == [("person", "Ada"), ("person", "Bob")]
    assert spans("Ada London", {"Ada": BEGIN, "London": PLACE}) == [("person", "Ada"), ("place", "London")]


def test_a_name_never_goes_on_without_having_begun() -> None:
    """The path is taken as a whole: a word that says `goes on` alone becomes a name of its own."""
    assert spans("Lovelace", {"Lovelace": (0.05, 0.15, 0.8, 0.0, 0.0)}) == [("person", "Lovelace")]


def test_reject_decides_how_much_is_found() -> None:
    unsure = {"Paris": (0.6, 0.0, 0.0, 0.4, 0.0)}
    assert spans("Paris", unsure) == []
    assert spans("Paris", unsure, reject=1.0) == [("place", "Paris")]


def test_possessive_is_not_part_of_a_name() -> None:
    assert [word.text for word in words_in("Ada's and O'Brien’s")] == ["Ada", "and", "O'Brien"]


def test_best_path_beats_the_best_single_tags() -> None:
    scores: Floats = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], dtype=np.float32))
    step = np.log(np.array([[0.01, 0.99], [0.99, 0.01]], dtype=np.float32))
    assert viterbi(scores, np.zeros(2, np.float32), step) in ([0, 1], [1, 0])


@pytest.mark.parametrize("text", ["", "a", "x. " * 400, "no end " * 300, "\n\n\n", "One.\nTwo! Three? " * 60])
def test_pieces_lose_nothing_and_keep_their_place(text: str) -> None:
    found = list(pieces(text))
    assert "".join(piece for _, piece in found) == text
    assert all(text[start : start + len(piece)] == piece for start, piece in found)


def test_casing_says_nothing_where_all_is_capital_letters() -> None:
    shouted, spoken = "CALL ADA NOW", "call Ada now"
    assert shapes(shouted, words_in(shouted))[1][:3] == [0.0, 0.0, 0.0]
    assert shapes(spoken, words_in(spoken))[1][:2] == [1.0, 1.0]


def test_saved_tagger_reads_back_and_belongs_to_its_encoder(tmp_path: Path) -> None:
    tagger.save(toy(0.5), tmp_path)
    loaded = tagger.load("names", tmp_path)
    assert loaded.tags == TAGS
    assert loaded.reject == pytest.approx(0.5)
    loaded.require(ENCODER)
    with pytest.raises(BadArtifact, match="fitted on another encoder"):
        toy(encoder=Digest("0" * 64)).require(ENCODER)


@pytest.mark.parametrize("keep", [0, 10, 200, -30])
def test_truncated_tagger_is_refused(tmp_path: Path, keep: int) -> None:
    path = tagger.save(toy(), tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadArtifact, match="damaged"):
        tagger.load("names", tmp_path)


def test_tagger_whose_parts_do_not_fit_is_refused(tmp_path: Path) -> None:
    path = tagger.save(toy(), tmp_path)
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "second": arrays["second"][:, :2]})
    with pytest.raises(BadArtifact, match="damaged"):
        tagger.load("names", tmp_path)


@pytest.mark.real
async def test_real_encoder_finds_names_where_they_stand(models_home: Path) -> None:
    text = "Good news!\nMy neighbour Zofia Kowalczyk moved from Gdansk to Rotterdam last May. The weather is fine."
    pool = ModelPool(Store(models_home / "models"), budget_bytes=1 << 30, threads=2)
    try:
        async with pool.encoder(["bge-small-en"]) as encoder:
            assert isinstance(encoder, OnnxEncoder)
            found = await names.find(text, encoder, tagger.load(names.HEAD))
    finally:
        await pool.close()
    quoted = {text[span.start : span.end] for span in found}
    assert {"Zofia Kowalczyk", "Gdansk", "Rotterdam"} <= quoted
    assert not any("weather" in quote for quote in quoted)


def test_shipped_tagger_is_small_and_says_what_it_is() -> None:
    path = head.FOLDER / f"{names.HEAD}.npz"
    known = tagger.load(names.HEAD)
    assert path.stat().st_size <= 2_000_000
    assert {tag.partition("-")[2] for tag in known.tags[1:]} == {
        "person",
        "place",
        "address",
        "organization",
        "nationality",
    }
