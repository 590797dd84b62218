"""`covey hub serve` as a process of its own on one host, known as a hub on another."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scripts.swarms.nodes import NodeError, SwarmNode

LOOPBACK = "127.0.0.1"


@contextmanager
def serving(
    hub: SwarmNode, asker: SwarmNode, model: str, name: str, *, known_as: Sequence[str] = (), quota: Sequence[str] = ()
) -> Iterator[str]:
    """Serve a model on one node, and let the other know it under a name; gives its address. Raises NodeError.

    `known_as`: further options of `covey hub add` on the asker, `quota`: of `covey hub token` on the hub.
    """
    token = hub.run("hub", "token", asker.name, *quota)["token"]
    where = ("--host", hub.host.address) if hub.host else ("--host", LOOPBACK, "--port", "0")
    process = subprocess.Popen(
        hub.line("hub", "serve", *where, "--json"),
        env=hub.environment,
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or "{}")
        if said.get("status") != "up":
            raise NodeError(f"The hub did not start: {said}")
        pin = ("--pin", said["pin"]) if said["pin"] else ()
        line = asker.line("hub", "add", name, said["urls"][0], "--model", model, "--key", *pin, *known_as, "--json")
        subprocess.run(line, env=asker.environment, input=token, text=True, check=True, capture_output=True)
        yield said["urls"][0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
