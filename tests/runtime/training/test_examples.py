"""Examples in a file: which rows are read, how many are kept, and what is doubted about them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from runtime.errors import DocumentInvalid, DocumentMissing, UsageError
from runtime.training.doubts import doubts, near_labels
from runtime.training.examples import LEAST_EACH, MAX_TEXT_CHARS, Columns, Examples, read
from tests.runtime.training.tables import table


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "Text,Label\nthe invoice,billing\n"),
        ("a.csv", " LABEL ;id; Message\nbilling;7;the invoice\n"),
        ("a.tsv", "category\tbody\nbilling\tthe invoice\n"),
        ("a.csv", "\ufefftext,label\r\nthe invoice,billing\r\n\r\n"),
        ("a.csv", 'text,label\n"the invoice","billing "\n'),
        ("a.jsonl", '{"Text": "the invoice", "Label": "billing"}\n\n'),
        ("a.txt", '{"label": "billing", "text": "the invoice"}\n'),
    ],
)
def test_columns_are_found_by_their_usual_names(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (row,) = read(tmp_path / name).rows
    assert (row.text, row.label) == ("the invoice", "billing")


def test_columns_may_be_named(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", [("the invoice", "billing")], ("what they wrote", "desk"))
    (row,) = read(file, Columns("What they wrote", "desk")).rows
    assert (row.text, row.label) == ("the invoice", "billing")
    with pytest.raises(UsageError, match="--text-column"):
        read(file)
    with pytest.raises(UsageError, match=r"no column 'nothing'.*what they wrote, desk.*--label-column"):
        read(file, Columns("what they wrote", "nothing"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("text,label\nJosé,billing\n".encode("cp1252"), r"not UTF-8 text \(byte 0xe9, line 2\)"),
        ("text,label\nJosé,billing\n".encode("utf-16"), "not UTF-8 text: it looks like UTF-16"),
        (b"", "is empty. Its first line names the columns"),
        (b'{"text": "a", "label": "b"}\nnot json\n', "line 2 is not JSON"),
        (b'{"text": "a", "label": "b"}\n[1]\n', "line 2 is no JSON object"),
        (b"text,label\nhello," + b"x" * 101 + b"\n", "a label of 101 characters"),
        (b"text,label\n" + b"".join(b"t,l%d\n" % n for n in range(501)), "more than 500 different labels"),
        (b'text,label\n"' + b"x" * 1_000_001 + b'",a\n', "no CSV file that can be read"),
    ],
)
def test_a_file_that_can_not_be_read_is_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DocumentInvalid, match=sentence) as caught:
        read(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DocumentMissing, match="Check the path"):
        read(tmp_path / "a.csv")


def test_rows_without_text_or_label_are_counted_and_repeats_used_once(tmp_path: Path) -> None:
    rows = [("one", "a"), ("", "a"), ("  ", "b"), ("two", ""), ("One ", "a"), ("one", "a"), ("x" * 9000, "b")]
    found = read(table(tmp_path / "a.csv", rows))
    assert (found.empty_texts, found.empty_labels, found.repeated, found.shortened) == (2, 1, 2, 1)
    assert [len(row.text) for row in found.rows] == [3, MAX_TEXT_CHARS]
    said = " ".join(doubts(found))
    assert "2 rows without text" in said
    assert "1 row without label" in said
    assert "2 rows that repeat" in said


def test_a_long_file_is_sampled_in_proportion_and_rare_labels_stay_whole(tmp_path: Path) -> None:
    rows = [(f"text {n}", "rare" if n % 500 == 0 else "most" if n % 4 else "some") for n in range(6000)]
    file = table(tmp_path / "a.csv", rows)
    found = read(file, cap=600)
    counts = Counter(row.label for row in found.rows)
    assert len(found.rows) == 600
    assert counts["rare"] == found.counts["rare"] == 12 < LEAST_EACH
    assert 2.4 < counts["most"] / counts["some"] < 3.7
    assert found.sampled
    assert found.total == 6000
    assert any("6,000 rows; 600 of them are used" in said for said in doubts(found))
    assert read(file, cap=600) == found, "the same file gives the same sample"


@pytest.mark.slow
def test_a_million_rows_take_the_memory_of_the_kept_ones(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    file = tmp_path / "a.csv"
    with file.open("w") as stream:
        stream.write("text,label\n")
        stream.writelines(f"message number {n} about the weather,{'abcd'[n % 4]}\n" for n in range(1_000_000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(file)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert found.total == 1_000_000
    assert len(found.rows) == 10_000
    assert grown < os.path.getsize(file) / 1024 / 2


def test_labels_that_look_like_one_are_named() -> None:
    labels = ["Billing", "billing", "refund", "refunds", "card_lost", "Card lost", "delivery", "delivrey", "delivry"]
    assert set(near_labels(labels)) == {
        ("Billing", "billing"),
        ("refund", "refunds"),
        ("card_lost", "Card lost"),
        ("delivery", "delivry"),
        ("delivrey", "delivry"),
    }
    assert near_labels(["level 1", "level 2", "cat", "car", "increase", "decrease"]) == []


def test_a_text_with_two_labels_is_named(tmp_path: Path) -> None:
    found = read(
        table(tmp_path / "a.csv", [("the invoice", "billing"), ("The  invoice", "delivery"), ("b", "billing")])
    )
    assert any("1 text has more than one label ('billing' / 'delivery')" in said for said in doubts(found))


def test_labels_with_hardly_a_row_are_named_unless_more_are_known() -> None:
    few = Examples((), {"a": 3, "b": 9})
    assert any("'a' (3)" in said for said in doubts(few))
    assert not any("Too few" in said for said in doubts(few, {"a": 9, "c": 1}))
