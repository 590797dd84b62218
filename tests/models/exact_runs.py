"""Running a deterministic specialist from its own spec file, as the node does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import models.specialists
from models.backends.scripted import ScriptedPool
from models.specialist import SpecialistSpec, build, read_spec
from models.types import Authority, Chunk, Effect, Json, Request, Result

NAMES = ("calculate", "convert", "when", "find", "filetype")


def spec(name: str) -> SpecialistSpec:
    folder = Path(next(iter(models.specialists.__path__)))
    return read_spec(folder / f"{name}.toml")


def stream(name: str, given: Mapping[str, Json], *, may_read: bool = True) -> list[Chunk | Result]:
    """Return all that the specialist yields."""
    authority = Authority(effects=frozenset({Effect.READ_FILE} if may_read else ()))
    specialist = build(spec(name), ScriptedPool())

    async def collect() -> list[Chunk | Result]:
        return [item async for item in specialist.run(Request(name, given, authority=authority))]

    return asyncio.run(collect())


def run(name: str, given: Mapping[str, Json], *, may_read: bool = True) -> Result:
    result = stream(name, given, may_read=may_read)[-1]
    assert isinstance(result, Result)
    return result


def others_requests(name: str) -> list[str]:
    """Return the requests that train the other deterministic specialists."""
    return [text for other in NAMES if other != name for text in spec(other).requests]
