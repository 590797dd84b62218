"""How long until something is on the screen, and how much memory a node holds."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from scripts.benches import servers
from scripts.benches.figures import Report, Row, alone
from scripts.benches.setup import Setup, say

ABOUT = "start-up of the commands, and memory of the processes"
SUM = "What is 17.5% of 2,340 plus 12?"
WRITES = ("ask", "--as", "generate", "Say hello.")


async def run(setup: Setup) -> Report:
    times = setup.count(3, 15)
    with tempfile.TemporaryDirectory(prefix="covey-bench-") as made:
        home = Path(made)
        (home / "models").symlink_to(setup.home / "models")
        (home / "settings.toml").write_text(f'[models]\ngenerate = ["{setup.model}"]\n')
        rows = [
            await _timed("covey --help", ("--help",), home, times),
            await _timed("covey ask, computed", ("ask", SUM), home, times),
            await _timed("covey ask, written, no node up", WRITES, home, times),
        ]
        rows += await _with_a_node(setup, home, times)
    return Report("startup", ABOUT, tuple(rows), settings={"times": times})


async def _with_a_node(setup: Setup, home: Path, times: int) -> list[Row]:
    async with servers.covey(setup.home, settings=home / "settings.toml") as node:
        idle = node.memory_bytes()
        started = alone("covey up, until it listens", "s", [node.started_s], "lower")
        rows = [
            await _timed("covey ask, computed, node up", ("ask", SUM), node.home, times),
            await _timed("covey ask, written, node up", WRITES, node.home, times),
        ]
        await servers.warm(node.url, setup.model)
        loaded = node.memory_bytes()
    say(f"idle {idle / 1e6:.0f} MB, with the model {loaded / 1e6:.0f} MB")
    return [
        started,
        *rows,
        alone("memory of an idle node", "MB", [idle / 1e6], "lower"),
        alone(f"memory with {setup.model} in use", "MB", [loaded / 1e6], "lower"),
    ]


async def _timed(what: str, words: tuple[str, ...], home: Path, times: int) -> Row:
    """Run a command once for the disk's sake, then so many times more."""
    seconds = [await _once(words, home) for _ in range(times + 1)][1:]
    say(f"{what}: {min(seconds):.2f} s at best")
    return alone(what, "s", seconds, "lower")


async def _once(words: tuple[str, ...], home: Path) -> float:
    program = shutil.which("covey", path=str(Path(sys.executable).parent)) or ""
    command = [program] if program else [sys.executable, "-m", "runtime.cli.main"]
    environ = {**os.environ, "COVEY_HOME": str(home), "COVEY_OFFLINE": "1", "COVEY_DISCOVERY": "off"}
    quiet = asyncio.subprocess.DEVNULL
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *command, *words, stdin=quiet, stdout=quiet, stderr=quiet, env=environ
    )
    if await process.wait():
        raise servers.NotStarted(f"covey {' '.join(words)} ended with {process.returncode}")
    return time.perf_counter() - began
