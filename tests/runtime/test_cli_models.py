import json
import os
from pathlib import Path
from typing import Any

import pytest

from models import catalog
from models.store import Store
from runtime import paths
from runtime.cli.main import main
from tests.models import tiny_gguf
from tests.models.tiny_wheel import sha256


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf.gguf())
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["models", *arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_list_shows_the_catalog_and_touches_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = run_json(capsys, "list")
    rows = {row["id"]: row for row in shown["models"]}
    assert code == 0 and rows["smollm2-135m"]["starter"] and not rows["smollm2-135m"]["installed"]
    assert rows["gemma3-1b"]["terms"]
    assert main(["models", "list"]) == 0
    assert "smollm2-135m" in capsys.readouterr().out
    assert not home.exists()


def test_added_model_is_listed_shown_verified_and_removed(
    home: Path, own_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, added = run_json(capsys, "add", str(own_model))
    assert code == 0 and [model["id"] for model in added["installed"]] == ["mine"]
    assert Path(added["installed"][0]["files"][0]["path"]).is_file()
    assert any(row["id"] == "mine" and row["installed"] for row in run_json(capsys, "list")[1]["models"])
    assert run_json(capsys, "show", "mine")[1]["licence"] == "MIT"
    assert run_json(capsys, "verify") == (0, {"ok": True, "problems": {"mine": []}})
    code, removed = run_json(capsys, "remove", "mine")
    assert code == 0 and removed == {"removed": ["mine"], "freed_bytes": len(tiny_gguf.gguf())}
    assert run_json(capsys, "verify") == (0, {"ok": True, "problems": {}})


def test_words_for_people_name_the_next_step(home: Path, own_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify"]) == 0
    assert "covey models pull" in capsys.readouterr().out
    assert main(["models", "add", str(own_model), "--name", "house"]) == 0
    assert "Installed house" in capsys.readouterr().out
    assert main(["models", "show", "house"]) == 0
    assert "licence: MIT" in capsys.readouterr().out
    assert main(["models", "verify", "house"]) == 0
    assert "house: sound" in capsys.readouterr().out
    assert main(["models", "remove", "house"]) == 0
    assert "Removed house" in capsys.readouterr().out


def test_damaged_model_fails_verification(home: Path, own_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, added = run_json(capsys, "add", str(own_model))
    path = Path(added["installed"][0]["files"][0]["path"])
    path.write_bytes(bytes(path.stat().st_size))
    code, found = run_json(capsys, "verify", "mine")
    assert code == 1 and not found["ok"] and "damaged" in found["problems"]["mine"][0]
    assert main(["models", "verify"]) == 1
    assert "covey models pull mine" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["pull", "show", "remove", "verify"])
def test_unknown_name_is_wrong_use(home: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, failed = run_json(capsys, command, "no-such-model")
    assert code == 2 and failed["error"]["code"] == "unknown_model"
    assert "covey models list" in failed["error"]["message"]


def test_nothing_is_removed_when_one_name_is_wrong(
    home: Path, own_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_json(capsys, "add", str(own_model))
    assert main(["models", "remove", "mine", "no-such-model"]) == 2
    assert run_json(capsys, "verify")[1]["problems"] == {"mine": []}


def test_a_known_model_that_is_not_here_cannot_be_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, failed = run_json(capsys, "remove", "smollm2-135m")
    assert code == 1 and failed["error"]["code"] == "model_not_installed"


def test_terms_are_shown_and_must_be_accepted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, failed = run_json(capsys, "pull", "gemma3-1b")
    assert code == 1 and failed["error"]["code"] == "terms_not_accepted"
    assert "Gemma Terms of Use" in failed["error"]["message"] and "--accept-terms" in failed["error"]["message"]


def test_starter_set_without_a_network_fails_in_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert main(["models", "pull", "reranker-en", "--json"]) == 1
    out, err = capfd.readouterr()
    failed = json.loads(out)
    assert failed["error"]["code"] == "source_error"
    assert "covey models add FILE" in failed["error"]["message"]
    assert "Traceback" not in err and "licence Apache-2.0" in err


def test_what_is_no_model_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    code, failed = run_json(capsys, "add", str(tmp_path / "notes.txt"))
    assert code == 1 and failed["error"]["code"] == "bad_artifact"
    assert run_json(capsys, "add", str(tmp_path / "none"))[0] == 2


@pytest.mark.parametrize("command", ["list", "pull", "add", "show", "remove", "verify"])
def test_every_command_has_an_example_in_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Example: covey models {command}" in shown and "--json" in shown


def test_a_damaged_manifest_is_mended_by_the_command_that_verify_names(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, folder = tiny_gguf.gguf(), tmp_path / "catalog"
    (tmp_path / "weights").write_bytes(weights)
    folder.mkdir()
    (folder / "tiny.toml").write_text(
        'id = "tiny"\nsummary = "x"\nkind = "text"\nbackend = "llama"\nlicence = "MIT"\n[[artifacts]]\n'
        f'role = "model"\nfile = "m.gguf"\nsize_bytes = {len(weights)}\nsha256 = "{sha256(weights)}"\n'
        f'sources = [{{kind = "file", path = "{tmp_path / "weights"}"}}]\n'
    )
    monkeypatch.setattr(catalog, "FOLDER", folder)
    catalog.catalog.cache_clear()
    try:
        assert run_json(capsys, "pull", "tiny")[0] == 0
        store = Store(paths.models_dir(home))
        (store.manifests / "tiny.json").write_text('{"id": "ti')
        (store.blobs / sha256(weights)).write_bytes(bytes(len(weights)))  # damaged too, and whole by its length
        assert main(["models", "verify"]) == 1
        assert "tiny: its manifest is damaged; run `covey models pull tiny`." in capsys.readouterr().out
        assert run_json(capsys, "show", "tiny")[0] == 0
        assert run_json(capsys, "pull", "tiny")[0] == 0
        assert run_json(capsys, "verify") == (0, {"ok": True, "problems": {"tiny": []}})
    finally:
        catalog.catalog.cache_clear()
