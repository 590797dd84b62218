"""Installs a Hugging Face checkpoint as an int8 ONNX model, and says how faithful it is.

The work is done by models/convert.py in a process of its own, in the store's `partial` folder; nothing
appears in the store before it has been loaded and tried.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

import models
from models import checkpoint, sample
from models.add import slug
from models.backends import onnx
from models.catalog import catalog
from models.checkpoint import Checkpoint
from models.engine.environment import program, search_path
from models.errors import BackendError, BadArtifact, ExtraMissing, InputError, StoreFull
from models.fidelity import Fidelity, compare
from models.lock import WAITING, once
from models.manifest import Artifact, Manifest
from models.sources.pypi import sha256_of
from models.store import SPARE_BYTES, Store
from models.workplace import is_full, workplace

EXTRA = ("torch", "transformers", "onnx", "onnxscript")
"""Modules of the extra `export`."""
CONVERT_S = 1800.0
"""Seconds that a conversion may take: about four minutes for 300 million parameters on two slow cores."""
MAX_ROWS = 500
"""Texts that both models are run on: a minute for a model of 100 million parameters."""
FILES_FLOATS = 3
"""Room needed while converting, in copies of the weights as 32-bit numbers: two are written, and one int8 file."""
LAST_WORDS = 300

Row = tuple[str, str]
"""A text and its right label."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What was installed."""

    manifest: Manifest
    fidelity: Fidelity
    labelled: bool
    """Whether the figures are from the owner's rows; else from sentences that ship with Covey."""


def add_checkpoint(
    folder: Path,
    store: Store,
    *,
    name: str = "",
    rows: Sequence[Row] = (),
    said: Callable[[str], None] = lambda _: None,
) -> Converted:
    """Convert and install a checkpoint; `rows` are examples with their labels, to measure with.

    Raises InputError, ExtraMissing, BadArtifact, BackendError, StoreError, StoreFull.
    """
    found = checkpoint.read(folder)
    model_id = _free_id(name or slug(folder.resolve().name), store)
    answers = _answers(found, rows[:MAX_ROWS])
    _check_extra()
    texts = [text for text, _ in rows[:MAX_ROWS]] or list(sample.sentences())
    with workplace(store, "convert", once(lambda: said(WAITING))) as work:
        _check_room(found, store)
        said(f"converting {folder.name} ({found.parameters / 1e6:,.0f} million parameters)")
        before, after = _converted(found, texts, work, store)
        manifest = _manifest(model_id, found, work)
        asyncio.run(_try(manifest, work))
        fidelity = compare(found.kind, before, after, answers)
        for artifact in manifest.artifacts:
            store.adopt(work / artifact.file, artifact.sha256)
        store.install(manifest)
    return Converted(manifest, fidelity, bool(answers))


def _free_id(model_id: str, store: Store) -> str:
    if slug(model_id) != model_id:
        raise InputError(f"{model_id!r} can't be a model's name; use a-z, 0-9, '.' and '-', at most 64 of them.")
    before = store.sound_record(model_id)
    if model_id in catalog() or (before is not None and store.has(before)):
        raise InputError(f"A model {model_id!r} is known already; choose another name with --name.")
    return model_id


def _answers(found: Checkpoint, rows: Sequence[Row]) -> list[int]:
    """Return the right labels as numbers. Raises InputError."""
    if not rows:
        return []
    match found.kind:
        case "classifier":
            known = found.labels
        case "encoder":
            known = tuple(dict.fromkeys(label for _, label in rows))
        case _:
            raise InputError(f"Rows with labels say nothing about a {found.kind}; add it without --rows.")
    if foreign := sorted({label for _, label in rows} - set(known)):
        raise InputError(
            f"{foreign[0][:40]!r} in the rows is no label of {found.folder.name}, which has: {', '.join(known[:20])}. "
            "Correct the rows, or add it without --rows."
        )
    return [known.index(label) for _, label in rows]


def _check_extra() -> None:
    missing = [module for module in EXTRA if importlib.util.find_spec(module) is None]
    if missing:
        root = Path(models.__file__).parents[1]
        pins = "".join(f" -c {path}" for path in sorted((root / "constraints").glob("*.txt")) if path.stem != "build")
        wanted = f"-e '{root}[export]'{pins}" if (root / "pyproject.toml").is_file() else "'covey[export]'"
        raise ExtraMissing(
            f"Converting a checkpoint needs {', '.join(missing)}; run `{sys.executable} -m pip install {wanted}`."
        )


def _check_room(found: Checkpoint, store: Store) -> None:
    needed = found.parameters * 4 * FILES_FLOATS + SPARE_BYTES
    if needed > store.free_bytes():
        raise StoreFull(
            f"The disk of {store.root} has {store.free_bytes() // 10**6:,} MB free and converting {found.folder.name} "
            f"takes {needed // 10**6:,} MB; free some space and add it again."
        )


def _converted(found: Checkpoint, texts: Sequence[str], work: Path, store: Store) -> tuple[np.ndarray, np.ndarray]:
    """Run the conversion and return what the model says to the texts, before and after."""
    job = {
        "folder": str(found.folder.resolve()),
        "kind": found.kind,
        "inputs": found.inputs,
        "context_tokens": found.context_tokens,
        "pooling": found.pooling,
        "texts": list(texts),
    }
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    calm = {"OMP_WAIT_POLICY": "PASSIVE"}  # threads that spin take the processor from each other on a busy device
    places = {"PYTHONPATH": search_path(), "TMPDIR": str(work)}  # the room was looked for where the store is
    ours, held = os.pipe()  # it ends when nobody holds the other end any more
    try:
        done = subprocess.run(
            [*program("models.convert"), str(work)],
            env={**os.environ, **offline, **calm, **places},
            stdin=ours,
            capture_output=True,
            timeout=CONVERT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BackendError(
            f"Converting {found.folder.name} took more than {CONVERT_S:.0f} s; try a smaller one."
        ) from error
    finally:
        os.close(ours)
        os.close(held)
    if not (work / "outputs.npz").is_file() and is_full(store):
        raise StoreFull(
            f"The disk of {store.root} became full while {found.folder.name} was converted; free some space and "
            "add it again."
        )
    return _outputs(found, work, done)


def _outputs(found: Checkpoint, work: Path, done: subprocess.CompletedProcess[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Return what the process left, or say why there is nothing."""
    reply = work / "reply.json"
    if not reply.is_file():
        words = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing"])[-1][-LAST_WORDS:]
        raise BackendError(
            f"The process that converts {found.folder.name} ended with status {done.returncode} (it said: {words}); "
            "close other programs for more memory and add it again."
        )
    if failed := json.loads(reply.read_text(encoding="utf-8"))["failed"]:
        raise BadArtifact(
            f"{found.folder.name} can't be converted: {failed}. Correct that, or get the whole checkpoint again."
        )
    with np.load(work / "outputs.npz") as outputs:
        return outputs["before"], outputs["after"]


def _manifest(model_id: str, found: Checkpoint, work: Path) -> Manifest:
    kinds = {"encoder": "sentence vectors", "reranker": "scores of passages", "tagger": "labels of words"}
    what = kinds.get(found.kind, "labels of texts")
    return Manifest(
        id=model_id,
        summary=f"{what.capitalize()} by {found.architecture or found.model_type}, int8, converted on this device.",
        kind=found.kind,
        backend="onnx",
        artifacts=(_artifact("model", work / "model.onnx"), _artifact("tokenizer", work / "tokenizer.json")),
        licence=found.licence,
        context_tokens=found.context_tokens,
        max_context_tokens=found.context_tokens,
        parameters=found.parameters,
        dimensions=found.dimensions if found.kind == "encoder" else None,
        pooling=found.pooling if found.kind == "encoder" else None,
        labels=found.labels,
    )


def _artifact(role: Literal["model", "tokenizer"], path: Path) -> Artifact:
    return Artifact(role, path.name, path.stat().st_size, sha256_of(path))


async def _try(manifest: Manifest, work: Path) -> None:
    """Load what was made, as the pool will. Raises BadArtifact, OutOfMemory."""
    loaded = await onnx.load(manifest, work / "model.onnx", work / "tokenizer.json", 1)
    await loaded.close()
