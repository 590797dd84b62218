"""A digest of the source code that an answer depends on: a module and all of ours that it imports, to the end."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = ("models", "peers", "hub", "runtime")


def code_digest(modules: Iterable[str]) -> str:
    """Return one digest over the files of the modules and of what they import from Covey."""
    digest = hashlib.sha256()
    for path in sorted(_reached(modules)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _reached(modules: Iterable[str]) -> set[Path]:
    waiting, seen = [path for name in modules if (path := _file(name))], set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += _imported(path)
    return seen


@cache
def _imported(path: Path) -> tuple[Path, ...]:
    tree = ast.parse(path.read_bytes())
    return tuple(dict.fromkeys(found for name in _names(tree) if (found := _file(name))))


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)
            case _:
                pass


def _file(module: str) -> Path | None:
    """Return the file of a module of ours; None for any other name."""
    if module.partition(".")[0] not in OURS:
        return None
    base = ROOT.joinpath(*module.split("."))
    return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
