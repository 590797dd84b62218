"""Tries the layouts of one model on this device and keeps the best in the store. Decisions: models/tune.py.

What is made lies in the store's `partial` folder until it is chosen; the record that makes it count is
written last, in one step. So an interrupted run leaves the model as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from models import gguf, tune
from models.engine.measurer import Measurer, Measures
from models.errors import BackendError, BadArtifact, InputError, NotInstalled, StoreError, StoreFull
from models.manifest import Manifest
from models.store import SPARE_BYTES, Store
from models.tuned import AS_SHIPPED, Speed, Trial, Tuned
from models.workplace import is_full, workplace

LIBRARY = "llama-cpp-python"

Said = Callable[[str], None]
"""Called with what is being done."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the owner allows."""

    threads: int
    """Most threads."""
    bound: float = tune.DEFAULT_BOUND
    """Share by which perplexity may grow."""
    layouts: tuple[str, ...] | None = None
    """Layouts to try; None: all that are worth it for this file."""
    most_bytes: int | None = None
    """Most that the weights may take in memory; None: no bound."""


def tune_model(
    manifest: Manifest, store: Store, wish: Wish, *, measures: Measures | None = None, said: Said = lambda _: None
) -> Tuned:
    """Measure an installed text model and keep the fastest layout and settings within the bound.

    Raises InputError, NotInstalled, StoreFull, StoreError, BadArtifact, BackendError, WorkerDied.
    """
    if manifest.backend != "llama":
        raise InputError(f"{manifest.id} is not a model that writes text; only those are tuned.")
    path = store.path(manifest, "model")
    if problem := store.problem(manifest.artifact("model")):  # what is made of it would stay when it is mended
        raise BadArtifact(f"{problem}; run `covey models pull {manifest.id}`, then tune it.")
    header = gguf.read(path)
    with workplace(store, "tune", _refuse, lock="tune") as folder:
        work = _Work(manifest.id, folder, store, wish, measures or Measurer(), said)
        layouts = wish.layouts or tune.layouts_to_try(header.tensor_types)
        work.check_room(layouts, header.parameters)
        shipped = work.shipped(path)
        trials, best = [shipped], path
        for layout in layouts:
            made = folder / f"{layout}.gguf"
            trials.append(work.trial(layout, path, made, header.parameters, shipped))
            if tune.choose(trials, wish.bound).layout == layout:
                _drop(best, folder)
                best = made
            else:
                made.unlink(missing_ok=True)
        chosen = tune.choose(trials, wish.bound)
        if chosen is not shipped:
            again = work.once_more(path, shipped)
            after = replace(chosen, speed=work.best_rows(best, chosen))
            if tune.confirmed(chosen, again) and tune.confirmed(after, again):
                return _keep(manifest, store, wish, trials, after, best)
        after = replace(shipped, speed=work.best_rows(path, shipped))
        return _keep(manifest, store, wish, trials, after, path)


@dataclass(frozen=True, slots=True)
class _Work:
    """One run."""

    name: str
    folder: Path
    store: Store
    wish: Wish
    measures: Measures
    said: Said

    def shipped(self, path: Path) -> Trial:
        """Measure the weights as they are and find the number of threads that suits them."""
        self.said(f"{self.name}: measuring {AS_SHIPPED}")
        settings = [(threads, tune.ROWS[0]) for threads in tune.thread_counts(self.wish.threads)]
        perplexity, speeds = self.measures.measure(path, settings, perplexity=True)
        return Trial(AS_SHIPPED, path.stat().st_size, perplexity, tune.fastest(speeds))

    def trial(self, layout: str, source: Path, target: Path, parameters: int, shipped: Trial) -> Trial:
        """Make one layout and measure it; a layout that can't be made or run is a failed trial."""
        if why := self._too_large(layout, parameters):
            return Trial(layout, 0, None, None, why)
        self.said(f"{self.name}: measuring {layout}")
        assert shipped.speed is not None
        settings = [(shipped.speed.threads, tune.ROWS[0])]
        try:
            self.measures.quantize(source, target, layout, self.wish.threads)
            gguf.read(target)
            perplexity, speeds = self.measures.measure(target, settings, perplexity=True)
        except BackendError as error:
            if is_full(self.store):
                raise StoreFull(
                    f"The disk of {self.store.root} became full while {layout} was tried; free some space and "
                    "tune again."
                ) from error
            target.unlink(missing_ok=True)
            return Trial(layout, 0, None, None, f"could not be measured ({str(error).rstrip('.')})")
        return Trial(layout, target.stat().st_size, perplexity, speeds[0])

    def once_more(self, path: Path, shipped: Trial) -> Speed:
        """Measure the weights as shipped again."""
        assert shipped.speed is not None
        self.said(f"{self.name}: measuring {AS_SHIPPED} once more")
        settings = [(shipped.speed.threads, tune.ROWS[0])]
        return self.measures.measure(path, settings, perplexity=False)[1][0]

    def best_rows(self, path: Path, chosen: Trial) -> Speed:
        assert chosen.speed is not None
        self.said(f"{self.name}: measuring batch sizes")
        settings = [(chosen.speed.threads, rows) for rows in tune.ROWS]
        return tune.fastest(self.measures.measure(path, settings, perplexity=False)[1])

    def check_room(self, layouts: Sequence[str], parameters: int) -> None:
        """Raise StoreFull where there is room for none of the layouts."""
        free, needed = self.store.free_bytes(), min(tune.size_bound(one, parameters) for one in layouts) + SPARE_BYTES
        if needed > free:
            raise StoreFull(
                f"The disk of {self.store.root} has {free // 10**6:,} MB free and trying the smallest layout takes "
                f"{needed // 10**6:,} MB; free some space and tune again."
            )

    def _too_large(self, layout: str, parameters: int) -> str:
        """Return why there is no room for a layout; empty where there is."""
        size, free = tune.size_bound(layout, parameters), self.store.free_bytes()
        if size + SPARE_BYTES > free:
            return f"not tried: takes {size // 10**6:,} MB of disk and {free // 10**6:,} MB are free"
        if self.wish.most_bytes is not None and size > self.wish.most_bytes:
            return f"not tried: takes {size // 10**6:,} MB of memory, more than a model should here"
        return ""


def _refuse() -> None:
    raise StoreError("Another program is tuning a model on this device; wait until it has finished.")


def _drop(path: Path, folder: Path) -> None:
    """Delete a file that was made here; the one in the store stays."""
    if path.parent == folder:
        path.unlink(missing_ok=True)


def _keep(manifest: Manifest, store: Store, wish: Wish, trials: list[Trial], after: Trial, path: Path) -> Tuned:
    assert after.speed is not None
    shipped = manifest.artifact("model").sha256
    assert shipped is not None, "an installed model has a digest"
    now = store.sound_record(manifest.id)
    if now is None or now.artifact("model").sha256 != shipped:  # the record would belong to no model
        raise NotInstalled(f"{manifest.id!r} was removed or replaced while it was tuned; pull it or tune it again.")
    size = path.stat().st_size
    record = Tuned(
        id=manifest.id,
        source_sha256=shipped,
        layout=after.layout,
        sha256=None if after.layout == AS_SHIPPED else store.adopt(path),
        size_bytes=size,
        threads=after.speed.threads,
        rows=after.speed.rows,
        bound=wish.bound,
        before=trials[0],
        after=after,
        trials=tuple(trials),
        library=f"{LIBRARY} {metadata.version(LIBRARY)}",
    )
    store.keep_tuned(record)
    return record
