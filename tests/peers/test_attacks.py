"""Every test that ATTACKS.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_attacks_names_only_tests_that_exist() -> None:
    named = re.findall(
        r"`(?:…_|(?=test_|tests/))([\w/.]+)`", (ROOT / "peers" / "ATTACKS.md").read_text(encoding="utf-8")
    )
    tests = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    defined = re.findall(r"def (test_\w+)", tests)
    missing = [
        name
        for name in named
        if not (ROOT / name).is_file() and not any(one == name or one.endswith(f"_{name}") for one in defined)
    ]
    assert len(named) > 30
    assert missing == []
