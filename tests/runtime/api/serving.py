"""What the tests of the API share: a real server on any port over scripted models, and a real client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from models.backend import GenerateCall
from models.backends.scripted import ScriptedPool, ScriptedText
from models.errors import WorkerDied
from runtime import paths
from runtime.api.gate import Gate
from runtime.api.server import Server, serving
from runtime.node import Node, open_node

MODEL = "smollm2-135m"


@dataclass
class Door:
    """A running server and a client of it."""

    node: Node
    server: Server
    client: aiohttp.ClientSession

    def chat(self, **fields: Any) -> Any:
        """Post a chat request; what is not given is small and valid."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello there"}], **fields}
        return self.client.post("/v1/chat/completions", json=body)


@asynccontextmanager
async def door(home: Path, *models: ScriptedText, gate: Gate | None = None) -> AsyncIterator[Door]:
    """Serve scripted models; the first one is `smollm2-135m`."""
    names = (MODEL, "qwen2.5-coder-0.5b")
    pool = ScriptedPool(dict(zip(names, models, strict=False)))
    async with (
        open_node(paths.ensure_home(home), pool=pool) as node,
        serving(node, 0, gate) as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client,
    ):
        yield Door(node, server, client)


async def fault(response: aiohttp.ClientResponse) -> tuple[int, dict[str, Any]]:
    """Return status and error object, having checked that the body is of the documented shape."""
    body = json.loads(await response.text())
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"].endswith(".")
    return response.status, body["error"]


def events(data: bytes) -> list[Any]:
    """Return the JSON of each event; the stream must end in [DONE]."""
    assert data.endswith(b"data: [DONE]\n\n")
    blocks = data.split(b"\n\n")[:-2]
    assert all(block.startswith(b"data: ") and b"\n" not in block for block in blocks)
    return [json.loads(block.removeprefix(b"data: ")) for block in blocks]


class DiesOnce(ScriptedText):
    """Loses its worker after three tokens, the first time."""

    async def generate(self, call: GenerateCall):  # type: ignore[no-untyped-def,override]
        lost = not call.resume_tokens
        async for item in super().generate(call):
            if lost and getattr(item, "index", 0) >= 3:
                raise WorkerDied("The process ended. Ask again.")
            yield item
