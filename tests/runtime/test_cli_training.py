"""`covey specialists add NAME --examples`, `update` and `--undo`, as a person or a program uses them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.cli.main import main

MAILS = str(Path(__file__).parents[2] / "docs" / "examples" / "mails.csv")
"""Four labels with twelve rows each; the page about specialists shows it."""


def _file(path: Path, rows: list[tuple[str, str]], header: str = "text,label") -> str:
    path.write_text("\n".join([header, *(f'"{text}",{label}' for text, label in rows)]) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["add", "triage", "--examples", "nowhere.csv"], 2, "There is no file"),
        (["add", "--examples", "FILE"], 2, "how it is used"),
        (["add", "triage", "x.toml", "--examples", "FILE"], 2, "Give one name"),
        (["add", "x.toml", "--text-column", "a"], 2, "belong to --examples"),
        (["add", "classify", "--examples", "FILE"], 2, "already here"),
        (["add", "Triage!", "--examples", "FILE"], 2, "small letters"),
        (["add", "triage", "--examples", "FILE", "--label-column", "desk"], 2, "no column 'desk'"),
        (["add", "triage", "--examples", "ONE"], 1, "one label only"),
        (["add", "triage", "--examples", "LATIN"], 1, "not UTF-8"),
        (["add", "triage", "--examples", "FILE"], 1, "covey models pull"),
        (["update", "triage", "--examples", "FILE"], 2, "covey specialists list"),
        (["update", "triage", "--undo"], 2, "covey specialists list"),
        (["update", "triage", "--undo", "--examples", "FILE"], 2, "one of the two"),
        (["update", "triage", "--text-column", "a"], 2, "belong to --examples"),
    ],
)
def test_wrong_use_is_one_sentence_and_an_exit_code(
    arguments: list[str], code: int, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latin.csv").write_bytes("text,label\ncafé,a\n".encode("cp1252"))
    files = {
        "FILE": MAILS,
        "ONE": _file(tmp_path / "one.csv", [(f"text {n}", "only") for n in range(9)]),
        "LATIN": str(tmp_path / "latin.csv"),
    }
    given = [files.get(argument, argument) for argument in arguments]
    assert main(["specialists", *given]) == code
    said = capsys.readouterr()
    assert sentence in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert main(["specialists", *given, "--json"]) == code
    assert sentence in json.loads(capsys.readouterr().out)["error"]["message"]


@pytest.mark.real
@pytest.mark.timeout(240)
def test_triage_from_twelve_examples_each_answers_for_real(
    models_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(models_home / "models")
    assert main(["specialists", "add", "triage", "--examples", MAILS, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    accuracy = made["measured"]["accuracy"]
    assert made["rows"] == accuracy["rows"] == 48
    assert accuracy["interval"][0] <= accuracy["value"] <= accuracy["interval"][1]
    assert accuracy["value"] > 0.85
    assert len(made["measured"]["curve"]) == 4

    assert _answer(["--as", "triage", "they charged me double"], capsys)["answer"] == "billing"
    by_name = _answer(["triage: my package is lost"], capsys)
    assert (by_name["answer"], by_name["specialists"]) == ("delivery", ["triage"])
    assert _answer(["--as", "triage", "what is the capital of France?"], capsys)["abstained"]

    questions = ["what are your opening hours", "is the shop open on Sunday", "do you sell gift cards"]
    questions += ["do you have this in green", "which size is right for me", "is there a shop in Berlin"]
    more = _file(tmp_path / "more.csv", [(text, "question") for text in questions])
    assert main(["specialists", "update", "triage", "--examples", more, "--json"]) == 0
    updated = json.loads(capsys.readouterr().out)
    assert (updated["kept"], updated["version"], updated["added_rows"]) == ("new", 2, 6)
    assert updated["before"]["new_rows"]["value"] == 0 < updated["after"]["new_rows"]["value"]
    assert _answer(["--as", "triage", "do you sell socks"], capsys)["answer"] == "question"

    assert main(["specialists", "update", "triage", "--undo"]) == 0
    assert "back at version 1" in capsys.readouterr().out
    assert _answer(["--as", "triage", "do you sell socks"], capsys)["answer"] != "question"
    assert main(["specialists", "update", "triage", "--undo"]) == 2
    assert main(["specialists", "remove", "triage"]) == 0
    assert not [file for file in (home / "specialists").iterdir() if file.name.startswith("triage")]


def _answer(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main(["ask", *arguments, "--json"]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_the_spec_file_of_the_page_can_be_added(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["specialists", "add", str(Path(MAILS).with_name("chores.toml")), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["added"] == "chores"
