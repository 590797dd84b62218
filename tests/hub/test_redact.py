"""What redaction promises: it hides, it gives back letter by letter, and it blocks what must not be sent at all."""

from __future__ import annotations

import itertools
import json
import pickle
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import PlaceholderInvented, TextTooLong
from hub.redact import MAX_CHARS, detect, redact
from hub.spans import Kind, Span, joined
from hub.vault import Vault

BLOCKED = Path(__file__).parents[1] / "data" / "blocked.jsonl"


class Names:
    """Finds given names; a stand-in for the trained head."""

    def __init__(self, names: dict[str, Kind]) -> None:
        self._names = names

    def find(self, text: str) -> Sequence[Span]:
        return [
            Span(kind, at, at + len(name), sure=False)
            for name, kind in self._names.items()
            for at in range(len(text))
            if text.startswith(name, at)
        ]


NAMES = Names({"Marta Lindqvist": Kind.PERSON, "Ashbourne": Kind.PLACE, "Hollow Oak": Kind.ORGANIZATION})


def test_what_tells_who_is_replaced_and_comes_back() -> None:
    text = "Write to Marta Lindqvist (marta@example.org, +44 20 7946 0018) in Ashbourne about card 4111 1111 1111 1111."
    found = redact(text, names=NAMES)
    assert found.text == "Write to [PERSON_1] ([EMAIL_1], [PHONE_1]) in [PLACE_1] about card [CARD_1]."
    assert found.sendable
    assert found.vault.restore(found.text) == text


def test_same_value_has_the_same_placeholder_in_all_texts_of_a_request() -> None:
    vault = Vault()
    first = redact("Is Marta Lindqvist in?", names=NAMES, vault=vault)
    second = redact("Hollow Oak. For Marta Lindqvist: Marta Lindqvist.", names=NAMES, vault=vault)
    assert first.text == "Is [PERSON_1] in?"
    assert second.text == "[ORGANIZATION_1]. For [PERSON_1]: [PERSON_1]."


def test_placeholders_that_came_with_a_document_are_hidden_too_and_come_back_as_they_were() -> None:
    text = "Ignore that. [PERSON_1] is [Email 2], and PHONE_3 is 780-999-2181. [TEXT_1]"
    found = redact(text)
    assert "[PERSON_1]" not in found.text
    assert found.vault.restore(found.text) == text


@pytest.mark.parametrize(
    "answer", ["[PERSON_2]", "ask [PERSON_99]", "[person_1]", "PERSON_1", "[PERSON 1]", "[PERSON_x]"]
)
def test_answer_with_an_invented_or_bent_placeholder_is_not_taken(answer: str) -> None:
    found = redact("Is Marta Lindqvist in?", names=NAMES)
    with pytest.raises(PlaceholderInvented, match="stands for nothing"):
        found.vault.restore(answer)


def test_values_are_not_searched_for_placeholders_again() -> None:
    found = redact("the word [PERSON_1] and x@example.org")
    assert found.vault.restore(found.text) == "the word [PERSON_1] and x@example.org"


def test_owners_words_are_hidden_in_any_letter_case() -> None:
    found = redact("Project  Bluebird and BLUEBIRD, not bluebirds.", words=["bluebird", "project bluebird", " "])
    assert found.text == "[WORD_1] and [WORD_2], not bluebirds."


def test_vault_tells_nothing_and_stays_in_memory() -> None:
    vault = redact("x@example.org").vault
    assert "example" not in repr(vault)
    with pytest.raises(TypeError):
        pickle.dumps(vault)


def _blocked_rows() -> list[tuple[str, str]]:
    rows = [json.loads(line) for line in BLOCKED.read_text(encoding="utf-8").splitlines()]
    return [(row["text"], row["why"]) for row in rows]


@pytest.mark.parametrize(("text", "why"), _blocked_rows())
def test_code_and_secrets_block_a_text_and_ordinary_text_passes(text: str, why: str) -> None:
    found = redact(text)
    if not why:
        assert found.sendable
        return
    assert {"secret": "password", "code": "code"}[why] in " ".join(found.blocked)
    assert found.text == ""
    assert not any(line in reason for line in text.split() if len(line) > 8 for reason in found.blocked)


def test_text_too_long_to_check_is_refused() -> None:
    with pytest.raises(TextTooLong, match="send less"):
        redact("a" * (MAX_CHARS + 1))


PIECES = st.sampled_from(
    [
        "[PERSON_1]",
        "[",
        "]",
        "PERSON_",
        "EMAIL_1",
        "[TEXT_2",
        "x@example.org",
        "4111111111111111",
        " ",
        "Ashbourne",
        "é",
        "\n",
        "Marta Lindqvist",
        "780-999-2181",
        "_1",
        "1",
        "GB82 WEST 1234 5698 7654 32",
        "10.0.0.1",
        "12/3/1990",
        ".",
        "[person 3]",
    ]
)


TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=12)), max_size=14).map("".join)


@settings(deadline=None)
@given(TEXTS)
def test_restore_gives_back_every_text_letter_by_letter(text: str) -> None:
    found = redact(text, words=["é", "lindqvist"], names=NAMES)
    if found.sendable:
        assert found.vault.restore(found.text) == text


@settings(deadline=None)
@given(TEXTS)
def test_spans_are_in_order_apart_and_inside(text: str) -> None:
    spans = detect(text, names=NAMES)
    assert all(left.end <= right.start for left, right in itertools.pairwise(spans))
    assert not spans or spans[-1].end <= len(text)


def test_overlapping_findings_are_one_and_the_surer_gives_the_kind() -> None:
    person, mail = Span(Kind.PERSON, 0, 9, sure=False), Span(Kind.EMAIL, 3, 8)
    assert joined([person, mail]) == (Span(Kind.EMAIL, 0, 9),)
    assert len(joined([Span(Kind.PERSON, 0, 3), Span(Kind.PLACE, 3, 5)])) == 2


@pytest.mark.parametrize(
    "fragment",
    [
        "\n",
        "1",
        "A1",
        "1-",
        "a.",
        "1 ",
        "a1_",
        "12/3/1990",
        "def f(",
        "import a.",
        "select a from b ",
        "word, ",
        "4111111111111111P",
        "token=",
        "password: ",
        "mysql ",
        "Authorization:  ",
        "machine a login ",
        "aB1/",
        'x"  :',
    ],
)
def test_no_text_makes_the_search_long(fragment: str) -> None:
    """Ten thousand signs each, made to lead a search astray; the time limit of every test is the bound."""
    for end in ("", "_", "!"):
        detect(fragment * (10_000 // len(fragment)) + end)
        redact(fragment * (10_000 // len(fragment)) + end)
