"""Makes a specialist from examples, and makes it better from more of them; see docs/specialists.md."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import BadArtifact
from models.specialist import Pool, SpecialistSpec
from models.specialists.classify import ENCODERS
from models.types import Digest
from runtime.errors import DocumentInvalid, UsageError
from runtime.registry import Registry
from runtime.training import kept
from runtime.training.comparing import Comparison, compare, fitted
from runtime.training.doubts import doubts
from runtime.training.examples import Columns, Example, Examples, read
from runtime.training.fitting import Floats
from runtime.training.kept import Rows
from runtime.training.measuring import Measured
from runtime.training.report import about

LEAST_ROWS = 8
"""With fewer, no figure would mean anything; ten for each label are a good start."""
EMBEDDED_AT_ONCE = 64
"""Texts between two reports of progress: about a second of work on a small device."""
NAMED_LABELS = 6

Progress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, and how much there is."""

_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Trained:
    """A specialist that was made from examples."""

    spec: SpecialistSpec
    measured: Measured
    rows: int
    """Rows that it was fitted on."""
    counts: dict[str, int]
    """Rows of each label in the file."""
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update came to."""

    name: str
    version: int
    """The one in use now."""
    compared: Comparison
    added: int
    """Rows that were new."""
    warnings: tuple[str, ...]
    seconds: float


async def add(
    name: str, file: Path, folder: Path, *, pool: Pool, registry: Registry, columns: Columns, progress: Progress
) -> Trained:
    """Make a specialist from the examples in a file. Raises CoveyError, ModelsError."""
    started = time.perf_counter()
    require_free(name, folder, registry)
    progress("reading", 0, 0)
    examples = await asyncio.to_thread(read, file, columns)
    _enough(file, examples)
    with kept.changing(folder):
        rows, encoder = await _embedded(pool, examples.rows, progress)
        progress("measuring", 0, 0)
        head, measured = await asyncio.to_thread(fitted, name, rows, encoder)
        spec = _spec(name, list(examples.counts))
        await asyncio.to_thread(kept.save, spec, head, rows, about(measured, rows.labels), folder, number=1)
    warnings = tuple(doubts(examples))
    return Trained(spec, measured, len(rows.labels), examples.counts, warnings, time.perf_counter() - started)


async def update(
    name: str, file: Path | None, folder: Path, *, pool: Pool, columns: Columns, progress: Progress
) -> Updated:
    """Fit again with more examples, measure both versions on rows that neither has seen, and keep the better.

    Raises CoveyError, ModelsError.
    """
    started = time.perf_counter()
    with kept.changing(folder):
        old = await asyncio.to_thread(kept.load, name, folder)
        examples = Examples((), {})
        if file is not None:
            progress("reading", 0, 0)
            examples = await asyncio.to_thread(read, file, columns)
            _some(file, examples)
        fresh, warnings = _fresh(old.rows, examples)
        new, encoder = await _embedded(pool, fresh, progress)
        if old.head.encoder != encoder:
            raise BadArtifact(
                f"{name} was made with another encoder than the installed one, so its rows can't be used with new "
                f"ones. Run `covey specialists remove {name}` and add it again from all your examples."
            )
        progress("measuring", 0, 0)
        compared = await asyncio.to_thread(compare, old.head, old.rows, new)
        number = old.number
        if compared.kept == "new":
            number += 1
            said = about(compared.measured, compared.rows.labels)
            spec = _spec(name, compared.head.labels)
            await asyncio.to_thread(kept.save, spec, compared.head, compared.rows, said, folder, number=number)
    warnings += [*_new_labels(old.head.labels, examples), *doubts(examples, Counter(old.rows.labels))]
    return Updated(name, number, compared, len(fresh), tuple(warnings), time.perf_counter() - started)


def require_free(name: str, folder: Path, registry: Registry) -> None:
    """Raises UsageError when a specialist can't have this name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't be a specialist's name. Use small letters, digits, and - . _ between them, "
            "for example: covey specialists add triage --examples mails.csv"
        )
    for entry in registry.entries:
        if name in (entry.spec.name, entry.capability):
            own = entry.origin == "owner"
            way = f"Update it with `covey specialists update {name}`, remove it, or c" if own else "C"
            whose = "one of your own specialists" if own else "a specialist that is already here"
            raise UsageError(f"{name!r} is the name of {whose}. {way}hoose another name.")
    if (folder / f"{name}.toml").exists():
        raise UsageError(
            f"There is a spec {name}.toml that can't be used. Run `covey specialists remove {name}` "
            "or choose another name."
        )


def _enough(file: Path, examples: Examples) -> None:
    """Raises DocumentInvalid when nothing can be learnt from the examples."""
    _some(file, examples)
    labels = {row.label for row in examples.rows}
    if len(labels) == 1:
        raise DocumentInvalid(
            f"{file.name} has one label only ({min(labels)!r}). Add examples of at least one other label."
        )
    several = sum(count > 1 for count in examples.counts.values())
    if len(examples.rows) < LEAST_ROWS or several < 2:
        count = len(examples.rows)
        raise DocumentInvalid(
            f"{file.name} has too little to learn from ({count} different rows, {several} labels with two or more). "
            f"Give at least {LEAST_ROWS} rows, better ten for each label."
        )


def _some(file: Path, examples: Examples) -> None:
    if not examples.rows:
        raise DocumentInvalid(f"{file.name} has no row with both a text and a label. Add some below its first line.")


async def _embedded(pool: Pool, examples: Sequence[Example], progress: Progress) -> tuple[Rows, Digest]:
    """Return the vectors of the texts, as exact as they are kept, and the encoder's digest. Raises ModelsError."""
    parts: list[Floats] = []
    async with pool.encoder(ENCODERS) as encoder:
        for start in range(0, len(examples), EMBEDDED_AT_ONCE):
            progress("embedding", start, len(examples))
            parts.append(await encoder.encode([row.text for row in examples[start : start + EMBEDDED_AT_ONCE]]))
        digest = encoder.artifacts[0]
    vectors = np.concatenate(parts).astype(np.float16).astype(np.float32) if parts else np.zeros((0, 0), np.float32)
    return Rows(vectors, tuple(row.label for row in examples), tuple(row.digest for row in examples)), digest


def _fresh(old: Rows, examples: Examples) -> tuple[list[Example], list[str]]:
    """Return the rows that say something new, and sentences about the others."""
    known = dict(zip(old.digests, old.labels, strict=True))
    fresh = [row for row in examples.rows if known.get(row.digest) != row.label]
    said = []
    if len(fresh) < len(examples.rows):
        said.append(f"{len(examples.rows) - len(fresh)} of the rows are in it already.")
    corrected = sum(row.digest in known for row in fresh)
    if corrected:
        said.append(f"{corrected} texts had another label before; the new one counts.")
    return fresh, said


def _new_labels(labels: Sequence[str], examples: Examples) -> list[str]:
    """Return sentences about labels that the old version does not have."""
    new = [label for label in examples.counts if label not in labels]
    return [f"New labels: {', '.join(new[:NAMED_LABELS])}{'' if len(new) <= NAMED_LABELS else ', …'}."] if new else []


def _spec(name: str, labels: Sequence[str]) -> SpecialistSpec:
    named = ", ".join(labels[:NAMED_LABELS]) + (
        f" and {len(labels) - NAMED_LABELS} more" * (len(labels) > NAMED_LABELS)
    )
    return SpecialistSpec(
        name=name,
        runner="classify",
        summary=f"Labels a text by your own examples: {named}.",
        models=ENCODERS,
        head=kept.stem_of(name, 1),
        requests=(f"{name} this message", f"run {name} on this text"),
    )
