"""What is said of the weights as shipped is measured on these, also where the owner has tuned the model."""

from __future__ import annotations

import io
from pathlib import Path

from models.manifest import Artifact, Manifest
from models.store import Store
from models.tuned import Trial, Tuned
from runtime import paths
from scripts.benches.setup import Setup

SHIPPED, MADE = b"weights as shipped", b"weights made here"


def _tuned_home(home: Path) -> Setup:
    store = Store(paths.models_dir(home))
    shipped, made = (store.add_blob(io.BytesIO(content)) for content in (SHIPPED, MADE))
    artifact = Artifact(role="model", file="tiny.bin", size_bytes=len(SHIPPED), sha256=shipped)
    store.install(Manifest("tiny", "For tests.", "text", "scripted", (artifact,), "MIT"))
    trial = Trial("bf16", len(MADE), None, None)
    store.keep_tuned(Tuned("tiny", shipped, "bf16", made, len(MADE), 2, 128, 0.02, trial, trial, (), ""))
    return Setup(home, "tiny", full=False)


def test_a_model_as_shipped_is_so_on_a_device_where_it_was_tuned(tmp_path: Path) -> None:
    setup = _tuned_home(tmp_path)
    assert setup.model_file.read_bytes() == MADE
    with setup.as_shipped() as shipped:
        assert shipped.model_file.read_bytes() == SHIPPED
        assert Store(paths.models_dir(shipped.home)).installed().keys() == {"tiny"}
        assert (shipped.model, shipped.full) == (setup.model, setup.full)
    assert not shipped.home.exists()
    assert setup.model_file.read_bytes() == MADE
