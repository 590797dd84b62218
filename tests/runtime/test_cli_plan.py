"""`covey plan` shows what would be done and does nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.cli.main import main


def test_a_plan_shows_stages_steps_and_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "What is 2 + 2?"]) == 0
    said = capsys.readouterr().out
    assert "→ rules" in said
    assert "similar" in said
    assert "calculate by calculate on this device" in said
    assert "arithmetic_recomputes" in said
    assert "expression: 2 + 2" in said


def test_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "What is 2 + 2?", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["capability"] == "calculate"
    assert [stage["stage"] for stage in made["stages"]] == ["rules", "similar"]
    assert made["plan"]["term"] == "s1"
    assert made["problems"] == []


def test_what_nobody_can_do_has_no_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "the colour of Tuesday"]) == 0
    assert "Nothing would run" in capsys.readouterr().out


def test_a_document_is_named_and_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "diary.txt").write_text("dear diary " * 100, encoding="utf-8")
    assert main(["plan", "Summarize this in two sentences", "--file", str(tmp_path / "diary.txt")]) == 0
    said = capsys.readouterr().out
    assert "1 document(s): diary.txt" in said
    assert "dear diary" not in said
    assert "trust untrusted" in said


def test_a_label_narrows_how_far_it_may_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "What is 2 + 2?", "--label", "secret", "--tier", "hub"]) == 0
    assert "label secret, trust owner, not further than device" in capsys.readouterr().out


def test_a_plan_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "What is 2 + 2?"])
    capsys.readouterr()
    main(["traces", "list", "--json"])
    assert "2 + 2" not in capsys.readouterr().out
