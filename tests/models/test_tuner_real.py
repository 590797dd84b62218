"""The real library makes and measures a layout, and the pool then loads what was made."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from models.backend import GenerateCall, Message, whole
from models.backends.llama import open_model
from models.engine.measurer import Measurer
from models.store import Store
from models.tuner import Wish, tune_model

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]


async def test_model_is_tuned_loaded_and_undone(models_home: Path, tmp_path: Path) -> None:
    source = Store(models_home / "models")
    manifest = source.get("smollm2-135m")
    store = Store(tmp_path / "models")
    store.add_blob(source.path(manifest, "model"))
    store.install(manifest)
    tuned = tune_model(manifest, store, Wish(threads=2, bound=1.0, layouts=("q4_0",)), measures=Measurer(600))
    shipped, made = tuned.trials
    assert shipped.perplexity and 5 < shipped.perplexity < 60
    assert made.perplexity and math.isfinite(made.perplexity) and made.perplexity > shipped.perplexity
    assert made.speed and made.speed.prompt_tokens_s > 0 and made.speed.decode_tokens_s > 0
    assert list(store.partial.iterdir()) == []
    model = await open_model(manifest, store, 2)
    try:
        assert tuned.sha256 is None or model.artifacts == (tuned.sha256,)
        finish = await whole(model.generate(GenerateCall((Message("user", "Say hello."),), 8)))
        assert finish.text
    finally:
        await model.close()
    store.forget_tuned(manifest.id)
    assert len(list(store.blobs.iterdir())) == 1
    shutil.rmtree(store.root)
