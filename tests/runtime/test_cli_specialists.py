"""`covey specialists`: what this device can do, and adding to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.cli.main import main

HAIKU = 'name = "haiku"\nrunner = "generate"\nsummary = "Writes haikus."\nmodels = ["smollm2-135m"]\n'


def _file(tmp_path: Path, text: str = HAIKU) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_list_says_what_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["specialists", "list"]) == 0
    said = capsys.readouterr().out
    assert "ready (computed)" in said
    assert "needs a model" in said


def test_adding_shows_up_everywhere_and_removing_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["specialists", "add", _file(tmp_path)]) == 0
    assert "covey models pull smollm2-135m" in capsys.readouterr().out
    assert main(["specialists", "show", "haiku", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["origin"] == "owner"
    assert main(["plan", "rain", "--as", "haiku"]) == 0
    assert "haiku by haiku" in capsys.readouterr().out
    assert main(["specialists", "remove", "haiku"]) == 0
    assert main(["specialists", "show", "haiku"]) == 2
    assert "covey specialists list" in capsys.readouterr().err


def test_a_name_may_stand_before_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["specialists", "add", "haiku", _file(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"added": "haiku", "capability": "haiku"}
    assert main(["specialists", "add", "sonnet", _file(tmp_path)]) == 2


@pytest.mark.parametrize("text", ["name =", HAIKU + "x = 1\n", HAIKU.replace("generate", "magic")])
def test_a_broken_spec_is_not_added(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["specialists", "add", _file(tmp_path, text)]) == 1
    said = capsys.readouterr().err
    assert "mine.toml" in said
    assert said.count("\n") == 1


def test_a_broken_spec_in_the_folder_never_stops_an_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVEY_OFFLINE", "1")
    folder = tmp_path / "home" / "specialists"
    folder.mkdir(parents=True)
    (folder / "broken.toml").write_text("name =", encoding="utf-8")
    assert main(["ask", "2 + 2"]) == 0
    assert capsys.readouterr().out == "2 + 2 = 4\n"
    assert main(["specialists", "list", "--json"]) == 0
    (broken,) = json.loads(capsys.readouterr().out)["broken"]
    assert "broken.toml" in broken["reason"]


def test_a_built_in_specialist_can_not_be_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["specialists", "remove", "generate"]) == 2
    assert "not one of your own" in capsys.readouterr().err
