"""What lies in the current folder is never run in the place of a library, nor in that of Covey itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from models import conversion
from models.backends.llama import LlamaModel
from models.conversion import add_checkpoint
from models.engine.measurer import Measurer
from models.errors import BackendError, WorkerDied
from models.store import Store
from models.types import ModelId
from runtime import doctor
from tests.models.checkpoint_folder import write

SHADOWS = ("queue.py", "dataclasses.py", "shutil.py", "json.py", "models/__init__.py")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fill the current folder with programs that have a library's name; the file is there once one of them ran."""
    folder, mark = tmp_path / "current", tmp_path / "ran"
    for name in SHADOWS:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"open({str(mark)!r}, 'w')\nraise SystemExit(3)\n")
    monkeypatch.chdir(folder)
    return mark


@pytest.fixture
def no_model(tmp_path: Path) -> Path:
    path = tmp_path / "no-model.gguf"
    path.write_bytes(b"this is no model")
    return path


def test_model_is_loaded_by_covey(ran: Path, no_model: Path) -> None:
    with pytest.raises(BackendError) as caught:
        asyncio.run(LlamaModel.load(ModelId("m"), no_model, ()))
    assert not ran.exists() and not isinstance(caught.value, WorkerDied), str(caught.value)


def test_weights_are_measured_by_covey(ran: Path, no_model: Path) -> None:
    with pytest.raises(BackendError) as caught:
        Measurer().measure(no_model, [(1, 8)], perplexity=False)
    assert not ran.exists() and not isinstance(caught.value, WorkerDied), str(caught.value)


def test_checkpoint_is_converted_by_covey(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails on a damaged tokenizer, and where PyTorch is missing, but not on what lies there."""
    monkeypatch.setattr(conversion, "EXTRA", ())
    with pytest.raises(BackendError):
        add_checkpoint(write(tmp_path / "m"), Store(tmp_path / "models"))
    assert not ran.exists()


def test_doctor_tries_the_library_that_is_installed(ran: Path) -> None:
    assert doctor.check_library("json").status == "ok"
    assert not ran.exists()
