"""Rows with a known label: twenty labels from all over the set, and nothing that may have been fitted on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.evals.errors import SuiteSkipped
from runtime.evals.halves import half
from scripts.benches import labelled
from scripts.benches.labelled import LABELS, SUITE

KNOWN = 45


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_DATA", str(tmp_path))
    return tmp_path


def _write(folder: Path, part: str, each: int) -> list[dict[str, str]]:
    rows = [
        {"id": f"{part}-{label}-{n}", "text": f"{part} text {n}\nof {label}", "intent": f"Label_{label:02}"}
        for label in range(KNOWN)
        for n in range(each)
    ]
    (folder / SUITE).mkdir(exist_ok=True)
    (folder / SUITE / f"{part}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return rows


def test_only_rows_of_the_reported_half_are_asked_and_examples_come_from_training(data: Path) -> None:
    _write(data, "train", 3)
    rows = {" ".join(row["text"].split()): row for row in _write(data, "dev", 10)}
    found = labelled.labelled(50)
    assert len(found.labels) == len(set(found.labels)) == LABELS
    assert found.labels[:2] == ("label 00", "label 02")
    assert len(found.asked) == 50
    assert all(half(rows[text]) == "reporting" and label in found.labels for text, label in found.asked)
    assert all(text.startswith("train text 0") for text in found.examples)
    assert "train text 0 of 2 => label 02" in found.system().splitlines()


def test_without_the_data_set_it_says_where_it_belongs(data: Path) -> None:
    with pytest.raises(SuiteSkipped, match="COVEY_DATA"):
        labelled.labelled(50)
