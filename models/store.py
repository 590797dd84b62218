"""The artifact store: files addressed by digest, and the manifests of the models that are installed.

Nothing appears under its final name before it is whole, verified and on the disk: a temporary file,
fsync, rename. Several processes may use one store at once.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal

from models import tuned as tuning
from models.catalog import catalog
from models.errors import DigestMismatch, ManifestError, NotInstalled, StoreError, StoreFull, UnknownModel
from models.manifest import Artifact, Manifest, from_json, to_json
from models.tuned import Tuned
from models.types import Digest

logger = logging.getLogger(__name__)

CHUNK_BYTES = 1024 * 1024
SPARE_BYTES = 64 * 1024 * 1024
"""Room that is left on the disk after a pull, so that the journal can still be written."""

_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class Store:
    """One folder of models. Making the object touches nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.manifests = root / "manifests"
        self.partial = root / "partial"
        self.tunings = root / "tuned"

    def installed(self) -> dict[str, Manifest]:
        """Return the models whose files are all here, by id. A damaged manifest is left out and logged."""
        found: dict[str, Manifest] = {}
        for path in sorted(self.manifests.glob("*.json")):
            try:
                manifest = self._read(path)
            except (ManifestError, StoreError) as error:
                _warn_once(str(error))
                continue
            if manifest.id == path.stem and self.has(manifest):
                found[manifest.id] = manifest
        return found

    def get(self, model_id: str) -> Manifest:
        """Return an installed model's manifest. Raises NotInstalled, UnknownModel."""
        manifest = self.recorded(model_id)
        if manifest is None:
            raise missing(model_id)
        if not self.has(manifest):
            raise NotInstalled(f"Files of {model_id!r} are missing on this device; run `covey models pull {model_id}`.")
        return manifest

    def recorded(self, model_id: str) -> Manifest | None:
        """Return the stored manifest of a model, whether or not its files are here. Raises ManifestError."""
        path = self.manifests / f"{model_id}.json"
        if not _ID.fullmatch(model_id) or not path.is_file():
            return None
        return self._read(path)

    def sound_record(self, model_id: str) -> Manifest | None:
        """Return the stored manifest of a model; None also where it is damaged: a new one takes its place."""
        try:
            return self.recorded(model_id)
        except ManifestError:
            return None

    def recorded_ids(self) -> list[str]:
        """Return the ids of all stored manifests, also of models whose files are missing."""
        return sorted(path.stem for path in self.manifests.glob("*.json"))

    def path(self, manifest: Manifest, role: Literal["model", "tokenizer"]) -> Path:
        """Return the file of a role. Raises NotInstalled."""
        found = self._blob(manifest.artifact(role))
        if found is None:
            raise NotInstalled(
                f"The {role} file of {manifest.id!r} is not on this device; run `covey models pull {manifest.id}`."
            )
        return found

    def has(self, manifest: Manifest) -> bool:
        """Return whether all files of a model are here, in full length."""
        return all(self._blob(artifact) is not None for artifact in manifest.artifacts)

    def has_artifact(self, artifact: Artifact) -> bool:
        return self._blob(artifact) is not None

    def add_blob(self, source: Path | IO[bytes], expected: str | None = None) -> Digest:
        """Copy a file or stream into the store and return its digest.

        Raises DigestMismatch when `expected` is given and differs; then nothing is kept.
        """
        with self.guard():
            self.partial.mkdir(parents=True, exist_ok=True)
            if isinstance(source, Path):
                with source.open("rb") as reader:
                    return self._copy_in(reader, expected)
            return self._copy_in(source, expected)

    def adopt(self, path: Path, expected: str | None = None) -> Digest:
        """Move a file that lies in `partial` into the store and return its digest. Raises DigestMismatch."""
        with self.guard(), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        return self._keep(path, digest, expected)

    def install(self, manifest: Manifest) -> None:
        """Record a model whose files are all in the store, and delete those that only its former version had.

        For who holds the store's lock. Raises StoreError.
        """
        for artifact in manifest.artifacts:
            if self._blob(artifact) is None:
                raise NotInstalled(
                    f"{artifact.file} of {manifest.id!r} is not in the store; run `covey models pull {manifest.id}`."
                )
        former = self.sound_record(manifest.id)
        with self.guard():
            self.manifests.mkdir(parents=True, exist_ok=True)
            _write_atomically(self.manifests / f"{manifest.id}.json", to_json(manifest))
        self._delete_former(set(former.digests).difference(manifest.digests) if former else set())

    def tuned(self, manifest: Manifest) -> Tuned | None:
        """Return what `covey models tune` keeps for these very weights; None where it keeps nothing usable."""
        found = self._recorded_tuning(manifest)
        if found is not None and found.artifact is not None and not self.has_artifact(found.artifact):
            return None
        return found

    def _recorded_tuning(self, manifest: Manifest) -> Tuned | None:
        """Return the record, whether or not the weights that were made are here."""
        path = self.tunings / f"{manifest.id}.json"
        if not path.is_file():
            return None
        try:
            with self.guard():
                found = tuning.from_json(path.read_bytes(), str(path))
        except (ManifestError, StoreError) as error:
            _warn_once(str(error))
            return None
        return found if found.source_sha256 == manifest.artifact("model").sha256 else None

    def keep_tuned(self, tuned: Tuned) -> None:
        """Record a tuning whose weights are in the store, and delete those of the one before. Raises StoreError."""
        path = self.tunings / f"{tuned.id}.json"
        former = self._tuned_digests(path)
        with self.guard():
            self.tunings.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, tuning.to_json(tuned))
        self._delete_former(former.difference({tuned.sha256}))

    def forget_tuned(self, model_id: str) -> int:
        """Forget a model's tuning, usable or not, delete its weights, and return the bytes freed."""
        path = self.tunings / f"{model_id}.json"
        if not path.exists():
            return 0
        own = self._tuned_digests(path)
        with self.guard():
            path.unlink()
        return self._delete(own)

    def remove(self, model_id: str) -> int:
        """Forget a model, delete the files that no other model uses, and return the bytes freed.

        Raises NotInstalled, UnknownModel.
        """
        path = self.manifests / f"{model_id}.json"
        if not _ID.fullmatch(model_id) or not path.exists():
            raise missing(model_id)
        own = self._digests(model_id)
        with self.guard():
            path.unlink()
        return self.forget_tuned(model_id) + self._delete(own)

    def verify(self, model_id: str) -> list[str]:
        """Read every file of a model again and return what is wrong with it; empty when all is well.

        Raises NotInstalled, UnknownModel, ManifestError.
        """
        manifest = self.recorded(model_id)
        if manifest is None:
            raise missing(model_id)
        tuned = self._recorded_tuning(manifest)
        made = (tuned.artifact,) if tuned is not None and tuned.artifact is not None else ()
        return [problem for artifact in (*manifest.artifacts, *made) if (problem := self.problem(artifact))]

    def problem(self, artifact: Artifact) -> str:
        """Read a file again and return what is wrong with it; empty when its bytes are the promised ones."""
        if self._blob(artifact) is None:
            return f"{artifact.file} is missing or cut short"
        with self.guard(), (self.blobs / str(artifact.sha256)).open("rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256
        return "" if same else f"{artifact.file} is damaged: its bytes are not the promised ones"

    def discard_damaged(self, model_id: str) -> None:
        """Delete those files of a model whose bytes are not the promised ones, so that a pull fetches them again."""
        manifest = self.sound_record(model_id) or catalog().get(model_id)
        with self.guard():
            for artifact in manifest.artifacts if manifest else ():
                if artifact.sha256 and self.problem(artifact):
                    (self.blobs / artifact.sha256).unlink(missing_ok=True)
        tuned = self._recorded_tuning(manifest) if manifest else None
        if tuned is not None and tuned.artifact is not None and self.problem(tuned.artifact):
            self.forget_tuned(model_id)

    def clear_unfinished(self) -> None:
        """Delete the copies that killed processes have begun. For who holds the store's lock."""
        with self.guard():
            for left in (*self.partial.glob("blob-*"), *self.partial.glob("wheels/*.copy")):
                if left.is_file():
                    left.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the room on the disk that holds the store."""
        folder = next(path for path in (self.root, *self.root.parents) if path.exists())
        return shutil.disk_usage(folder).free

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Turn what the disk says into a sentence."""
        try:
            yield
        except OSError as error:
            raise self._disk_error(error) from error

    def _disk_error(self, error: OSError) -> StoreError:
        if error.errno in _FULL:
            return StoreFull(f"The disk of {self.root} is full; free some space and run the command again.")
        if error.errno in _FORBIDDEN:
            return StoreError(f"{self.root} can't be written; make it writable, or set COVEY_HOME to a folder that is.")
        why = error.strerror or str(error)
        return StoreError(f"The model folder {self.root} could not be used ({why}); check the disk and try again.")

    def _read(self, path: Path) -> Manifest:
        with self.guard():
            return from_json(path.read_bytes(), str(path))

    def _blob(self, artifact: Artifact) -> Path | None:
        if artifact.sha256 is None:
            return None
        path = self.blobs / artifact.sha256
        try:
            size = path.stat().st_size
        except OSError:
            return None
        return path if artifact.size_bytes in (None, size) else None

    def _in_use(self) -> set[Digest]:
        digests: set[Digest] = set()
        for model_id in self.recorded_ids():
            digests |= self._digests(model_id)
        for path in self.tunings.glob("*.json"):
            digests |= self._tuned_digests(path)
        return digests

    def _digests(self, model_id: str) -> set[Digest]:
        """Return a recorded model's files; where its manifest is damaged, those that the catalog says it has."""
        manifest = self.sound_record(model_id) or catalog().get(model_id)
        return set(manifest.digests) if manifest else set()

    def _tuned_digests(self, path: Path) -> set[Digest]:
        try:
            found = tuning.from_json(path.read_bytes(), str(path))
        except (ManifestError, OSError):
            return set()
        return {Digest(found.sha256)} if found.sha256 else set()

    def _delete(self, digests: set[Digest]) -> int:
        """Delete files that no model uses any more and return the bytes freed."""
        freed = 0
        with self.guard():
            for digest in digests - self._in_use():
                blob = self.blobs / digest
                freed += blob.stat().st_size if blob.exists() else 0
                blob.unlink(missing_ok=True)
        return freed

    def _delete_former(self, digests: set[Digest]) -> None:
        """Delete what no model uses any more; what is in the way of that does no harm to the new version."""
        try:
            if digests:
                self._delete(digests)
        except StoreError as error:
            logger.warning("Files of a former version could not be deleted: %s", error)

    def _copy_in(self, reader: IO[bytes], expected: str | None) -> Digest:
        handle, name = tempfile.mkstemp(dir=self.partial, prefix="blob-")
        try:
            digest = hashlib.sha256()
            with open(handle, "wb") as writer:
                while chunk := reader.read(CHUNK_BYTES):
                    digest.update(chunk)
                    writer.write(chunk)
                writer.flush()
                os.fsync(writer.fileno())
            return self._keep(Path(name), digest.hexdigest(), expected)
        finally:
            Path(name).unlink(missing_ok=True)

    def _keep(self, path: Path, digest: str, expected: str | None) -> Digest:
        """Give a whole file its final name."""
        if expected is not None and digest != expected:
            raise DigestMismatch(
                f"The file has the digest {digest[:12]}… where {expected[:12]}… was promised; it was not kept."
            )
        with self.guard():
            self.blobs.mkdir(parents=True, exist_ok=True)
            path.replace(self.blobs / digest)
            _sync_folder(self.blobs)
        return Digest(digest)


def missing(model_id: str) -> NotInstalled | UnknownModel:
    """Return the error for a model that is not in the store: known to the catalog, or not at all."""
    if model_id in catalog():
        return NotInstalled(f"Model {model_id!r} is not on this device; run `covey models pull {model_id}`.")
    return UnknownModel(f"There is no model {model_id!r}; run `covey models list` to see the names.")


@functools.lru_cache(maxsize=64)
def _warn_once(text: str) -> None:
    """Log what is damaged: a command looks at the store several times, and a node again and again."""
    logger.warning("%s", text)


def _write_atomically(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with open(handle, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fsync(writer.fileno())
        Path(name).replace(path)
        _sync_folder(path.parent)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; systems that can't open a folder do it themselves."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
