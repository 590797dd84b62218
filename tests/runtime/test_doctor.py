"""The doctor: each finding is true, and each bad one says what to do."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from models.manifest import Artifact, Manifest
from models.store import Store
from models.tuned import AS_SHIPPED, Speed, Trial, Tuned
from runtime import doctor, paths
from runtime.cli.main import main
from runtime.db import Database
from runtime.doctor import Finding
from tests.models import tiny_gguf


def manifest(name: str, memory_bytes: int) -> Manifest:
    artifacts = (Artifact("model", "model.gguf"),)
    return Manifest(name, "for a test", "text", "scripted", artifacts, "Apache-2.0", memory_bytes=memory_bytes)


SMALL, LARGE = manifest("small", 200 * 10**6), manifest("large", 4 * 10**9)
NEEDS = {"small": 200 * 10**6, "large": 4 * 10**9}

TRIAL = Trial(AS_SHIPPED, 1, 30.0, Speed(2, 512, 100.0, 50.0))
TUNED = Tuned("small", "0" * 64, AS_SHIPPED, None, 1, 2, 512, 0.02, TRIAL, TRIAL, (TRIAL,), "llama-cpp-python 0.3")


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        (doctor.check_python((3, 11)), "ok"),
        (doctor.check_python((3, 10)), "fail"),
        (doctor.check_python((3, 14)), "fail"),
        (doctor.check_sqlite((3, 40, 1)), "ok"),
        (doctor.check_sqlite((3, 31, 0)), "fail"),
        (doctor.check_compiler("/usr/bin/c++"), "ok"),
        (doctor.check_compiler(""), "warn"),
        (doctor.check_disk(10**12, Path("/x")), "ok"),
        (doctor.check_disk(10**9, Path("/x")), "warn"),
        (doctor.check_disk(10**6, Path("/x")), "fail"),
        (doctor.check_models({"small", "large"}, [SMALL, LARGE]), "ok"),
        (doctor.check_models({"large"}, [SMALL, LARGE]), "warn"),
        (doctor.check_tuned([], "0.3"), "ok"),
        (doctor.check_tuned([TUNED], "0.3"), "ok"),
        (doctor.check_tuned([TUNED], "0.4"), "warn"),
        (doctor.check_memory(5 * 10**9, NEEDS), "ok"),
        (doctor.check_memory(10**9, NEEDS), "warn"),
        (doctor.check_memory(10**8, NEEDS), "fail"),
    ],
)
def test_a_check_finds(finding: Finding, status: str) -> None:
    assert finding.status == status
    assert bool(finding.cure) == (status != "ok")


def test_a_missing_model_is_named_with_the_command() -> None:
    assert "covey models pull small" in doctor.check_models(set(), [SMALL]).cure


def test_too_little_memory_names_the_model() -> None:
    assert "too little for large" in doctor.check_memory(10**9, NEEDS).sentence


def test_a_model_is_too_large_with_the_state_that_the_settings_ask_for(tmp_path: Path) -> None:
    weights = tmp_path / "tiny.gguf"
    shape = {"llama.block_count": 32, "llama.embedding_length": 4096, "llama.attention.head_count": 32}
    weights.write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, **shape}))
    store = Store(paths.models_dir(tmp_path))
    made = replace(manifest("roomy", 0), backend="llama", memory_bytes=None, context_tokens=2048)
    artifact = replace(made.artifact("model"), sha256=store.add_blob(weights), size_bytes=weights.stat().st_size)
    store.install(replace(made, artifacts=(artifact,)))
    for settings, large in (("", False), ("reproducible = true", True), ("state_tokens = 20000", True)):
        paths.settings_file(tmp_path).write_text(f"memory_budget_mb = 4000\n{settings}\n")
        said = next(finding.sentence for finding in doctor.examine(tmp_path) if finding.name == "memory")
        assert ("too little for roomy" in said) == large, settings


class TestLibraries:
    def test_one_that_works(self) -> None:
        assert doctor.check_library("json").status == "ok"

    def test_one_that_is_missing(self) -> None:
        finding = doctor.check_library("no_such_library")
        assert (finding.status, "No module named" in finding.sentence) == ("fail", True)

    @pytest.mark.skipif(os.name == "nt", reason="signals are not Windows' way")
    def test_one_that_crashes_does_not_take_the_doctor_along(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "crashing.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        finding = doctor.check_library("crashing")
        assert (finding.status, "SIGILL" in finding.sentence) == ("fail", True)

    def test_one_that_hangs_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "hanging.py").write_text("import time\ntime.sleep(60)\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setattr(doctor, "IMPORT_TIMEOUT_S", 0.3)
        assert "did not start" in doctor.check_library("hanging").sentence


class TestFolder:
    def test_a_folder_that_is_to_be_made_is_fine(self, tmp_path: Path) -> None:
        assert doctor.check_home(tmp_path / "new" / "er").status == "ok"
        assert not (tmp_path / "new").exists(), "the doctor changes nothing"

    def test_the_try_leaves_nothing_behind(self, tmp_path: Path) -> None:
        doctor.check_home(tmp_path)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that nobody can write")
    def test_one_that_can_not_be_written_fails(self) -> None:
        finding = doctor.check_home(Path("/proc/covey"))
        assert (finding.status, "COVEY_HOME" in finding.cure) == ("fail", True)

    @pytest.mark.skipif(os.name == "nt", reason="modes are not Windows' way")
    def test_one_that_others_can_read_is_a_warning(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        finding = doctor.check_privacy(tmp_path)
        assert (finding.status, "chmod 700" in finding.cure) == ("warn", True)
        tmp_path.chmod(0o700)
        assert doctor.check_privacy(tmp_path).status == "ok"


def test_broken_settings_fail_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("threads = 2\nlabel = 'private'\n")
    finding = doctor.check_settings(path)
    assert (finding.status, "line 2" in finding.sentence) == ("fail", True)


class TestJournal:
    def test_none_yet_is_fine_and_none_is_made(self, tmp_path: Path) -> None:
        assert doctor.check_journal(tmp_path / "journal.sqlite3").status == "ok"
        assert list(tmp_path.iterdir()) == []

    def test_a_sound_one(self, tmp_path: Path) -> None:
        with Database(tmp_path / "journal.sqlite3"):
            pass
        assert doctor.check_journal(tmp_path / "journal.sqlite3").sentence == "the journal is sound"

    def test_a_damaged_one_fails_with_the_cure(self, tmp_path: Path) -> None:
        path = tmp_path / "journal.sqlite3"
        path.write_bytes(b"not a database " * 300)
        finding = doctor.check_journal(path)
        assert (finding.status, "mv " in finding.cure) == ("fail", True)


def test_the_command_is_one_object_and_fails_when_something_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "LIBRARIES", ("json",))
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    names = [one["name"] for one in found["findings"]]
    assert {"python", "compiler", "memory", "disk", "folder", "models", "journal", "json"} <= set(names)
    paths.settings_file(tmp_path).write_text("thread = 2\n")
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "FAIL  settings" in shown and "Did you mean 'threads'?" in shown
