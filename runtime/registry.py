"""All specialists of this node: the built-in specs, those of installed packages, and the owner's own.

A broken spec is left out and reported; it never stops the node. Where several offer one capability,
the owner's come first, then packages', then the built-in one.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

import models.specialists
from models.errors import ManifestError
from models.specialist import RUNNERS, Pool, SpecialistSpec, build, read_spec
from models.types import Specialist
from runtime.checks import unknown_checks
from runtime.compile import Offer
from runtime.errors import NotFound, UsageError
from runtime.signatures import SIGNATURES

GROUP = "covey.specialists"
"""Entry point group. An entry is a SpecialistSpec, or a class taking (spec, pool) with a `spec` attribute."""
BUILT_IN = Path(models.specialists.__path__[0])
MAX_SPEC_BYTES = 256 * 1024
"""A spec is a page of text; a larger file is something else."""

Origin = Literal["owner", "package", "built-in"]
Build = Callable[[SpecialistSpec, Pool], Specialist]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One specialist that can be built."""

    spec: SpecialistSpec
    origin: Origin
    where: str
    """The file, or the package's entry point."""
    build: Build = build

    @property
    def capability(self) -> str:
        return self.spec.capability or self.spec.name

    @property
    def deterministic(self) -> bool:
        return not self.spec.models


@dataclass(frozen=True, slots=True)
class Broken:
    """A spec that could not be used, with the sentence that says why."""

    where: str
    reason: str


class Registry:
    """The specialists that were found, in order of preference."""

    def __init__(self, entries: Iterable[Entry], broken: Sequence[Broken] = ()) -> None:
        self.entries = tuple(entries)
        self.broken = tuple(broken)

    def named(self, name: str) -> Entry:
        """Raises NotFound."""
        for entry in self.entries:
            if entry.spec.name == name:
                return entry
        raise NotFound(f"There is no specialist {name!r}. Run `covey specialists list` to see them.")

    def serving(self, capability: str) -> Entry | None:
        """Return who serves a capability: an exact offer, else a general one (`extract` for `extract.event`)."""
        wanted = capability
        while wanted:
            for entry in self.entries:
                if entry.capability == wanted or entry.spec.name == wanted:
                    return entry
            wanted = wanted.rpartition(".")[0]
        return None

    def offers(self, capability: str) -> Mapping[str, Offer]:
        """Return what the plan compiler needs to know of a capability; empty when nobody offers it."""
        entry = self.serving(capability)
        if entry is None:
            return {}
        tokens = 0 if entry.deterministic else entry.spec.max_tokens
        return {capability: Offer(capability, SIGNATURES[entry.spec.runner], tokens)}

    @property
    def capabilities(self) -> tuple[str, ...]:
        return tuple(sorted({entry.capability for entry in self.entries}))

    @property
    def own(self) -> frozenset[str]:
        """Return the capabilities that no built-in specialist has: the owner's and those of packages."""
        built_in = {entry.capability for entry in self.entries if entry.origin == "built-in"}
        return frozenset(self.capabilities) - built_in

    @property
    def specs(self) -> tuple[SpecialistSpec, ...]:
        return tuple(entry.spec for entry in self.entries)


def load(folder: Path, *, models_of: Mapping[str, Sequence[str]] | None = None) -> Registry:
    """Return all specialists; `folder` holds the owner's own specs.

    `models_of` gives a specialist other models than its spec names, best first.
    """
    entries: list[Entry] = []
    broken: list[Broken] = []
    for found in (
        *_files(folder, "owner"),
        *offered(metadata.entry_points(group=GROUP)),
        *_files(BUILT_IN, "built-in"),
    ):
        if isinstance(found, Broken):
            logger.warning("a specialist was left out: %s", found.reason)
            broken.append(found)
        elif all(entry.spec.name != found.spec.name for entry in entries):
            chosen = (models_of or {}).get(found.spec.name)
            entries.append(replace(found, spec=replace(found.spec, models=tuple(chosen))) if chosen else found)
    return Registry(entries, broken)


def add(file: Path, folder: Path, name: str = "") -> SpecialistSpec:
    """Copy a valid spec into the owner's folder. Raises ManifestError, UsageError."""
    spec = _checked(file)
    if name and name != spec.name:
        raise UsageError(f"{file} describes {spec.name!r}, not {name!r}. Change its field `name`, or the command.")
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{spec.name}.new"
    try:
        shutil.copyfile(file, fresh)
        fresh.replace(folder / f"{spec.name}.toml")
    finally:
        fresh.unlink(missing_ok=True)
    return spec


def remove(name: str, folder: Path) -> Path:
    """Delete one of the owner's specs and return its file. Raises NotFound."""
    for file in sorted(folder.glob("*.toml")):
        if file.stem == name or _named(file) == name:
            file.unlink()
            return file
    raise NotFound(f"{name!r} is not one of your own specialists. Run `covey specialists list` to see which are.")


def _files(folder: Path, origin: Origin) -> Iterable[Entry | Broken]:
    for file in sorted(folder.glob("*.toml")):
        try:
            yield Entry(_with_own_head(_checked(file), file), origin, str(file))
        except ManifestError as error:
            yield Broken(str(file), str(error))


def _with_own_head(spec: SpecialistSpec, file: Path) -> SpecialistSpec:
    """Return the spec with the place of its head, where one of that name lies beside the spec."""
    beside = file.parent / f"{spec.head}.npz"
    return replace(spec, head=str(beside.with_suffix(""))) if spec.head and beside.is_file() else spec


def _checked(file: Path) -> SpecialistSpec:
    """Return the spec of a file that can be used here. Raises ManifestError."""
    if file.exists() and not file.is_file():  # a pipe or a device may have no end
        raise ManifestError(f"{file} is no ordinary file. Give a TOML file.")
    if file.exists() and file.stat().st_size > MAX_SPEC_BYTES:
        raise ManifestError(f"{file}: larger than {MAX_SPEC_BYTES // 1024} KB, so it is no spec. Give a TOML file.")
    spec = read_spec(file)
    _usable(spec, str(file))
    return spec


def _usable(spec: SpecialistSpec, where: str) -> None:
    strange = unknown_checks(spec.postconditions)
    if strange:
        raise ManifestError(f"{where}: field postconditions: there is no check {strange[0]!r}. Correct the name.")
    if spec.runner not in SIGNATURES:
        raise ManifestError(
            f"{where}: field runner: {spec.runner!r} is not one of {', '.join(sorted(RUNNERS))}. Choose one of these."
        )


def offered(points: Iterable[metadata.EntryPoint]) -> Iterable[Entry | Broken]:
    """Yield what installed packages offer; their code is loaded here."""
    for point in points:
        where = f"{point.dist.name if point.dist else '?'}: {point.value}"
        try:
            yield _from_package(point.load(), where)
        except ManifestError as error:
            yield Broken(where, str(error))
        except Exception as error:  # somebody else's code: whatever it does, the node starts
            logger.debug("entry point %s failed", where, exc_info=True)
            yield Broken(where, f"{where} could not be loaded ({error}). Update or uninstall that package.")


def _from_package(found: object, where: str) -> Entry:
    if isinstance(found, SpecialistSpec):
        _usable(found, where)
        return Entry(found, "package", where)
    spec = getattr(found, "spec", None)
    if callable(found) and isinstance(spec, SpecialistSpec):
        _usable(spec, where)
        return Entry(spec, "package", where, found)
    raise ManifestError(f"{where}: neither a SpecialistSpec nor a class with one as `spec`. Update that package.")


def _named(file: Path) -> str:
    try:
        return read_spec(file).name
    except ManifestError:
        return ""
