"""What the tests of specialists share: a specialist over a scripted model, and one request to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import specialist as specialists
from models.backends.scripted import ScriptedPool, ScriptedReranker, ScriptedText
from models.types import Chunk, Json, Request, Result, Specialist

SPECS = Path(specialists.__file__).parent / "specialists"
MODEL = "qwen2.5-coder-0.5b"


def over(name: str, model: ScriptedText, *, reranker: bool = False, **changes: Any) -> Specialist:
    """Return the specialist of that name over a scripted model, its spec changed as said."""
    spec = replace(specialists.read_spec(SPECS / f"{name}.toml"), **changes)
    return specialists.build(
        spec, ScriptedPool({MODEL: model}, {}, {"reranker-en": ScriptedReranker()} if reranker else {})
    )


async def told(specialist: Specialist, given: Mapping[str, Json], **more: Any) -> tuple[list[Chunk], Result]:
    """Return the chunks and the result of one request."""
    chunks: list[Chunk] = []
    results: list[Result] = []
    async for item in specialist.run(Request(specialist.capability, given, **more)):
        if isinstance(item, Chunk):
            chunks.append(item)
        else:
            results.append(item)
    assert len(results) == 1, "a stream ends in exactly one Result"
    return chunks, results[0]


def document(text: str, name: str = "note.txt") -> dict[str, Json]:
    return {"name": name, "text": text}
