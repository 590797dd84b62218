"""A file's kind comes from its content, and only a request that may read files learns it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.errors import InputError
from models.specialists.filetype import claim
from tests.models.exact_runs import others_requests, run
from tests.models.ordinary_requests import NOT_FOR_RULES


@pytest.mark.parametrize(
    "text",
    [
        "what kind of file is this",
        "What type of file is this?",
        "identify this file",
        "what is the file type of this",
        "which format does this file have",
        "what's the mime type of this file",
        "please detect the file type",
    ],
)
def test_question_for_the_kind_of_a_file_is_claimed(text: str) -> None:
    assert claim(text) == {}


@pytest.mark.parametrize("text", NOT_FOR_RULES)
def test_ordinary_request_is_not_claimed(text: str) -> None:
    assert claim(text) is None


@pytest.mark.parametrize("text", others_requests("filetype"))
def test_requests_of_other_specialists_are_not_claimed(text: str) -> None:
    assert claim(text) is None


def test_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_text(
        "import os\n\n\ndef main() -> None:\n    print(os.getcwd())\n\n\nif __name__ == '__main__':\n    main()\n"
    )
    result = run("filetype", {"path": str(path)})
    assert isinstance(result.output, dict)
    assert result.output["type"] == "python"
    assert result.output["mime"] == "text/x-python"
    assert result.text.startswith("holiday.jpg: Python source")
    assert result.confidence == result.output["score"]


def test_request_without_the_right_to_read_learns_nothing(tmp_path: Path) -> None:
    path = tmp_path / "private.txt"
    path.write_text("here")
    for asked in (path, tmp_path / "missing.txt"):
        with pytest.raises(InputError, match="may not read files"):
            run("filetype", {"path": str(asked)}, may_read=False)


def test_folder_missing_empty_and_pipe_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("", "folder"), ("none", "no file"), ("empty", "empty"), ("pipe", "ordinary file")):
        with pytest.raises(InputError, match=words):
            run("filetype", {"path": str(tmp_path / name)})


@pytest.mark.parametrize("given", [{}, {"path": ""}, {"path": 5}, {"path": "a\0b"}, {"path": "x" * 5000}])
def test_wrong_input_is_one_sentence(given: dict[str, object]) -> None:
    with pytest.raises(InputError) as caught:
        run("filetype", given)  # type: ignore[arg-type]
    assert str(caught.value).endswith(".")
