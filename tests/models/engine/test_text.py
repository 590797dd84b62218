"""Only whole characters are shown, and nothing from a stop string on."""

from hypothesis import given
from hypothesis import strategies as st

from models.engine.text import TextStream


def run(stream: TextStream, pieces: list[bytes]) -> str:
    shown = ""
    for token, data in enumerate(pieces):
        piece = stream.feed(token, data)
        shown += piece.text if piece else ""
        if stream.stopped:
            break
    rest = stream.end()
    return shown + (rest.text if rest else "")


def test_a_character_split_over_tokens_is_shown_whole() -> None:
    stream = TextStream()
    euro = "€".encode()
    assert stream.feed(1, euro[:1]) is None
    assert stream.feed(2, euro[1:2]) is None
    piece = stream.feed(3, euro[2:])
    assert piece is not None
    assert (piece.text, piece.token_ids, piece.index) == ("€", (1, 2, 3), 0)


def test_bytes_that_are_no_character_become_the_replacement_character() -> None:
    assert run(TextStream(), [b"a", b"\xff", b"b", b"\xe2\x82"]) == "a\ufffdb\ufffd"


def test_a_stop_string_across_tokens_is_never_shown() -> None:
    assert run(TextStream(["END"]), [b"one E", b"N", b"D two"]) == "one "


def test_what_only_began_like_a_stop_string_is_shown_in_the_end() -> None:
    assert run(TextStream(["END"]), [b"one E", b"N"]) == "one EN"


def test_tokens_that_the_asker_has_are_counted_but_not_shown_again() -> None:
    stream = TextStream()
    stream.skip(11, b"Hel")
    stream.skip(12, b"lo ")
    piece = stream.feed(13, b"you")
    assert piece is not None
    assert (piece.index, piece.text, stream.text) == (2, "you", "Hello you")


def test_what_was_held_back_of_a_token_that_the_asker_has_is_not_lost() -> None:
    before, after = TextStream(["END"]), TextStream(["END"])
    piece = before.feed(1, b"ab E")
    assert piece is not None and (piece.text, piece.token_ids) == ("ab ", (1,))
    after.skip(1, b"ab E")
    piece = after.feed(2, b"x")
    assert piece is not None and (piece.text, piece.index) == ("Ex", 1)


def test_stop_string_that_began_before_the_break_still_stops() -> None:
    stream = TextStream(["END"])
    stream.skip(1, b"ab E")
    assert stream.feed(2, b"ND more") is None
    assert stream.stopped and stream.text == "ab "


@given(st.text(alphabet="abE ND€", max_size=30), st.integers(1, 4), st.integers(0, 40))
def test_resumed_answer_neither_repeats_nor_loses_a_character(text: str, size: int, pieces_had: int) -> None:
    """Wherever it breaks off: the asker has whole pieces, and the tokens that these name."""
    data = text.encode()
    tokens = [data[i : i + size] for i in range(0, len(data), size)]
    first = TextStream(["END", "ab"])
    pieces = [piece for n, part in enumerate(tokens) if not first.stopped and (piece := first.feed(n, part))]
    had = pieces[:pieces_had]
    count = sum(len(piece.token_ids) for piece in had)
    resumed = TextStream(["END", "ab"])
    for n in range(count):
        resumed.skip(n, tokens[n])
    rest = [piece for n in range(count, len(tokens)) if not resumed.stopped and (piece := resumed.feed(n, tokens[n]))]
    rest += [piece for piece in [resumed.end()] if piece]
    assert rest[:1] == [] or rest[0].index == count
    assert "".join(piece.text for piece in had + rest) == run(TextStream(["END", "ab"]), tokens)


@given(st.text(), st.lists(st.integers(1, 4), min_size=1))
def test_any_split_shows_the_same_text(text: str, sizes: list[int]) -> None:
    data = text.encode("utf-8", "replace")
    pieces, place = [], 0
    while place < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[place : place + size])
        place += size
    assert run(TextStream(), pieces) == data.decode()


@given(st.text(alphabet="abE ND", max_size=40), st.integers(1, 3))
def test_any_split_stops_at_the_same_place(text: str, size: int) -> None:
    data = text.encode()
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    shown = run(TextStream(["END", "ab"]), pieces)
    ends = [place for stop in ("END", "ab") if (place := text.find(stop)) >= 0]
    assert shown == (text[: min(ends)] if ends else text)
