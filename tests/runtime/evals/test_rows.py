"""Rows are read from plain and gzipped lines, and a bad one is named by file, row and field."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import DocumentMissing
from runtime.evals.errors import RowsError, SuiteError
from runtime.evals.halves import half
from runtime.evals.rows import Row, read_rows
from runtime.evals.wrap import fill, json_schema, letter, number


def row(**fields: Any) -> Row:
    return Row(3, "tiny.jsonl", fields)


def test_plain_and_gzipped_files_read_alike(tmp_path: Path) -> None:
    lines = '{"id": "a", "text": "ä"}\n\n{"task_id": 7}\n{"text": "no id"}\n'
    (tmp_path / "dev.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "dev.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    plain, zipped = read_rows(tmp_path / "dev.jsonl"), read_rows(tmp_path / "dev.jsonl.gz")
    assert [one.fields for one in plain] == [one.fields for one in zipped]
    assert [one.id for one in plain] == ["a", "7", "line-4"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"id": 1}\n{"id": \n', "row 2: not valid JSON"),
        (b'{"id": 1}\n[1, 2]\n', "row 2: not a JSON object"),
        (b"\xff\xfe\n", "can't be read"),
        (b"\n\n", "holds no rows"),
    ],
)
def test_a_bad_file_is_one_sentence_with_the_row(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "dev.jsonl"
    path.write_bytes(content)
    with pytest.raises(RowsError, match=says):
        read_rows(path)


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dev.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps({"id": "x" * 5000}).encode())[:-12])
    with pytest.raises(RowsError, match="can't be read"):
        read_rows(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentMissing, match="Check the path"):
        read_rows(tmp_path / "dev.jsonl")


def test_a_missing_field_names_file_row_and_field() -> None:
    with pytest.raises(RowsError, match=r"tiny\.jsonl, row 3: the field 'text' is missing"):
        fill({"text": "{text}"}, row(id=1))
    with pytest.raises(RowsError, match=r"'messages\.1\.content' is missing"):
        fill("{messages.1.content}", row(messages=[{"content": "hi"}]))


def test_templates_keep_types_and_fill_texts() -> None:
    given = row(text="hi", labels=["a", "b"], messages=[{"content": "deep"}])
    template = {"text": "Say: {text}!", "labels": "{labels}", "deep": ["{messages.0.content}"], "n": 3}
    assert fill(template, given) == {"text": "Say: hi!", "labels": ["a", "b"], "deep": ["deep"], "n": 3}


def test_an_optional_field_is_left_out_where_the_row_has_none() -> None:
    assert fill("{documents?}", row(id=1)) is None


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(SuiteError, match="no filter 'shout'"):
        fill("{text|shout}", row(text="hi"))


def test_filters_letter_choices_and_mend_schemas() -> None:
    assert fill("{choices|lettered}", row(choices=["x", "y"])) == "A. x\nB. y"
    assert fill("{answer|letter}", row(answer=2)) == "C"
    schema = {"type": "dict", "properties": {"type": {"type": "float"}, "any": {"type": "any"}}}
    assert json_schema(schema) == {"type": "object", "properties": {"type": {"type": "number"}, "any": {}}}


@pytest.mark.parametrize(
    ("answer", "read"),
    [("B", "B"), ("The answer is (C).", "C"), ("A. red", "A"), ("because", None), (None, None)],
)
def test_a_letter_is_read_from_an_answer(answer: str | None, read: str | None) -> None:
    assert letter(answer) == read


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("so it is 1,250.0 in all.", "1250"),
        ("5 apples and 7 pears make 12.", "12"),
        ("-3", "-3"),
        ("$0.50", "0.5"),
        ("none", None),
        ({"value": "1000", "exact": "1000"}, "1000"),
    ],
)
def test_the_last_number_is_read_from_an_answer(answer: Any, read: str | None) -> None:
    assert number(answer) == read


def test_rows_of_a_group_stay_on_one_side() -> None:
    assert len({half({"id": n, "group": "g"}) for n in range(50)}) == 1
    assert {half({"id": n}) for n in range(50)} == {"tuning", "reporting"}
