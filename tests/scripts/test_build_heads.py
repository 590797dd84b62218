"""What comparing a rebuilt head with the shipped one promises: a changed figure, row or label is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.heads import head
from scripts.heads import about, same
from scripts.heads.table import HEADS

ABOUT: dict[str, Any] = {
    "labels": 3,
    "encoder": "e",
    "command": "scripts/build_heads toy",
    "data": [{"name": "set", "rows": 10, "sha256": "0"}],
    "measured": {
        "accuracy": {"value": 0.9, "interval": [0.8, 1.0], "rows": 50},
        "error": 0.02,
        "by": {"a": {"value": 1}},
    },
}


def differing(tmp_path: Path, **changes: object) -> list[str]:
    for folder, content in (("old", ABOUT), ("new", ABOUT | changes)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "toy.json").write_text(json.dumps(content))
    return same.differences("toy", tmp_path / "old", tmp_path / "new")


def test_equal_heads_differ_in_nothing(tmp_path: Path) -> None:
    assert differing(tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": 4}, "labels was 3 and is 4"),
        ({"data": [{"name": "set", "rows": 11, "sha256": "1"}]}, "data was"),
        ({"measured": ABOUT["measured"] | {"accuracy": {"value": 0.93}}}, "accuracy was 0.9000 and is 0.9300"),
        ({"measured": ABOUT["measured"] | {"error": 0.03}}, "error was 0.0200"),
        ({"measured": ABOUT["measured"] | {"by": {"a": {"value": 0.9}}}}, "by.a was 1.0000"),
        ({"measured": {"accuracy": {"value": 0.9}}}, "error is gone"),
    ],
)
def test_what_differs_is_said(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    assert any(says in line for line in differing(tmp_path, **changes))


def test_another_rounding_is_no_difference(tmp_path: Path) -> None:
    assert differing(tmp_path, measured=ABOUT["measured"] | {"error": 0.024}) == []


def test_one_row_of_few_is_no_difference(tmp_path: Path) -> None:
    one_of_fifty = ABOUT["measured"] | {"accuracy": {"value": 0.92, "rows": 50}}
    assert differing(tmp_path, measured=one_of_fifty) == []


def test_a_check_writes_nothing_into_the_shipped_folder(tmp_path: Path) -> None:
    assert about.place_of(head.FOLDER) == head.FOLDER
    with about.into(tmp_path):
        assert about.place_of(head.FOLDER) == tmp_path
    assert about.place_of(head.FOLDER) == head.FOLDER


def test_every_shipped_head_can_be_built_again() -> None:
    assert {path.stem for path in head.FOLDER.glob("*.npz")} <= set(HEADS)
