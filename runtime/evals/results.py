"""Results that were already computed, kept by a digest of all they depend on, so that a stopped run goes on.

One SQLite file; each result is committed as it comes, so that a killed run loses at most the row it was at.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from models.types import Json, Request, Result
from runtime.db import Database


@dataclass(frozen=True, slots=True)
class Answered:
    """What is kept of one result: all that metrics read."""

    output: Json
    refused: str | None = None
    reason: str = ""
    """The refusal's or error's sentence."""
    confidence: float = 0.0
    scores: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    prompt_tokens: int = 0
    tokens: int = 0
    model: str = ""
    artifacts: tuple[str, ...] = ()
    passed: bool | None = None


def answered(result: Result, seconds: float) -> Answered:
    """Return what is kept of a result that took so long."""
    return Answered(
        output=None if result.abstained else result.output,
        refused=result.refusal.code.value if result.refusal else None,
        reason=result.refusal.reason if result.refusal else "",
        confidence=result.confidence,
        scores=dict(result.signals.scores),
        seconds=seconds,
        prompt_tokens=result.usage.prompt_tokens,
        tokens=result.usage.completion_tokens,
        model=result.model,
        artifacts=tuple(result.artifacts),
    )


def key_of(request: Request, fingerprint: str, tests: str = "") -> str:
    """Return the digest of a request and of what answers it."""
    parts = [fingerprint, request.capability, dict(request.input), request.seed, request.budget_tokens, tests]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _v1(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE result (key TEXT PRIMARY KEY, body TEXT NOT NULL, at_s INTEGER NOT NULL) STRICT")


class Results:
    """The kept results. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = Database(path, (_v1,))

    def get(self, key: str) -> Answered | None:
        with self._db.reading() as db:
            found = db.execute("SELECT body FROM result WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        body = json.loads(found[0])
        return Answered(**{**body, "artifacts": tuple(body["artifacts"])})

    def put(self, key: str, result: Answered) -> None:
        body = json.dumps(asdict(result), ensure_ascii=False)
        with self._db.writing() as db:
            db.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?)", (key, body, int(time.time())))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()
