"""Every hit quotes its source exactly; accents, case and line ends don't hide a phrase."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.search import MAX_HITS, search
from models.specialists.find import claim
from tests.models.exact_runs import others_requests, run, spec
from tests.models.ordinary_requests import NOT_FOR_RULES

LEASE = ("lease.txt", "The deposit is 900 €.\nThe Kündigungsfrist is three months.\nA deposit\nreturn takes 30 days.")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("find 'warranty' in this file", "warranty"),
        ("where does it mention the deposit", "deposit"),
        ("does the document mention parking?", "parking"),
        ('search for "invoice number" in this file', "invoice number"),
        ("search the document for refund", "refund"),
        ("where is the notice period mentioned", "notice period"),
        ("find Müller in these notes", "Müller"),
        ("find all mentions of penicillin in the report", "penicillin"),
        ("find “what if” in the text", "what if"),
    ],
)
def test_search_request_is_claimed_with_its_phrase(text: str, pattern: str) -> None:
    assert claim(text) == {"pattern": pattern}


@pytest.mark.parametrize("text", NOT_FOR_RULES)
def test_ordinary_request_is_not_claimed(text: str) -> None:
    assert claim(text) is None


@pytest.mark.parametrize("text", others_requests("find"))
def test_requests_of_other_specialists_are_not_claimed(text: str) -> None:
    assert claim(text) is None


def test_hits_carry_offsets_evidence_and_lines() -> None:
    result = run("find", {"pattern": "deposit", "documents": [{"name": LEASE[0], "text": LEASE[1]}]})
    assert [item["start"] for item in result.output] == [4, 61]  # type: ignore[union-attr, index, call-overload, misc]
    assert all(LEASE[1][item.start : item.end] == item.quote for item in result.evidence)
    assert "lease.txt, line 3" in result.text
    assert result.confidence == 1.0


@pytest.mark.parametrize("pattern", ["kundigungsfrist", "KÜNDIGUNGSFRIST", "Ku\u0308ndigungsfrist", "deposit return"])
def test_case_accents_and_line_ends_do_not_hide_a_phrase(pattern: str) -> None:
    (hit,) = search(pattern, [LEASE])
    assert hit.score == 1.0
    assert LEASE[1][hit.start : hit.end] == hit.quote


def test_accent_written_as_a_separate_character_stays_in_the_quote() -> None:
    text = "un cafe\u0301 noir"
    (hit,) = search("café", [("a", text)])
    assert hit.quote == "cafe\u0301"


def test_misspelt_phrase_is_found_nearly_and_says_so() -> None:
    result = run("find", {"pattern": "depposit", "documents": [{"name": LEASE[0], "text": LEASE[1]}]})
    assert result.evidence[0].quote == "deposit"
    assert 0.8 <= result.confidence < 1.0
    assert "similar" in result.text


def test_exact_search_finds_no_near_matches() -> None:
    given: dict[str, object] = {"pattern": "depposit", "documents": [{"name": "a", "text": LEASE[1]}], "fuzzy": False}
    result = run("find", given)  # type: ignore[arg-type]
    assert result.output == []
    assert result.text == "No mention of “depposit” in a."


def test_near_and_exact_places_are_not_told_twice() -> None:
    hits = search("deposit", [LEASE], fuzzy=True)
    assert len({(hit.source, hit.start) for hit in hits}) == len(hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_hits_are_bounded() -> None:
    assert len(search("a", [("many", "a " * 10_000)])) == MAX_HITS


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"documents": [{"name": "a", "text": "b"}]}, "needs a text named 'pattern'"),
        ({"pattern": "x"}, "at least one document"),
        ({"pattern": "x", "documents": []}, "at least one document"),
        ({"pattern": "x", "documents": ["a"]}, "'name' and a 'text'"),
        ({"pattern": "x", "documents": [{"name": "a"}]}, "'name' and a 'text'"),
        ({"pattern": "x", "documents": [{"name": "a", "text": "x" * 5_000_001}]}, "give fewer files"),
        ({"pattern": "x" * 1001, "documents": [{"name": "a", "text": "b"}]}, "shorten it"),
        ({"pattern": "\u0301", "documents": [{"name": "a", "text": "b"}]}, "nothing to find"),
        ({"pattern": "x", "documents": [{"name": "a", "text": "b"}], "fuzzy": "yes"}, "true or false"),
    ],
)
def test_wrong_input_is_one_sentence(given: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run("find", given)  # type: ignore[arg-type]


def test_megabytes_are_searched_in_seconds() -> None:
    started = time.perf_counter()
    text = "The quick brown fox jumps over the lazy dog. Größe und Maß.\n" * 80_000
    assert search("a phrase that is not in there at all", [("big", text)]) == []
    assert time.perf_counter() - started < 15


@given(st.text(max_size=200), st.text(min_size=1, max_size=20), st.booleans())
def test_quote_is_always_the_source_between_its_offsets(text: str, pattern: str, fuzzy: bool) -> None:
    try:
        hits = search(pattern, [("a", text)], fuzzy=fuzzy)
    except InputError:
        return
    assert all(text[hit.start : hit.end] == hit.quote and hit.start < hit.end for hit in hits)


@given(
    st.text(max_size=100),
    st.text(alphabet="abcÄéß XYZ", min_size=1, max_size=20).filter(str.strip),
    st.text(max_size=100),
)
def test_phrase_that_is_there_is_found(before: str, phrase: str, after: str) -> None:
    hits = search(phrase.strip(), [("a", f"{before} {phrase} {after}")])
    assert hits
    assert hits[0].score == 1.0


def test_specs_of_specialists_that_read_files_name_a_check() -> None:
    assert spec("find").postconditions == ("evidence_in_source",)
