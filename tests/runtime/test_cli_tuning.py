"""`covey models tune`: what it prints, and that it can be undone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.add import add_files
from models.store import Store
from models.tuner import Wish, tune_model
from runtime import paths
from runtime.cli.main import main
from tests.models import tiny_gguf
from tests.models.test_tune import ScriptedMeasures


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "home"))
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf.gguf())
    store = Store(paths.models_dir(tmp_path / "home"))
    paths.ensure_home(tmp_path / "home")
    add_files([path], store)
    return store


@pytest.fixture
def tuned(store: Store) -> Store:
    tune_model(store.get("mine"), store, Wish(2, layouts=("q6_k", "q4_0")), measures=ScriptedMeasures())
    return store


def test_tuned_model_says_so_and_shows_before_and_after(tuned: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "tune", "mine"]) == 0
    shown = capsys.readouterr().out
    assert "tuned already" in shown and "covey models tune mine --undo" in shown
    assert "q4_0" in shown and "costs too much quality" in shown
    assert "Before:      260 prompt and 120.0 answer tokens a second" in shown
    assert "After:       480 prompt and 122.0 answer tokens a second (q6_k, 2 threads" in shown


def test_reproducible_mode_is_said_to_use_the_weights_as_shipped(
    tuned: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "tune", "mine"]) == 0
    assert "reproducible" not in capsys.readouterr().out
    paths.settings_file(paths.home()).write_text("reproducible = true\n")
    assert main(["models", "tune", "mine"]) == 0
    assert "With reproducible = true in settings.toml weights are used as shipped" in capsys.readouterr().out


def test_undo_goes_back_to_what_was_shipped(tuned: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "tune", "mine", "--undo", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["status"] == "undone" and row["freed_bytes"] > 0
    assert tuned.tuned(tuned.get("mine")) is None
    assert main(["models", "tune", "mine", "--undo"]) == 0
    assert "was not tuned" in capsys.readouterr().out


def test_json_holds_every_trial(tuned: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "tune", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert (row["id"], row["status"], row["layout"]) == ("mine", "tuned before", "q6_k")
    assert [trial["verdict"] for trial in row["trials"]] == [
        "slower than the one kept",
        "kept",
        "costs too much quality",
    ]
    assert row["after"]["prompt_tokens_s"] > row["before"]["prompt_tokens_s"]


def test_show_names_the_tuning(tuned: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", "mine"]) == 0
    assert "tuned: q6_k, 2 threads, steps of 512 tokens" in capsys.readouterr().out


def test_model_that_can_not_be_run_is_a_sentence(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """The file's header is right and its weights are none: the process that measures says so or ends."""
    assert main(["models", "tune", "mine", "--json"]) == 1
    failed = json.loads(capsys.readouterr().out)
    assert failed["error"]["code"] in ("backend_error", "worker_died", "bad_artifact")
    assert store.tuned(store.get("mine")) is None


@pytest.mark.parametrize("arguments", [["no-such-model"], ["mine", "--guard", "-1"], ["mine", "--guard", "much"]])
def test_wrong_use_is_refused(store: Store, arguments: list[str]) -> None:
    assert main(["models", "tune", *arguments]) == 2


def test_nothing_to_tune_names_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "empty"))
    assert main(["models", "tune"]) == 0
    assert "covey models pull" in capsys.readouterr().out
