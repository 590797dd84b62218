"""Two devices as their owner uses them: commands and running nodes, real processes, real keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.household import device, pair, run

QUESTION = "What is the capital of France?"


@pytest.mark.real
def test_covey_ask_runs_on_the_device_that_has_the_model(tmp_path: Path, models_home: Path) -> None:
    (tmp_path / "kitchen").mkdir()
    (tmp_path / "kitchen" / "models").symlink_to(models_home / "models")
    with device(tmp_path / "kitchen") as kitchen:
        with device(tmp_path / "laptop") as laptop:
            pair(kitchen, laptop, "kitchen")
            (step,) = laptop.run("plan", QUESTION, "--as", "generate")["plan"]["steps"]
            assert (step["node"], step["tier"]) == ("kitchen", "home")
            told = ask(laptop.home)
            assert (told["node"], told["tier"], told["status"]) == ("kitchen", "home", "completed")
            assert told["bytes_out"] > 100
            trace = laptop.run("traces", "show", told["trace_id"])
            assert trace["bytes_out"] == told["bytes_out"]
            entries = laptop.run("ledger", "list")["entries"]
            assert told["bytes_out"] in [entry["bytes"] for entry in entries if entry["capability"] == "generate"]
            theirs = kitchen.run("ledger", "list")["entries"]
            assert any(entry["capability"] == "generate" for entry in theirs)
        alone = ask(laptop.home)
        assert (alone["node"], alone["tier"]) == ("kitchen", "home")


def ask(home: Path) -> dict[str, object]:
    return run(home, "ask", QUESTION, "--as", "generate")
