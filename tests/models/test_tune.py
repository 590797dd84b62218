"""The fastest layout is kept only when it is good enough, and a run that fails leaves the model as it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

import pytest

from models import tune
from models.add import add_files
from models.backends.llama_settings import chosen, footprint
from models.backends.scripted import ScriptedText
from models.catalog import catalog
from models.errors import BackendError, BadArtifact, InputError, NotInstalled, StoreError, StoreFull, WorkerDied
from models.lock import exclusive
from models.manifest import Manifest
from models.pool import ModelPool
from models.store import SPARE_BYTES, Store
from models.tuned import AS_SHIPPED, Speed, Trial, Tuned, as_run, from_json, to_json
from models.tuner import Wish, tune_model
from tests.models import tiny_gguf

SHIPPED = Speed(2, 512, 260, 120)
PARAMETERS = 64
"""Of the tiny file."""
LAYOUTS = {"as shipped": (36.2, 260.0, 120.0), "q6_k": (36.9, 480.0, 122.0), "q4_0": (46.0, 573.0, 186.0)}
"""Perplexity, prompt and answer tokens a second, as once measured for a model of 135 million weights."""


@dataclass
class ScriptedMeasures:
    """Writes small files and tells figures from a table."""

    figures: dict[str, tuple[float, float, float]] = field(default_factory=lambda: dict(LAYOUTS))
    one_thread: float = 0.6
    """Speed of one thread as a share of that of two."""
    failing: dict[str, BaseException] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    kept_again: float = 1.0
    """Speed of a layout, as a share of the first, when it is measured for the batch sizes."""
    shipped_again: float = 1.0
    """Speed of the weights as shipped, as a share of the first, when they are measured again."""

    def quantize(self, source: Path, target: Path, layout: str, threads: int) -> None:
        target.write_bytes(tiny_gguf.gguf({**tiny_gguf.KEYS, "general.name": layout}))
        if layout in self.failing:
            raise self.failing[layout]

    def measure(
        self, path: Path, settings: Sequence[tuple[int, int]], *, perplexity: bool
    ) -> tuple[float | None, list[Speed]]:
        layout = path.stem if path.suffix == ".gguf" else AS_SHIPPED
        self.asked.append(layout)
        known, prompt, decode = self.figures[layout]
        again = self.shipped_again if self.asked.count(AS_SHIPPED) > 1 and layout == AS_SHIPPED else 1.0
        again = self.kept_again if layout != AS_SHIPPED and not perplexity else again
        shares = [(t, r, again * (1.0 if t > 1 else self.one_thread)) for t, r in settings]
        return known if perplexity else None, [Speed(t, r, prompt * s, decode * s) for t, r, s in shares]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "models")
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf.gguf())
    add_files([path], store)
    return store


def run(store: Store, measures: ScriptedMeasures, *layouts: str, bound: float = 0.02, threads: int = 2) -> Tuned:
    return tune_model(store.get("mine"), store, Wish(threads, bound, layouts or ("q6_k", "q4_0")), measures=measures)


def trial(layout: str, perplexity: float | None, prompt: float = 1, decode: float = 1) -> Trial:
    return Trial(layout, 1, perplexity, None if perplexity is None else Speed(2, 512, prompt, decode))


@pytest.mark.parametrize(
    ("others", "bound", "chosen"),
    [
        ([("q6_k", 36.9, 480, 122), ("q4_0", 46.0, 573, 186)], 0.02, "q6_k"),
        ([("q6_k", 36.9, 480, 122), ("q4_0", 46.0, 573, 186)], 0.3, "q4_0"),
        ([("q6_k", 36.9, 480, 122)], 0.01, AS_SHIPPED),
        ([("q6_k", 36.2, 262, 121)], 0.02, AS_SHIPPED),  # a hundredth is noise
        ([("q8_0", 30.0, 100, 60)], 0.02, AS_SHIPPED),  # better and slower
        ([("q6_k", None, 0, 0)], 0.02, AS_SHIPPED),
        ([], 0.02, AS_SHIPPED),
    ],
)
def test_fastest_layout_within_the_bound_is_chosen(
    others: list[tuple[str, float | None, float, float]], bound: float, chosen: str
) -> None:
    trials = [trial(AS_SHIPPED, 36.2, 260, 120), *(trial(*other) for other in others)]
    assert tune.choose(trials, bound).layout == chosen


def test_what_many_answers_at_once_gain_counts_as_much_as_what_one_alone_loses() -> None:
    shipped = Trial(AS_SHIPPED, 1, 36.2, Speed(2, 512, 500, 150, 250))
    wide = Trial("bf16", 1, 36.2, Speed(2, 512, 500, 140, 500))
    assert tune.choose([shipped, wide], 0.02) is wide
    alone = [replace(one, speed=replace(one.speed, together_tokens_s=None)) for one in (shipped, wide) if one.speed]
    assert tune.choose(alone, 0.02) is alone[0]


def test_layout_that_the_file_has_already_is_not_tried() -> None:
    assert "q8_0" not in tune.layouts_to_try({"q8_0": 100, "f32": 300})
    assert "q4_k_m" not in tune.layouts_to_try({"q4_K": 100, "q6_K": 20, "f32": 60})
    assert tune.layouts_to_try({"q4_1": 210, "q8_0": 1}) == tuple(tune.LAYOUTS)


@pytest.mark.parametrize(("most", "tried"), [(1, (1,)), (2, (2, 1)), (4, (4, 3, 2)), (8, (8, 7, 4))])
def test_no_more_threads_are_tried_than_allowed(most: int, tried: tuple[int, ...]) -> None:
    assert tune.thread_counts(most) == tried


def test_chosen_weights_are_kept_beside_the_original_and_undone(store: Store) -> None:
    before = store.get("mine")
    tuned = run(store, ScriptedMeasures())
    assert tuned.layout == "q6_k" and tuned.threads == 2 and store.tuned(before) == tuned
    assert store.get("mine") == before and len(list(store.blobs.iterdir())) == 2
    running = as_run(before, tuned)
    assert store.has(running) and running.digests != before.digests and store.verify("mine") == []
    assert store.forget_tuned("mine") == running.size_bytes
    assert store.tuned(before) is None and len(list(store.blobs.iterdir())) == 1 and store.verify("mine") == []


def test_weights_as_shipped_may_still_get_better_settings(store: Store) -> None:
    tuned = run(store, ScriptedMeasures(one_thread=1.5), "q4_0")
    assert (tuned.layout, tuned.sha256, tuned.threads) == (AS_SHIPPED, None, 1)
    assert as_run(store.get("mine"), tuned) == store.get("mine")
    assert list(store.partial.iterdir()) == []


def test_gain_that_came_from_a_quieter_device_is_not_believed(store: Store) -> None:
    tuned = run(store, ScriptedMeasures(shipped_again=2.0))
    assert tuned.layout == AS_SHIPPED and len(list(store.blobs.iterdir())) == 1


def test_gain_that_is_gone_at_the_end_is_not_believed(store: Store) -> None:
    tuned = run(store, ScriptedMeasures(kept_again=0.4))
    assert (tuned.layout, tuned.sha256) == (AS_SHIPPED, None) and len(list(store.blobs.iterdir())) == 1
    assert list(store.partial.iterdir()) == []


def test_layout_that_ends_the_process_is_passed_over(store: Store) -> None:
    measures = ScriptedMeasures(failing={"q4_0": WorkerDied("it ended"), "q8_0": BackendError("no such layout")})
    tuned = run(store, measures, "q4_0", "q8_0", "q6_k")
    assert tuned.layout == "q6_k"
    assert [bool(trial.failure) for trial in tuned.trials] == [False, True, True, False]
    assert tune.verdict(tuned.trials[1], tuned).startswith("could not be measured (it ended")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreFull("full"), OSError(28, "No space left on device")])
def test_interrupted_run_leaves_nothing_half_written(store: Store, error: BaseException) -> None:
    with pytest.raises((KeyboardInterrupt, StoreFull)):
        run(store, ScriptedMeasures(failing={"q4_0": error}), "q6_k", "q4_0")
    assert store.tuned(store.get("mine")) is None
    assert list(store.partial.iterdir()) == [] and len(list(store.blobs.iterdir())) == 1


def test_what_a_killed_run_left_is_cleared_away(store: Store) -> None:
    left = store.partial / "tune-abc"
    left.mkdir()
    (left / "q6_k.gguf").write_bytes(b"half")
    run(store, ScriptedMeasures())
    assert not left.exists()


class SmallDisk(Store):
    """A store on a disk with one MB of room."""

    def free_bytes(self) -> int:
        return 1_000_000


def test_low_disk_is_a_sentence_before_anything_is_made(store: Store) -> None:
    with pytest.raises(StoreFull, match=r"free some space and tune again\.$"):
        run(SmallDisk(store.root), ScriptedMeasures())
    assert list(store.partial.iterdir()) == []


class DiskThatFills(Store):
    """A store on a disk that has room at first, and none once a layout was begun."""

    def free_bytes(self) -> int:
        return 0 if list(self.partial.glob("tune-*/*.gguf")) else 10**12


def test_disk_that_becomes_full_is_a_sentence_and_nothing_is_kept(store: Store) -> None:
    """The library only says that it could not write; a record that nothing is faster would stand for good."""
    failing = ScriptedMeasures(failing={"q6_k": BackendError("llama.cpp can't write this model as q6_k.")})
    with pytest.raises(StoreFull, match="became full while q6_k was tried; free some space"):
        run(DiskThatFills(store.root), failing)
    assert list(store.partial.iterdir()) == [] and store.tuned(store.get("mine")) is None


class TightDisk(Store):
    """A store on a disk with room for some layouts of a large model, and not for others."""

    def free_bytes(self) -> int:
        return SPARE_BYTES + tune.size_bound("q8_0", PARAMETERS)


def test_layout_for_which_there_is_no_room_on_the_disk_is_passed_over(store: Store) -> None:
    tuned = run(TightDisk(store.root), ScriptedMeasures(), "bf16", "q6_k")
    assert tuned.layout == "q6_k"
    assert tune.verdict(tuned.trials[1], tuned).startswith("not tried: takes")


def test_layout_that_takes_more_memory_than_a_model_should_is_passed_over(store: Store) -> None:
    most = tune.size_bound("q8_0", PARAMETERS)
    wish = Wish(2, layouts=("bf16", "q6_k"), most_bytes=most)
    tuned = tune_model(store.get("mine"), store, wish, measures=ScriptedMeasures())
    assert tuned.layout == "q6_k"
    assert "of memory" in tune.verdict(tuned.trials[1], tuned)


def test_two_runs_at_once_are_refused(store: Store) -> None:
    with (
        exclusive(store.root, lambda: None, name="tune"),
        pytest.raises(StoreError, match="wait until it has finished"),
    ):
        run(store, ScriptedMeasures())


def test_encoder_is_not_tuned(store: Store) -> None:
    with pytest.raises(InputError, match="not a model that writes text"):
        tune_model(catalog()["bge-small-en"], store, Wish(2), measures=ScriptedMeasures())


def test_tuning_of_other_weights_says_nothing(store: Store) -> None:
    run(store, ScriptedMeasures())
    manifest = store.get("mine")
    other = replace(manifest, artifacts=(replace(manifest.artifacts[0], sha256="0" * 64),))
    assert store.tuned(other) is None


def test_damaged_record_or_missing_weights_mean_as_shipped(store: Store) -> None:
    tuned = run(store, ScriptedMeasures())
    manifest = store.get("mine")
    assert from_json(to_json(tuned), "test") == tuned
    (store.blobs / str(tuned.sha256)).unlink()
    assert store.tuned(manifest) is None
    (store.tunings / "mine.json").write_text("{")
    assert store.tuned(manifest) is None
    assert store.forget_tuned("mine") == 0 and not (store.tunings / "mine.json").exists()


def test_damaged_weights_are_found_and_a_pull_drops_them(store: Store) -> None:
    tuned = run(store, ScriptedMeasures())
    (store.blobs / str(tuned.sha256)).write_bytes(bytes(tuned.size_bytes))
    assert "damaged" in store.verify("mine")[0]
    store.discard_damaged("mine")
    assert store.tuned(store.get("mine")) is None and store.verify("mine") == []


def test_weights_that_were_cut_short_are_found_and_a_pull_drops_them(store: Store) -> None:
    """The model runs as shipped meanwhile; who asks learns why."""
    tuned = run(store, ScriptedMeasures())
    (store.blobs / str(tuned.sha256)).write_bytes(b"short")
    assert store.tuned(store.get("mine")) is None
    assert store.verify("mine") == ["mine.q6_k.gguf is missing or cut short"]
    store.discard_damaged("mine")
    assert store.verify("mine") == [] and len(list(store.blobs.iterdir())) == 1


def test_damaged_model_is_not_tuned(store: Store) -> None:
    """Its header is sound. What was made of it would stay in use when the model itself is mended."""
    blob = store.path(store.get("mine"), "model")
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    measures = ScriptedMeasures()
    with pytest.raises(BadArtifact, match=r"damaged.*run `covey models pull mine`"):
        run(store, measures)
    assert measures.asked == []


@pytest.mark.parametrize(
    ("prompt", "decode", "again", "words"),
    [
        (250.0, 118.0, 1.0, "slower than the one kept"),
        (262.0, 121.0, 1.0, "hardly faster"),
        (480.0, 122.0, 2.0, "gain not confirmed"),
    ],
)
def test_layout_that_is_not_kept_says_why(store: Store, prompt: float, decode: float, again: float, words: str) -> None:
    figures = {**LAYOUTS, "q6_k": (36.3, prompt, decode)}
    tuned = run(store, ScriptedMeasures(figures=figures, shipped_again=again), "q6_k")
    assert tuned.layout == AS_SHIPPED and tune.verdict(tuned.trials[1], tuned) == words


def test_removing_a_model_frees_its_tuned_weights(store: Store) -> None:
    run(store, ScriptedMeasures())
    store.remove("mine")
    assert list(store.blobs.iterdir()) == [] and list(store.tunings.iterdir()) == []


async def test_pool_counts_the_memory_of_the_weights_made_here(store: Store) -> None:
    tuned = run(store, ScriptedMeasures())
    manifest = store.get("mine")

    async def opener(given: Manifest, _store: Store, _threads: int) -> ScriptedText:
        return ScriptedText(name=given.id)

    pool = ModelPool(store, budget_bytes=10**9, threads=2, openers={"llama": opener})
    made_here = store.path(as_run(manifest, tuned), "model")
    async with pool.text(["mine"]):
        assert pool.loaded() == {"mine": footprint(as_run(manifest, tuned), made_here, chosen(manifest))}
    await pool.close()


@dataclass
class WhileMeasured(ScriptedMeasures):
    """Lets something else happen while it measures the last time."""

    happens: Callable[[], object] = lambda: None

    def measure(
        self, path: Path, settings: Sequence[tuple[int, int]], *, perplexity: bool
    ) -> tuple[float | None, list[Speed]]:
        if path.suffix == ".gguf" and not perplexity:
            self.happens()
        return super().measure(path, settings, perplexity=perplexity)


def test_a_model_that_is_removed_while_it_is_tuned_leaves_nothing(store: Store) -> None:
    with pytest.raises(NotInstalled, match="'mine' was removed or replaced while it was tuned"):
        run(store, WhileMeasured(happens=lambda: store.remove("mine")))
    assert [path for path in store.root.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_a_tuning_of_newer_weights_takes_the_place_of_the_older_one(store: Store, tmp_path: Path) -> None:
    first = run(store, ScriptedMeasures())
    newer = tiny_gguf.gguf({**tiny_gguf.KEYS, "general.name": "newer"})
    artifact = replace(
        store.get("mine").artifact("model"), sha256=store.add_blob(BytesIO(newer)), size_bytes=len(newer)
    )
    with pytest.raises(NotInstalled, match="removed or replaced"):
        update = replace(store.get("mine"), artifacts=(artifact,))
        run(store, WhileMeasured(happens=lambda: store.install(update)))
    fast_now = {**LAYOUTS, "q4_0": (36.9, 573.0, 186.0)}
    second = run(store, ScriptedMeasures(fast_now))
    assert (first.layout, second.layout) == ("q6_k", "q4_0")
    assert {path.name for path in store.blobs.iterdir()} == {artifact.sha256, second.sha256}
    assert store.verify("mine") == []
