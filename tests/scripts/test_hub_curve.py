"""`scripts/hub_curve`: a hub in a namespace of its own, and what all its suites say together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.cli.eval import data_folder
from scripts.swarms import hub_curve
from scripts.swarms.hub_curve import Wanted, families, measured, section


def figures(suite: str, **at: tuple[float, float, float]) -> dict[str, Any]:
    """One suite as `covey eval --json` prints it: value and interval of each metric."""
    flat = ("all_local", "all_hub", "oracle", "unsure_apgr", "marked_share", "marked_quality")
    metrics = {name: {"value": 0.5, "interval": [0.4, 0.6], "rows": 200} for name in flat}
    for name, (value, low, high) in at.items():
        metrics[name] = {"value": value, "interval": [low, high], "rows": 200}
    return {"suite": f"hub_share_live_{suite}", "metrics": metrics}


def test_each_suite_stands_where_its_intervals_put_it() -> None:
    found = [
        figures("good", apgr=(0.7, 0.6, 0.8), gap=(0.2, 0.1, 0.3), marked_over_random=(0.1, 0.05, 0.2)),
        figures("level", apgr=(0.55, 0.45, 0.6), gap=(0.2, 0.1, 0.3), marked_over_random=(0.0, 0.0, 0.0)),
        figures("bad", apgr=(0.4, 0.3, 0.45), gap=(0.0, -0.1, 0.1), marked_over_random=(-0.1, -0.2, -0.05)),
    ]
    text = section(found, "The hub was somewhere.")
    assert "- Marking is better than random over all shares on: good." in text
    assert "- Marking is not shown to be better than random over all shares on: level." in text
    assert "- Marking is worse than random over all shares on: bad." in text
    assert "- The hub is better than this device on: good, level." in text
    assert "- What Covey hands over as it stands is not shown to be better chosen than at random on: level." in text
    assert (
        "0.700 (0.600 to 0.800) | 0.500 (0.400 to 0.600) | 50% | 0.500 | 0.400 |" in text
        and "The hub was somewhere." in text
    )


def test_there_are_at_least_four_families() -> None:
    assert len(families()) >= 4


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_few_rows_are_asked_here_and_of_a_hub_in_a_namespace_of_its_own(tmp_path: Path, models_home: Path) -> None:
    if not data_folder().is_dir():
        pytest.skip(f"the data sets are not in {data_folder()}")
    where, (found,) = measured(tmp_path, models_home / "models", Wanted(["hub_share_live_maths"], limit=2))
    assert found["rows"] == 2 and found["errors"] == {} and found["metrics"]["apgr"]["rows"] == 2
    assert f"{hub_curve.LARGER} at the hub" in found["models"] and hub_curve.SMALL in found["models"]
    assert "namespace" in where
