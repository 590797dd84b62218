"""Lists and tables are read line by line, running text sentence by sentence, and every piece knows its place."""

from __future__ import annotations

import pytest

from models.passages import sentences, statements

INVOICE = (
    "Meyer & Sons\n12 Harbour Road\n\nReplace tap    95.00\nLabour, 2 hours   120.00\nTotal  215.00\n\n"
    "Thank you. Come again."
)
WRAPPED = (
    "The mill was built in 1821 by a baker who came from the south and who never\n"
    "went back there, because the river had taken the bridge and with it the road\n"
    "to the town. It burned down."
)


def test_lines_of_an_invoice_stand_alone() -> None:
    found = [span.text for span in statements(INVOICE)]
    assert "Labour, 2 hours   120.00" in found
    assert found[-2:] == ["Thank you.", "Come again."]


def test_running_text_that_was_wrapped_is_read_by_sentences() -> None:
    assert [span.text for span in statements(WRAPPED)] == [span.text for span in sentences(WRAPPED)]


@pytest.mark.parametrize("text", ["", "\n\n", "one", INVOICE, WRAPPED, "a\r\nb\r\nc", "x\n" * 300])
def test_every_piece_knows_its_place(text: str) -> None:
    assert all(text[span.start : span.end] == span.text for span in statements(text))
    assert all(span.text.strip() == span.text != "" for span in statements(text))


LETTER = (
    "The rent of 845 euros is due on the third day of each month. Please\n"
    "transfer it to our account. The boiler will be serviced on 9 December;\n"
    "Ms Lindqvist from Warmhaus will ring the bell."
)


def test_a_sentence_that_begins_at_the_end_of_a_line_is_not_cut_there() -> None:
    assert [span.text for span in statements(LETTER)][1:] == [
        "Please\ntransfer it to our account.",
        "The boiler will be serviced on 9 December;\nMs Lindqvist from Warmhaus will ring the bell.",
    ]


def test_running_text_in_a_narrow_column_is_not_a_list() -> None:
    narrow = "The key of the bicycle cellar\nopens the laundry room as well, so\nplease do not lose it"
    assert [span.text for span in statements(narrow)] == [narrow]


def test_a_list_in_small_letters_is_a_list() -> None:
    assert [span.text for span in statements("milk\neggs, ten of them\nbread")] == [
        "milk",
        "eggs, ten of them",
        "bread",
    ]
