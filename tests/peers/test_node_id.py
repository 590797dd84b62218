"""A node id survives being read out and typed; what was mistyped is found."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.errors import BadNodeId
from peers.node_id import ALPHABET, is_node_id, of_key, parse, readable, short

IDS = st.binary(max_size=40).map(of_key)


@given(IDS)
def test_what_is_shown_can_be_typed(node: str) -> None:
    node_id = of_key(node.encode())
    shown = readable(node_id)
    assert len(shown) == 63
    assert parse(shown) == node_id
    assert is_node_id(node_id)
    assert shown.startswith(short(node_id))


def test_case_spaces_dashes_and_misreads_do_not_matter() -> None:
    node = of_key(b"O, I and B are mistaken for digits, number 9")
    shown = readable(node)
    assert {"O", "I", "B"} <= set(shown)
    typed = shown.lower().replace("-", "  ").replace("o", "0").replace("i", "1").replace("b", "8")
    assert parse(f" {typed}\n") == node
    assert parse(shown.replace("-", " – ")) == node


@given(IDS, st.integers(0, 55), st.sampled_from(ALPHABET))
def test_one_wrong_letter_is_found(node: str, place: int, letter: str) -> None:
    letters = readable(of_key(node.encode())).replace("-", "")
    if letters[place] != letter:
        with pytest.raises(BadNodeId):
            parse(letters[:place] + letter + letters[place + 1 :])


def test_every_two_letters_that_changed_places_inside_a_quarter_or_beside_each_other_are_found() -> None:
    for number in range(20):
        letters = readable(of_key(bytes([number]))).replace("-", "")
        near = [(a, b) for a in range(56) for b in range(a + 1, 56) if a // 14 == b // 14 or b == a + 1]
        for a, b in near:
            swapped = list(letters)
            swapped[a], swapped[b] = swapped[b], swapped[a]
            if swapped != list(letters):
                with pytest.raises(BadNodeId):
                    parse("".join(swapped))


def test_a_guess_does_not_pass() -> None:
    draw = random.Random(1)
    passed = 0
    for _ in range(2000):
        try:
            parse("".join(draw.choices(ALPHABET, k=56)))
            passed += 1
        except BadNodeId:
            pass
    assert passed == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has 56 letters and digits, but this has 0"),
        ("A" * 55, "this has 55"),
        ("A" * 57, "this has 57"),
        ("A" * 55 + "9", "not '9'"),
        ("Ä" * 56, "not 'Ä'"),
        ("A" * 14 + "B" + "A" * 41, "second quarter, BAAAAAA-AAAAAAA"),
    ],
)
def test_the_error_says_which_part_to_read_again(text: str, words: str) -> None:
    with pytest.raises(BadNodeId, match=words):
        parse(text)


@pytest.mark.parametrize("text", ["", "a" * 52, "A" * 51, "A" * 53, "A" * 51 + "B", "A" * 51 + "\n"])
def test_the_wire_knows_only_one_form(text: str) -> None:
    assert not is_node_id(text)
