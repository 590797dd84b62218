"""Checking a device: each check is a small function that returns a finding, with what to do when it is not well.

Nothing is changed and nothing goes over the network; that part is in network_doctor.py.
"""

from __future__ import annotations

import platform
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from models.catalog import needed_bytes, starter_set
from models.errors import ModelsError
from models.manifest import Manifest
from models.pool import ModelPool
from models.store import Store
from models.tune import settings_said
from models.tuned import Tuned
from runtime import config, db, paths
from runtime.errors import ConfigError, CoveyError
from runtime.journal import Journal

OLDEST_PYTHON, TOO_NEW_PYTHON = (3, 11), (3, 14)
OLDEST_SQLITE = (3, 37)
"""The first with STRICT tables."""
LOW_DISK_BYTES, FULL_DISK_BYTES = 2 * 10**9, 100 * 10**6
"""Below the first no further model fits; below the second the journal itself is in danger."""
LIBRARIES = ("llama_cpp", "onnxruntime", "llguidance")
"""Compiled libraries without which no model runs."""
IMPORT_TIMEOUT_S = 60.0
"""For importing one of them from a cold, slow card."""
STUCK_AFTER_S = 3600.0
"""A task without an end that was silent for so long is no longer being worked on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    name: str
    status: Literal["ok", "warn", "fail"]
    sentence: str
    cure: str = ""
    """What to do; empty when all is well."""
    cause: str = ""
    """What is wrong with the network, as a word for programs; empty for other checks."""


def examine(root: Path) -> Iterator[Finding]:
    """Run every check on the node whose folder this is, in an order in which the first failure explains the others."""
    import psutil  # heavy, first use only

    yield check_python(sys.version_info[:2])
    yield check_sqlite(sqlite3.sqlite_version_info)
    yield from check_libraries(LIBRARIES)
    yield check_compiler(_compiler())
    yield check_home(root)
    yield check_privacy(root)
    yield check_settings(paths.settings_file(root))
    yield check_disk(shutil.disk_usage(_existing(root)).free, root)
    try:
        store, starters = Store(paths.models_dir(root)), starter_set()
        installed = store.installed()
    except ModelsError as error:
        yield Finding("models", "fail", str(error), "Install Covey again: scripts/covey repairs the set-up.")
    else:
        yield check_models(installed.keys(), starters)
        tuned = [found for manifest in installed.values() if (found := store.tuned(manifest))]
        yield check_tuned(tuned, metadata.version("llama-cpp-python"))
        own = _settings(root)
        budget_bytes = own.memory_budget_bytes(psutil.virtual_memory().total)
        pool = ModelPool(store, budget_bytes=budget_bytes, threads=1, choice=own.language_models())
        counted = {one.model: one.memory_bytes for name in installed if (one := pool.at_hand([name]))}
        yield check_memory(budget_bytes, {one.id: needed_bytes(one) for one in starters} | counted)
    yield check_journal(paths.journal_file(root))


def check_python(version: Sequence[int]) -> Finding:
    said = f"Python {'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if OLDEST_PYTHON <= tuple(version) < TOO_NEW_PYTHON:
        return Finding("python", "ok", said)
    return Finding("python", "fail", f"{said} is not supported", "Install Python 3.11, 3.12 or 3.13.")


def check_sqlite(version: Sequence[int]) -> Finding:
    said = f"SQLite {'.'.join(map(str, version))}"
    if tuple(version) >= OLDEST_SQLITE:
        return Finding("sqlite", "ok", said)
    return Finding("sqlite", "fail", f"{said} is too old for the journal", "Use a Python with SQLite 3.37 or newer.")


def check_libraries(names: Sequence[str]) -> list[Finding]:
    """Import each library in a process of its own: one built for another processor would end this one."""
    with ThreadPoolExecutor(len(names)) as executor:
        return list(executor.map(check_library, names))


def check_library(name: str) -> Finding:
    code = f"import {name} as m; print(getattr(m, '__version__', ''))"
    cure = "Run scripts/covey: it repairs the set-up."
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(name, "fail", f"{name} did not start within {IMPORT_TIMEOUT_S:.0f} s", cure)
    if done.returncode == 0:
        return Finding(name, "ok", f"{name} {done.stdout.strip()}".rstrip())
    if done.returncode < 0:
        stopped_by = signal.Signals(-done.returncode).name
        return Finding(name, "fail", f"{name} crashes here ({stopped_by}): it was built for another processor", cure)
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Finding(name, "fail", f"{name} can't be imported: {reason}", cure)


def check_compiler(found: str) -> Finding:
    if found:
        return Finding("compiler", "ok", f"C++ compiler {found}")
    return Finding(
        "compiler",
        "warn",
        "there is no C++ compiler; only building llama.cpp anew would need one",
        "Install one if the set-up asks for it: for example `apt install g++` or `xcode-select --install`.",
    )


def check_home(root: Path) -> Finding:
    """Write and remove a file, because permissions alone do not tell of a read-only disk."""
    try:
        with tempfile.NamedTemporaryFile(dir=_existing(root), prefix=".covey-doctor-"):
            pass
    except OSError as error:
        found = paths.not_writable(root, error)
        return Finding("folder", "fail", *_split(str(found)))
    return Finding("folder", "ok", f"{root} can be written")


def check_privacy(root: Path) -> Finding:
    if not root.exists():
        return Finding("privacy", "ok", f"{root} will be made for its owner only")
    mode = root.stat().st_mode & 0o777
    if sys.platform != "win32" and mode & 0o077:
        return Finding(
            "privacy", "warn", f"{root} is open to other users (mode {mode:o})", f"Run `chmod 700 '{root}'`."
        )
    return Finding("privacy", "ok", f"{root} is open to its owner only")


def check_settings(path: Path) -> Finding:
    try:
        config.load(path)
    except ConfigError as error:
        return Finding("settings", "fail", *_split(str(error)))
    return Finding("settings", "ok", f"{path} is valid" if path.exists() else "no settings file; the defaults are used")


def check_disk(free_bytes: int, root: Path) -> Finding:
    said = f"{free_bytes / 1e9:.1f} GB free on the disk of {root}"
    if free_bytes >= LOW_DISK_BYTES:
        return Finding("disk", "ok", said)
    cure = "Free some space, or remove models that you do not use: `covey models remove NAME`."
    return Finding("disk", "warn" if free_bytes >= FULL_DISK_BYTES else "fail", said, cure)


def check_models(installed: Collection[str], starters: Sequence[Manifest]) -> Finding:
    missing = [one.id for one in starters if one.id not in installed]
    if not missing:
        return Finding("models", "ok", f"installed: {', '.join(sorted(installed))}")
    return Finding(
        "models",
        "warn",
        f"models of the starter set are missing: {', '.join(missing)}",
        f"Run `covey models pull {missing[0]}`" + (" and so on." if len(missing) > 1 else "."),
    )


def check_tuned(tuned: Sequence[Tuned], version: str) -> Finding:
    """Figures measured with another version of the library say little about this one."""
    if not tuned:
        return Finding("tuning", "ok", "no model is tuned; `covey models tune` may make answers faster here")
    said = ", ".join(f"{one.id} ({settings_said(one)})" for one in tuned)
    old = [one.id for one in tuned if one.library.split()[-1] != version]
    if not old:
        return Finding("tuning", "ok", f"tuned for this device: {said}")
    cure = f"Run `covey models tune {old[0]} --undo`, then `covey models tune {old[0]}`."
    return Finding("tuning", "warn", f"tuned with another version of llama.cpp: {', '.join(old)}", cure)


def check_memory(budget_bytes: int, needs: Mapping[str, int]) -> Finding:
    """`needs`: what each model is counted with."""
    said = f"models may use {budget_bytes / 1e9:.1f} GB of memory"
    large = sorted(name for name, need in needs.items() if need > budget_bytes)
    if not large:
        return Finding("memory", "ok", said)
    return Finding(
        "memory",
        "fail" if len(large) == len(needs) else "warn",
        f"{said}, too little for {', '.join(large)}",
        "Raise memory_budget_mb in settings.toml, lower context_tokens or state_tokens, or use smaller models.",
    )


def check_journal(path: Path) -> Finding:
    if not path.exists():
        return Finding("journal", "ok", "no journal yet; the first request starts it")
    try:
        with db.Database(path) as database:
            with database.reading() as connection:
                complaint = db.check(connection)
            stuck = Journal(database).resumable(idle_s=STUCK_AFTER_S)
    except CoveyError as error:
        return Finding("journal", "fail", *_split(str(error)))
    if complaint != "ok":
        cure = f"Move it away: mv '{path}' '{path}.damaged'. A fresh one is started."
        return Finding("journal", "fail", f"the journal {path} is damaged ({complaint})", cure)
    if stuck:
        return Finding("journal", "ok", f"the journal is sound; {len(stuck)} requests in it were never finished")
    return Finding("journal", "ok", "the journal is sound")


def _settings(root: Path) -> config.Settings:
    try:
        return config.load(paths.settings_file(root))
    except ConfigError:  # reported by its own check
        return config.Settings()


def _compiler() -> str:
    return next((found for name in ("c++", "g++", "clang++", "cl") if (found := shutil.which(name))), "")


def _existing(path: Path) -> Path:
    """Return the path, or its nearest parent that exists: where a first start would make the folder."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _split(sentence: str) -> tuple[str, str]:
    """Return what happened and what to do, which our errors say in this order."""
    happened, stop, cure = sentence.partition(". ")
    return (happened, cure) if stop else (sentence, "")
