"""Starts `models.engine.measure` for one job and returns what it says. Blocking."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from models.engine import framing
from models.engine.environment import environment, program
from models.errors import BackendError, StoreFull, WorkerDied
from models.tuned import Speed

JOB_S = 1800.0
"""Seconds that making or measuring one layout may take: some minutes for a model of 4 GB."""

SAMPLE_TOKENS = 4096
"""Most tokens of the sample that are read: all of it with every vocabulary at hand; never fewer than 600."""

_COMMAND = program("models.engine.measure")


class Measures(Protocol):
    """Makes and measures weights; a scripted one stands in for it in tests."""

    def quantize(self, source: Path, target: Path, layout: str, threads: int) -> None:
        """Write the weights of `source` in another layout. Raises BackendError, WorkerDied, StoreFull."""
        ...

    def measure(
        self, path: Path, settings: Sequence[tuple[int, int]], *, perplexity: bool
    ) -> tuple[float | None, list[Speed]]:
        """Return the perplexity, if wanted, and the speed at each (threads, rows). Raises BackendError, WorkerDied."""
        ...


class Measurer:
    """The real one: a process of its own for each job, because llama.cpp may abort."""

    def __init__(self, sample_tokens: int = SAMPLE_TOKENS) -> None:
        self._sample_tokens = sample_tokens

    def quantize(self, source: Path, target: Path, layout: str, threads: int) -> None:
        job = {"op": "quantize", "source": str(source), "target": str(target), "layout": layout, "threads": threads}
        _run(job)

    def measure(
        self, path: Path, settings: Sequence[tuple[int, int]], *, perplexity: bool
    ) -> tuple[float | None, list[Speed]]:
        job = {"op": "measure", "path": str(path), "settings": list(settings), "perplexity": perplexity}
        reply = _run({**job, "sample_tokens": self._sample_tokens})
        return reply["perplexity"], [Speed(*speed) for speed in reply["speeds"]]


def _threads(job: dict[str, Any]) -> int:
    return int(job.get("threads") or max(threads for threads, _ in job["settings"]))


def _run(job: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to one job; the process is gone afterwards, whatever happened."""
    process = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(_threads(job)),
    )
    assert process.stdin is not None and process.stdout is not None
    late = threading.Event()

    def give_up() -> None:
        late.set()
        process.kill()

    limit = threading.Timer(JOB_S, give_up)
    limit.start()
    try:
        process.stdin.write(framing.encode(job))
        process.stdin.flush()
        reply = framing.read(process.stdout)
    except (BrokenPipeError, framing.BrokenFrame):
        reply = None
    finally:
        limit.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stdin.close()
    if reply is None and late.is_set():
        raise BackendError(
            f"One step of tuning took more than {JOB_S / 60:.0f} minutes, which is too long; close other programs and "
            "tune the model again, or leave it as it is."
        )
    if reply is None:
        raise WorkerDied("The process that measures ended unexpectedly; tune the model again.")
    if reply["op"] == "failed":
        raise (StoreFull if reply["code"] == StoreFull.code else BackendError)(reply["message"])
    return reply
