"""Installs models from files that the owner brings: a GGUF of their own, or what the catalog knows by digest.

A file whose digest is in the catalog is installed under the catalog's name, also when it lies inside
a wheel; so a device that never had a network gets its starter set from a few files on a stick.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models import gguf
from models.catalog import catalog
from models.errors import BadArtifact, DigestMismatch, InputError
from models.lock import exclusive
from models.manifest import Artifact, Manifest, PypiSource, WheelPart
from models.sources import pypi
from models.store import Store
from models.types import Digest

DEFAULT_CONTEXT_TOKENS = 4096
MAX_NAME = 64
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
"""What zipfile raises for archives with wrong bytes, with a password, or packed in a way that it does not know."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the files."""

    installed: tuple[Manifest, ...]
    waiting: tuple[tuple[str, str], ...]
    """(model id, what it still lacks), for models of which only a part was brought."""


def add_files(
    paths: Sequence[Path], store: Store, *, name: str = "", waiting: Callable[[], None] = lambda: None
) -> Added:
    """Install what the files hold; `name` is the id for one GGUF file that the catalog doesn't know.

    `waiting` is called as by `exclusive`, while another program fetches or converts.

    Raises BadArtifact, InputError, StoreError, StoreFull. Files before a bad one are kept.
    """
    installed: dict[str, Manifest] = {}
    touched: set[str] = set()
    with store.guard():
        store.partial.mkdir(parents=True, exist_ok=True)
        with exclusive(store.root, waiting):
            store.clear_unfinished()
            for path in paths:
                digest = _digest(path)
                if known := _add_known(path, digest, store):
                    touched |= known
                else:
                    own = _add_own(path, digest, store, name)
                    installed[own.id] = own
            _join_parts(touched, store)
            incomplete = _install_known(touched, installed, store)
    return Added(tuple(installed.values()), tuple(incomplete))


def _digest(path: Path) -> str:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or a device may have no end
            raise InputError(f"{path} is no ordinary file; give a GGUF file or a wheel.")
        return pypi.sha256_of(path)
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder; give a GGUF file or a wheel.") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}); check the path.") from error


def _add_known(path: Path, digest: str, store: Store) -> set[str]:
    """Take what the catalog knows out of a file and return the ids of the models it belongs to."""
    touched = {manifest.id for manifest, artifact in _artifacts() if artifact.sha256 == digest}
    if touched:
        store.add_blob(path, digest)
    if zipfile.is_zipfile(path):
        touched |= _add_wheel(path, digest, store)
        if not touched:
            raise BadArtifact(
                f"{path.name} holds no model file that the catalog knows; give a GGUF file, "
                "or a package that `covey models show NAME` names."
            )
    return touched


def _add_wheel(path: Path, digest: str, store: Store) -> set[str]:
    """Take single files out of a wheel, and keep the wheel itself where it is one of several parts."""
    touched: set[str] = set()
    with _opened(path) as archive:
        names = set(archive.namelist())
        for manifest, artifact in _artifacts():
            for parts in _pypi_parts(artifact):
                if len(parts) > 1 and any(part.wheel_sha256 == digest for part in parts):
                    _keep_wheel(path, digest, store)
                    touched.add(manifest.id)
                elif len(parts) == 1 and parts[0].path in names and _take(archive, parts[0].path, artifact, store):
                    touched.add(manifest.id)
    return touched


def _take(archive: zipfile.ZipFile, member: str, artifact: Artifact, store: Store) -> bool:
    """Put a member into the store if it is the artifact, whatever package it came in."""
    if artifact.size_bytes is not None and archive.getinfo(member).file_size != artifact.size_bytes:
        return False
    if store.has_artifact(artifact):
        return True
    try:
        with archive.open(member) as stream:
            store.add_blob(stream, artifact.sha256)
    except DigestMismatch:
        return False
    return True


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Give the archive, also while it is read. Raises BadArtifact where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _DAMAGED as error:
        raise BadArtifact(f"{path.name} is damaged or no package that can be read; get it again.") from error


def _keep_wheel(path: Path, digest: str, store: Store) -> None:
    folder = store.partial / "wheels"
    folder.mkdir(exist_ok=True)
    unfinished = folder / f"{digest}.copy"
    try:
        shutil.copyfile(path, unfinished)
        unfinished.replace(folder / f"{digest}.whl")
    finally:
        unfinished.unlink(missing_ok=True)


def _join_parts(touched: set[str], store: Store) -> None:
    """Join the files whose wheels are now all here."""
    for model_id in touched:
        for artifact in catalog()[model_id].artifacts:
            for parts in _pypi_parts(artifact):
                if store.has_artifact(artifact) or len(parts) == 1 or _missing_wheels(parts, store):
                    continue
                target = store.partial / f"{artifact.sha256}-added" / artifact.file
                target.parent.mkdir(exist_ok=True)
                pypi.fetch(PypiSource("pypi", parts), target, lambda _done, _total: None)
                store.adopt(target, artifact.sha256)
                shutil.rmtree(target.parent, ignore_errors=True)


def _install_known(touched: set[str], installed: dict[str, Manifest], store: Store) -> list[tuple[str, str]]:
    """Install the models that are whole now, and return what the others lack."""
    incomplete: list[tuple[str, str]] = []
    for model_id in sorted(touched):
        manifest = catalog()[model_id]
        if store.has(manifest):
            store.install(manifest)
            installed[model_id] = manifest
        elif not installed or _model_is_here(manifest, store):  # a shared tokenizer is no wish for every model with it
            incomplete.append((model_id, _lacking(manifest, store)))
    return incomplete


def _model_is_here(manifest: Manifest, store: Store) -> bool:
    """Return whether the main file, or a part of it, is here."""
    artifact = manifest.artifact("model")
    parts = _pypi_parts(artifact)
    return store.has_artifact(artifact) or any(len(_missing_wheels(p, store)) < len(p) for p in parts)


def _missing_wheels(parts: Sequence[WheelPart], store: Store) -> list[str]:
    folder = store.partial / "wheels"
    return [part.requirement for part in parts if not pypi.wheel_file(part, folder).exists()]


def _lacking(manifest: Manifest, store: Store) -> str:
    """Return in words what a model of which a part is here still lacks."""
    lacking: list[str] = []
    for artifact in manifest.artifacts:
        if not store.has_artifact(artifact):
            packages = [name for parts in _pypi_parts(artifact) for name in _missing_wheels(parts, store)]
            lacking.append(f"{artifact.file} from {', '.join(packages)}" if packages else artifact.file)
    return "; ".join(lacking)


def _add_own(path: Path, digest: str, store: Store, name: str) -> Manifest:
    """Install a GGUF file that the catalog has no digest of; from here on its digest is pinned."""
    header = gguf.read(path)
    model_id = name or slug(path.stem)
    manifest = next(
        (m for m, a in _artifacts() if a.sha256 is None and (m.id == model_id or a.file == path.name)), None
    )
    if manifest is None:
        if model_id in catalog():
            raise InputError(f"The catalog has a model {model_id!r} with other bytes; choose another name with --name.")
        manifest = _own_manifest(model_id, path, header)
    before = store.sound_record(manifest.id)
    if before is not None and Digest(digest) not in before.digests and manifest.id not in catalog():
        raise InputError(f"A model {manifest.id!r} is here already; choose another name with --name.")
    store.add_blob(path, digest)
    artifact = replace(manifest.artifact("model"), sha256=digest, size_bytes=path.stat().st_size)
    manifest = replace(manifest, artifacts=(artifact,))
    store.install(manifest)
    return manifest


def _own_manifest(model_id: str, path: Path, header: gguf.GgufHeader) -> Manifest:
    if slug(model_id) != model_id:
        raise InputError(f"{model_id!r} can't be a model's name; use up to {MAX_NAME} of a-z, 0-9, '.' and '-'.")
    longest = header.context_tokens or DEFAULT_CONTEXT_TOKENS
    return Manifest(
        id=model_id,
        summary=f"{plain(header.name) or plain(path.stem)} ({header.architecture}), added by hand.",
        kind="text",
        backend="llama",
        artifacts=(Artifact(role="model", file=f"{model_id}.gguf"),),
        licence=plain(header.licence) or "unknown",
        context_tokens=min(longest, DEFAULT_CONTEXT_TOKENS),
        max_context_tokens=longest,
        parameters=header.parameters,
    )


def plain(text: str) -> str:
    """Return untrusted text from a file's header, fit for a terminal: no control characters, one short line."""
    return "".join(letter for letter in text if letter.isprintable())[:80]


def slug(text: str) -> str:
    """Return text as a model id: `My Model_Q4` → `my-model-q4`."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")[:MAX_NAME].rstrip("-.") or "model"


def _artifacts() -> Iterator[tuple[Manifest, Artifact]]:
    for manifest in catalog().values():
        for artifact in manifest.artifacts:
            yield manifest, artifact


def _pypi_parts(artifact: Artifact) -> list[tuple[WheelPart, ...]]:
    return [source.parts for source in artifact.sources if isinstance(source, PypiSource)]
