"""How much a language model reads and keeps, and that the node counts all of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from models import gguf
from models import manifest as manifests
from models.backends.llama import LlamaModel
from models.backends.llama_settings import BESIDE_TOKENS, LlamaSettings, OwnersChoice, chosen, footprint, layout_for
from models.backends.scripted import ScriptedText
from models.engine import memory
from models.errors import BadArtifact
from models.manifest import Manifest
from models.pool import ModelPool
from models.store import Store
from models.tuned import Tuned
from models.types import ModelId
from tests.models import tiny_gguf

SHAPE = {"llama.block_count": 16, "llama.embedding_length": 1024, "llama.attention.head_count": 16}
TOKEN_BYTES = 16 * 1024 * 2 * 2


def manifest(name: str = "mine", sha256: str | None = None) -> Manifest:
    artifact = {"role": "model", "file": "m.gguf", "sha256": sha256}
    shape = {"context_tokens": 2048, "max_context_tokens": 8192}
    return manifests.parse(
        {"id": name, "summary": name, "kind": "text", "backend": "llama", "licence": "MIT", "artifacts": [artifact]}
        | shape,
        "test",
    )


@pytest.mark.parametrize(
    ("choice", "context", "state"),
    [
        (OwnersChoice(), 2048, 2048 + BESIDE_TOKENS),
        (OwnersChoice(context_tokens=4096), 4096, 4096 + BESIDE_TOKENS),
        (OwnersChoice(context_tokens=100_000), 8192, 8192 + BESIDE_TOKENS),
        (OwnersChoice(state_tokens=9000), 2048, 9000),
        (OwnersChoice(state_tokens=1000), 1000, 1000),
        (OwnersChoice(reproducible=True), 2048, 8 * 2048),
        (OwnersChoice(reproducible=True, context_tokens=1024, state_tokens=512), 1024, 8 * 1024),
    ],
)
def test_what_the_owner_says_is_what_is_allocated(choice: OwnersChoice, context: int, state: int) -> None:
    settings = chosen(manifest(), choice)
    assert (settings.context_tokens, settings.state_tokens) == (context, state)


def test_a_request_that_fills_its_context_leaves_room_for_short_answers() -> None:
    settings = chosen(manifest())
    assert settings.state_tokens - settings.context_tokens >= 4 * 200


def _tuned() -> Tuned:
    speed = {"threads": 8, "rows": 128, "prompt_tokens_s": 1.0, "decode_tokens_s": 1.0}
    trial = {"layout": "x", "size_bytes": 1, "perplexity": None, "speed": None}
    told = {"id": "mine", "source_sha256": "0" * 64, "layout": "x", "sha256": "1" * 64, "size_bytes": 1, "bound": 0.02}
    return Tuned(**told, threads=speed["threads"], rows=128, before=trial, after=trial, trials=(), library="")  # type: ignore[arg-type]


def test_in_reproducible_mode_weights_stay_as_shipped() -> None:
    assert layout_for(OwnersChoice(reproducible=True), _tuned()) is None
    assert layout_for(OwnersChoice(), _tuned()) == _tuned()


def test_a_tuned_model_never_takes_more_threads_than_the_node_has() -> None:
    settings = chosen(manifest(), OwnersChoice(reproducible=True), threads=2, tuned=_tuned())
    assert (settings.threads, settings.rows, settings.reproducible) == (2, 128, True)


def _size(path: Path) -> int:
    return path.stat().st_size


def _weights(folder: Path, name: str = "m") -> Path:
    path = folder / f"{name}.gguf"
    path.write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, **SHAPE, "general.name": name}))
    return path


def test_reproducible_mode_is_counted_with_the_state_of_all_its_sequences(tmp_path: Path) -> None:
    fast, exact = (
        footprint(manifest(), _weights(tmp_path), chosen(manifest(), OwnersChoice(reproducible)))
        for reproducible in (False, True)
    )
    assert exact > 8 * 2048 * TOKEN_BYTES
    assert exact - fast == (8 * 2048 - (2048 + BESIDE_TOKENS + 2048)) * TOKEN_BYTES


def test_state_that_is_put_by_is_counted(tmp_path: Path) -> None:
    settings, weights = chosen(manifest()), _weights(tmp_path)
    assert settings.shelf_tokens > 0
    counted = footprint(manifest(), weights, settings) - memory.Footprint(_size(weights), 0).total
    assert counted == (settings.state_tokens + settings.shelf_tokens) * TOKEN_BYTES


def test_a_measured_model_is_counted_with_the_state_that_was_not_there_when_it_was_measured(tmp_path: Path) -> None:
    measured = replace(manifest(), memory_bytes=10**9)
    settings = chosen(measured)
    more = settings.state_tokens + settings.shelf_tokens - measured.context_tokens
    assert footprint(measured, _weights(tmp_path), settings) == 10**9 + more * TOKEN_BYTES


@pytest.mark.parametrize(("choice", "left"), [(OwnersChoice(), {"one", "two"}), (OwnersChoice(True), {"two"})])
async def test_two_models_share_the_budget_with_all_their_state(
    tmp_path: Path, choice: OwnersChoice, left: set[str]
) -> None:
    store = Store(tmp_path / "store")
    for name in ("one", "two"):
        store.install(manifest(name, store.add_blob(_weights(tmp_path, name))))

    async def opener(given: Manifest, _store: Store, _threads: int) -> ScriptedText:
        return ScriptedText(name=given.id)

    pool = ModelPool(store, budget_bytes=15 * 10**8, threads=1, openers={"llama": opener}, choice=choice)
    for name in ("one", "two"):
        async with pool.text([name]):
            pass
    assert set(pool.loaded()) == left
    assert sum(pool.loaded().values()) <= 15 * 10**8
    await pool.close()


async def test_what_other_devices_are_told_is_what_the_owner_chose(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.install(manifest("one", store.add_blob(_weights(tmp_path))))
    told = [
        ModelPool(store, budget_bytes=10**9, threads=1, choice=choice).at_hand(["one"])
        for choice in (OwnersChoice(), OwnersChoice(context_tokens=512))
    ]
    assert [one.context_tokens for one in told if one] == [2048, 512]
    more, less = (one.memory_bytes for one in told if one)
    assert more - less == 2 * (2048 - 512) * TOKEN_BYTES  # in the context and on the shelf


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = _weights(tmp_path)
    path.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(BadArtifact):
        footprint(manifest(), path, LlamaSettings())


@pytest.mark.real
@pytest.mark.timeout(120)
@pytest.mark.parametrize("choice", [OwnersChoice(), OwnersChoice(reproducible=True)], ids=["fast", "reproducible"])
async def test_what_is_counted_is_what_the_process_grows_to(models_home: Path, choice: OwnersChoice) -> None:
    """Within a quarter, as soon as it is loaded: the shelf fills later."""
    store = Store(models_home / "models")
    found = store.get("smollm2-135m")
    settings, path = chosen(found, choice), store.path(found, "model")
    model = await LlamaModel.load(ModelId("smollm2-135m"), path, (), settings)
    grown = model.memory_bytes
    await model.close()
    shelf = settings.shelf_tokens * gguf.state_token_bytes(path)
    assert grown == pytest.approx(footprint(found, path, settings) - shelf, rel=0.25)
