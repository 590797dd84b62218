"""Documents: every kind of file becomes text, or one sentence that says why not."""

from __future__ import annotations

import codecs
import hashlib
import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.types import Label, Trust
from runtime import documents
from runtime.documents import Document, parse, read
from runtime.errors import (
    DocumentBinary,
    DocumentEmpty,
    DocumentError,
    DocumentInvalid,
    DocumentMissing,
    DocumentTooLarge,
    DocumentUnreadable,
    exit_code,
)


def pdf(text: str, *, encrypted: bool = False) -> bytes:
    """Return a one-page PDF, written by hand; without text it has an empty page, as a scan has."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b"q Q"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    if not encrypted:
        return bytes(out)
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(bytes(out))))
    writer.encrypt("a password", algorithm="RC4-128")
    locked = io.BytesIO()
    writer.write(locked)
    return locked.getvalue()


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_text_file_is_read_as_untrusted(tmp_path: Path) -> None:
    document = read(write(tmp_path, "note.txt", "Tee um 16 Uhr — für zwei\r\n".encode()))
    assert document.text == "Tee um 16 Uhr — für zwei"
    assert (document.name, document.kind, document.size_bytes) == ("note.txt", "text", 29)
    assert (document.label, document.trust) == (Label.PERSONAL, Trust.UNTRUSTED)
    assert document.digest == hashlib.sha256((tmp_path / "note.txt").read_bytes()).hexdigest()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_unicode_encoding_gives_the_same_text(encoding: str) -> None:
    assert parse("Größe: 3 µm, 東京".encode(encoding), "a.txt").text == "Größe: 3 µm, 東京"


def test_utf_16_of_the_other_byte_order_is_read() -> None:
    assert parse(codecs.BOM_UTF16_BE + "naïve".encode("utf-16-be"), "a.txt").text == "naïve"


def test_an_old_encoding_is_read_with_a_note() -> None:
    document = parse("Café à 3 €".encode("cp1252"), "menu.txt")
    assert document.text == "Café à 3 €"
    assert "Windows-1252" in document.notes[0]


def test_a_page_that_declares_its_encoding_is_believed() -> None:
    page = '<meta charset="windows-1251"><p>Привет</p>'.encode("windows-1251")
    assert parse(page, "a.html").text == "Привет"


@pytest.mark.parametrize("declared", ["no-such", "rot13", "zlib", "idna", "undefined"])
def test_a_page_that_declares_nonsense_is_still_read(declared: str) -> None:
    assert "caf" in parse(f'<meta charset="{declared}"><p>café</p>'.encode("latin-1"), "a.html").text


@pytest.mark.parametrize("data", [b"", b" \n\t", b"\x00\x00", codecs.BOM_UTF8, b"\x01\x02"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentEmpty, match=r"a\.txt"):
        parse(data, "a.txt")


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04\x14\x00",
        b"\x89PNG\r\n\x1a\n",
        b"\x7fELF\x02\x01",
        b"some text\x00with zero bytes",
        bytes(range(1, 256)) * 4,
    ],
)
def test_a_binary_file_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentBinary, match=r"holiday\.dat is "):
        parse(data, "holiday.dat")


def test_half_a_utf_16_file_is_refused() -> None:
    with pytest.raises(DocumentUnreadable, match="UTF-16"):
        parse(codecs.BOM_UTF16_LE + b"a\x00b", "a.txt")


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert parse(b"safe\x1b]0;owned\x07 text\x0c2", "a.txt").text == "safe]0;owned text\n2"


def test_missing_files_and_folders_are_wrong_use(tmp_path: Path) -> None:
    for path, said in [
        (tmp_path / "none.txt", "There is no file"),
        (tmp_path, "is a folder"),
        (tmp_path / ("x" * 300), "There is no file"),
        (write(tmp_path, "f", b"x") / "below", "There is no file"),
        ("a\0b", "zero byte"),
    ]:
        with pytest.raises(DocumentMissing, match=said) as caught:
            read(path)
        assert exit_code(caught.value) == 2


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path, "diary.txt", b"dear diary")
    path.chmod(0)
    with pytest.raises(DocumentUnreadable, match="may not be read"):
        read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_pipe_without_a_writer_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DocumentUnreadable, match="not an ordinary file"):
        read(tmp_path / "pipe")


def test_a_file_of_50_mb_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.txt"
    with path.open("wb") as file:
        file.truncate(50 * 10**6)
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(DocumentTooLarge, match=r"big\.txt is larger than 20 MB"):
        read(path)


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, b"from a pipe\n")
    document = read("-")
    assert (document.name, document.text) == ("standard input", "from a pipe")


def test_an_endless_pipe_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, b"y\n" * (documents.MAX_DOCUMENT_BYTES // 2 + 1))
    with pytest.raises(DocumentTooLarge):
        read("-")


class TestCsv:
    def test_each_row_names_its_columns(self) -> None:
        document = parse(b'name,born\n"Lovelace, Ada",1815\nTuring,1912\n', "people.csv")
        assert document.kind == "csv"
        assert document.text == "name: Lovelace, Ada; born: 1815\nname: Turing; born: 1912"

    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_the_delimiter_is_found(self, delimiter: str) -> None:
        data = "\n".join(delimiter.join(row) for row in [["a", "b", "c"], ["1", "2", "3"]])
        assert parse(data.encode(), "t.csv").text == "a: 1; b: 2; c: 3"

    def test_cells_may_hold_lines(self) -> None:
        assert parse(b'a,b\n"x\ny",2\n', "t.csv").text == "a: x\ny; b: 2"

    def test_a_header_alone_is_shown(self) -> None:
        assert parse(b"a,b\n", "t.csv").text == "a, b"

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b'a,b\n"never closed,2\n', "not a valid table: unexpected end of data"),
            (b"a,b\n1,2,3\n", "line 2 has 3 cells under 2 columns"),
            (b'a,b\n"x"y,2\n', "not a valid table"),
            (b"x" * 200_000, "field larger than field limit"),
        ],
    )
    def test_a_broken_table_is_refused(self, data: bytes, said: str) -> None:
        with pytest.raises(DocumentInvalid, match=said):
            parse(data, "t.csv")


class TestJson:
    def test_one_value_per_line_and_numbers_as_written(self) -> None:
        data = b'{"price":1.10,"tags":["caf\\u00e9","b,{"],"none":{},"big":1e400,"nested":{"a":[1,2]}}'
        assert parse(data, "a.json").text.splitlines() == [
            "{",
            ' "price": 1.10,',
            ' "tags": [',
            '  "café",',
            '  "b,{"',
            " ],",
            ' "none": {},',
            ' "big": 1e400,',
            ' "nested": {',
            '  "a": [',
            "   1,",
            "   2",
            "  ]",
            " }",
            "}",
        ]

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b'{"a": 1,}', "line 1, column"),
            (b'{"a": 1} trailing', "line 1, column 10"),
            (b"{'a': 1}", "not valid JSON"),
            (b'{"a": NaN}', "it has NaN"),
            (b"[" * 100_000, "nested too deeply"),
        ],
    )
    def test_broken_json_is_refused(self, data: bytes, said: str) -> None:
        with pytest.raises(DocumentInvalid, match=said):
            parse(data, "a.json")

    def test_half_letters_do_not_break_what_follows(self) -> None:
        assert parse(b'["\\ud800"]', "a.json").text == '[\n "?"\n]'

    @given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
    def test_what_is_shown_is_the_same_json(self, value: object) -> None:
        import json

        from runtime.formats import json_text

        assert json.loads(json_text(json.dumps(value), "a.json")) == value


class TestHtml:
    def test_a_page_is_read_without_scripts_and_styles(self) -> None:
        page = b"""<!doctype html><html><head><title>Timetable</title><style>p{color:red}</style>
        <script>alert('x')</script></head><body><h1>Trains</h1><p>The <b>first</b> train
        leaves at<br>6:12.</p><script>steal()</script><table><tr><th>to</th><th>at</th></tr>
        <tr><td>Bern</td><td>6:12</td></tr></table><!-- hidden --></body></html>"""
        assert parse(page, "t.html").text.splitlines() == [
            "Timetable",
            "Trains",
            "The first train leaves at",
            "6:12.",
            "to | at",
            "Bern | 6:12",
        ]

    def test_a_page_of_scripts_only_is_empty(self) -> None:
        with pytest.raises(DocumentEmpty, match="holds no text"):
            parse(b"<script>run()</script>", "t.html")

    def test_a_page_nested_without_end_is_read_in_time(self) -> None:
        assert parse(b"<div>" * 20_000 + b"deep", "t.html").text == "deep"

    def test_a_page_that_is_xml_is_read_quietly(self) -> None:
        assert parse(b'<?xml version="1.0"?><html><body><p>hello</p></body></html>', "t.xhtml").text == "hello"


class TestPdf:
    def test_text_is_read(self, tmp_path: Path) -> None:
        document = read(write(tmp_path, "letter.pdf", pdf("The lease ends in May")))
        assert (document.kind, document.text) == ("pdf", "The lease ends in May")

    def test_a_pdf_is_known_by_its_content(self) -> None:
        assert parse(pdf("hello"), "download").kind == "pdf"

    def test_an_encrypted_one_is_a_sentence(self) -> None:
        with pytest.raises(DocumentUnreadable, match="is encrypted"):
            parse(pdf("secret", encrypted=True), "a.pdf")

    def test_one_of_pictures_is_a_sentence(self) -> None:
        with pytest.raises(DocumentUnreadable, match="only pictures"):
            parse(pdf(""), "scan.pdf")

    @pytest.mark.parametrize("data", [b"%PDF-1.4\n", b"%PDF-1.7 nonsense", b"not a pdf at all"])
    def test_a_damaged_one_is_a_sentence(self, data: bytes) -> None:
        with pytest.raises(DocumentUnreadable, match="damaged PDF"):
            parse(data, "a.pdf")

    def test_cut_at_any_byte_it_is_read_or_refused(self) -> None:
        whole = pdf("The lease ends in May")
        for end in range(9, len(whole), 23):
            try:
                assert parse(whole[:end], "a.pdf").text
            except DocumentError:
                pass


@given(st.binary(max_size=200), st.sampled_from([".txt", ".csv", ".json", ".html", ".pdf"]))
def test_any_bytes_become_a_document_or_a_sentence(data: bytes, suffix: str) -> None:
    try:
        document = parse(data, f"a{suffix}")
    except DocumentError as error:
        assert str(error).endswith(".")
    else:
        assert isinstance(document, Document)
        assert document.text.encode("utf-8")
