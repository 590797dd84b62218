"""The page on heads says what their files say."""

from __future__ import annotations

import json
from pathlib import Path

from models.heads.head import FOLDER
from scripts.heads.page import section, write


def test_section_has_every_figure_with_its_interval_and_the_command() -> None:
    about = json.loads((FOLDER / "names.json").read_text(encoding="utf-8"))
    text = section(about)
    assert "`scripts/build_heads names`" in text
    assert all(f"| {figure} |" in text for figure in about["measured"])
    assert all(source["licence"] in text for source in about["data"])


def test_writing_twice_leaves_one_section_and_what_others_wrote(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n", encoding="utf-8")
    write(page, ["names"])
    write(page, ["names"])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Mine\n")
    assert text.count("## The head `names`") == 1
