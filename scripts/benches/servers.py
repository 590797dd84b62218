"""The servers that are compared: a Covey node and llama-server, each on a port of its own on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from scripts.benches import build
from scripts.benches.client import Client, chat

READY_S = 120.0
"""Until a server answers; loading is seconds even from a slow disk."""
STOP_S = 15.0


class NotStarted(Exception):
    """A server did not come up; the message says why."""


@dataclass(frozen=True, slots=True)
class State:
    """The owner's settings of how much a model reads and keeps."""

    context_tokens: int
    state_tokens: int

    def __str__(self) -> str:
        """Return it as the settings file has it.

        >>> str(State(2048, 4096)).splitlines()
        ['context_tokens = 2048', 'state_tokens = 4096']
        """
        return f"context_tokens = {self.context_tokens}\nstate_tokens = {self.state_tokens}"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    url: str
    pid: int
    started_s: float
    """From its start to its first sign of life."""
    home: Path = Path()
    """Of a node: its folder."""

    def memory_bytes(self) -> int:
        """Return what it and its children hold alone, plus their part of what they share (PSS)."""
        return sum(_held(process) for process in self.processes())

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]


def _held(process: psutil.Process) -> int:
    try:
        info = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(info, "pss", 0) or info.rss)


@asynccontextmanager
async def covey(
    home: Path, *, settings: Path | None = None, state: State | None = None, every_token: bool = False
) -> AsyncIterator[Running]:
    """Start a node with a fresh folder over the models of `home`. Raises NotStarted.

    `settings`: a settings file that it gets; `every_token`: each is shown at once, not those of a tenth of a second.
    """
    with tempfile.TemporaryDirectory(prefix="covey-bench-") as made:
        (Path(made) / "models").symlink_to(home / "models")
        if settings is not None:
            shutil.copy(settings, made)
        if state is not None:
            (Path(made) / "settings.toml").write_text(f"{state}\n")
        environ = {**os.environ, "COVEY_HOME": made, "COVEY_DISCOVERY": "off", "COVEY_OFFLINE": "1"}
        began = time.perf_counter()
        words = ["scripts.benches.every_token_node"] if every_token else ["runtime.cli.main", "up", "--port", "0"]
        command = [sys.executable, "-m", *words, "--json"]
        async with _process(command, environ) as process:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), READY_S)
            said = json.loads(line or "{}")
            if "url" not in said:
                raise NotStarted(f"covey up failed: {said.get('error', {}).get('message', 'it ended at once')}")
            yield Running(said["url"].removesuffix("/v1"), process.pid, time.perf_counter() - began, Path(made))


@asynccontextmanager
async def reference(model_file: Path, model: str, options: Sequence[str]) -> AsyncIterator[Running]:
    """Start llama-server with these options. Raises NotStarted."""
    port = _free_port()
    command = [str(build.program("llama-server")), "-m", str(model_file), "-a", model, "--host", "127.0.0.1"]
    began = time.perf_counter()
    async with _process([*command, "--port", str(port), "--no-ui", "--offline", *options], os.environ) as process:
        url = f"http://127.0.0.1:{port}"
        await _healthy(url, process)
        yield Running(url, process.pid, time.perf_counter() - began)


async def warm(url: str, model: str) -> None:
    """Make a server load its model and touch its weights, with words that no bench asks with."""
    async with Client(url, model) as client:
        await client.ask(chat("Ready?", "Say yes."), 8)


@asynccontextmanager
async def _process(command: Sequence[str], environ: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE if "--json" in command else asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environ),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _healthy(url: str, process: asyncio.subprocess.Process) -> None:
    end = time.monotonic() + READY_S
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < end:
            if process.returncode is not None:
                raise NotStarted(f"llama-server ended with {process.returncode}; its options may not suit it")
            try:
                async with session.get(f"{url}/health") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
    raise NotStarted(f"llama-server did not answer within {READY_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
