"""The real library makes and measures a layout, and the pool then loads what was made."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from models.backend import GenerateCall, Message, whole
from models.backends.llama import open_model
from models.engine.measurer import Measurer
from models.store import Store
from models.tune import DEFAULT_BOUND, choose
from models.tuned import Speed
from models.tuner import Wish, tune_model

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

LAYOUT = "q4_0"
"""Perplexity 46 instead of 36 with the model at hand: far beyond the usual bound, whatever it is measured on."""


class SteadySpeeds(Measurer):
    """Makes and measures for real, then tells speeds that no busy machine can turn round: twice those as shipped."""

    def measure(
        self, path: Path, settings: Sequence[tuple[int, int]], *, perplexity: bool
    ) -> tuple[float | None, list[Speed]]:
        found, speeds = super().measure(path, settings, perplexity=perplexity)
        assert all(speed.prompt_tokens_s > 0 and speed.decode_tokens_s > 0 for speed in speeds)
        times = 2 if path.name == f"{LAYOUT}.gguf" else 1
        return found, [Speed(threads, rows, 100.0 * times, 50.0 * times) for threads, rows in settings]


async def test_a_faster_layout_is_kept_loaded_and_undone_and_the_usual_bound_forbids_it(
    models_home: Path, tmp_path: Path
) -> None:
    source = Store(models_home / "models")
    manifest = source.get("smollm2-135m")
    store = Store(tmp_path / "models")
    store.add_blob(source.path(manifest, "model"))
    store.install(manifest)
    tuned = tune_model(manifest, store, Wish(threads=2, bound=1.0, layouts=(LAYOUT,)), measures=SteadySpeeds(600))
    shipped, made = tuned.trials
    assert shipped.perplexity and 5 < shipped.perplexity < 60
    assert made.perplexity and made.perplexity > 1.1 * shipped.perplexity
    assert choose(tuned.trials, DEFAULT_BOUND) is shipped
    assert tuned.layout == LAYOUT and tuned.sha256 is not None
    assert list(store.partial.iterdir()) == []
    model = await open_model(manifest, store, 2)
    try:
        assert model.artifacts == (tuned.sha256,)
        finish = await whole(model.generate(GenerateCall((Message("user", "Say hello."),), 8)))
        assert finish.text
    finally:
        await model.close()
    store.forget_tuned(manifest.id)
    assert len(list(store.blobs.iterdir())) == 1
    shutil.rmtree(store.root)
