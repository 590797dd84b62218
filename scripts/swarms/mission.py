"""scripts/mission [--models HOME] [--json]: what Covey is for, in one go, on a made-up home network (Linux, root).

Three hosts in network namespaces: a `pi` with a small model, a `laptop` with a larger one, paired with each other,
and a `hub` away from home (`covey hub serve`, TLS). On the pi three requests are made: one it computes itself, one the
laptop answers, and one of which neither is sure enough: that one goes to the hub, redacted, after the owner has read
it and typed `y`. Printed are the answers, the three traces and the pi's ledger. --models names a Covey folder that has
smollm2-135m, qwen2.5-coder-0.5b and bge-small-en.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import paths
from scripts.swarms.hubs import serving
from scripts.swarms.lan import LanError, lan, missing
from scripts.swarms.nodes import NodeError, SwarmNode, pair, share_models

SMALL, LARGER, FINDER = "smollm2-135m", "qwen2.5-coder-0.5b", "bge-small-en"
SETTINGS = f'[models]\ngenerate = ["{SMALL}"]\n\n[floors]\ngenerate = 0.95\n'
"""The owner of this pi wants to be very sure of what is written freely."""
ASKED = (
    ("What is 17.5% of 2,340 plus 12?",),
    ("Write a Python function that reverses a string.", "--as", "code"),
    (
        "Write one sentence to Anna Schmidt in Dresden that our meeting moved to noon.",
        "--as",
        "generate",
        "--tier",
        "hub",
    ),
)
CONSENT_S = 240.0
QUESTION = b"[n] "


@dataclass(frozen=True, slots=True)
class Told:
    """What one request came to."""

    asked: str
    answer: dict[str, Any]
    trace: str
    screen: str = ""
    """What the owner saw, where something was asked."""


def main(arguments: Sequence[str]) -> int:
    """Run the mission, print it, and return the exit code: 0 when each request was answered where it should be."""
    parser = argparse.ArgumentParser(prog="scripts/mission", description=__doc__, formatter_class=_Plain)
    parser.add_argument("--models", type=Path, default=None, help="a Covey folder that has the models")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments)
    store = (asked.models or paths.home()) / "models"
    try:
        if why := missing():
            raise NodeError(f"No made-up network here: it {why}.")
        with tempfile.TemporaryDirectory(prefix="covey-mission-") as folder:
            told, ledger = run(Path(folder), store, say=_aside)
    except (LanError, NodeError) as error:
        print(
            json.dumps({"status": "failed", "error": {"code": "mission_failed", "message": str(error)}})
            if asked.json
            else error
        )
        return 1
    places = [one.answer["node"] for one in told]
    if asked.json:
        print(json.dumps({"nodes": places, "answers": [one.answer for one in told], "ledger": ledger}))
    else:
        _print(told, ledger)
    return 0 if places == ["this device", "laptop", "far"] else 1


def run(folder: Path, store: Path, *, say: Any) -> tuple[list[Told], list[dict[str, Any]]]:
    """Build the household, make the requests, and return what they came to and the pi's ledger. Raises NodeError."""
    with ExitStack() as stack:
        net = stack.enter_context(lan(("pi", "laptop", "hub")))
        nodes = {name: SwarmNode(name, folder / name, net[name]) for name in ("pi", "laptop", "hub")}
        wanted = {"pi": [SMALL, FINDER], "laptop": [LARGER, FINDER], "hub": [LARGER]}
        for name, node in nodes.items():
            share_models(store, node.home, wanted[name])
            node.run("peers", "home", "--yes")
        pi, laptop, hub = nodes["pi"], nodes["laptop"], nodes["hub"]
        (pi.home / "settings.toml").write_text(SETTINGS)
        for node in (pi, laptop):
            stack.callback(node.down)
            node.up()
        say(f"pi and laptop are paired after {pair(laptop, pi):.1f} s")
        stack.enter_context(hub_for(hub, pi))
        say("a hub is there, away from home, and may be asked when the owner says so")
        told = []
        for words in ASKED:
            say(f"asked on the pi: {words[0]}")
            screen = _with_consent(pi, words) if "hub" in words else ""
            answer = _answer(pi, words, screen)
            told.append(Told(words[0], answer, _text(pi, "traces", "show", answer["trace_id"]), screen))
        entries = pi.run("ledger", "list")["entries"]
        if not pi.run("ledger", "verify")["ok"]:
            raise NodeError("The pi's ledger is not whole.")
        return told, entries


@contextmanager
def hub_for(hub: SwarmNode, pi: SwarmNode) -> Iterator[None]:
    """Serve the larger model on the third host, and let the pi know it as a hub away from home."""
    with serving(hub, pi, LARGER, "far", known_as=("--price-in", "0.5", "--price-out", "1.5")):
        yield


def _answer(pi: SwarmNode, words: Sequence[str], screen: str) -> dict[str, Any]:
    """Return an answer as an object: asked now, or, for one that was asked on a terminal, as its trace has it."""
    if not screen:
        found = pi.run("ask", *words)
        if "answer" not in found:
            raise NodeError(f"{words[0]}: {found}")
        return found
    newest = pi.run("traces", "list")["traces"][0]
    shown = pi.run("traces", "show", newest["trace_id"])
    steps = [span["attributes"] for span in shown["spans"] if span["name"] == "covey.step"]
    last = steps[-1]
    sent = sum(step.get("covey.bytes_out", 0) for step in steps)
    return {
        "answer": shown.get("answer"),
        "node": last["covey.node"],
        "tier": last["covey.tier"],
        "model": last.get("gen_ai.request.model"),
        "bytes_out": sent,
        "trace_id": newest["trace_id"],
    }


def _with_consent(pi: SwarmNode, words: Sequence[str]) -> str:
    """Ask on a terminal, answer the question with `y`, and return what stood on the screen. Raises NodeError."""
    line = pi.line("ask", *words)
    child, screen = pty.fork()
    if child == 0:
        os.execvpe(line[0], line, pi.environment)
    seen, said, ends = b"", False, time.monotonic() + CONSENT_S
    try:
        while time.monotonic() < ends:
            if not select.select([screen], [], [], 1.0)[0]:
                continue
            try:
                piece = os.read(screen, 65536)
            except OSError:  # Linux says so that the other end is closed
                break
            if not piece:
                break
            seen += piece
            if not said and QUESTION in seen:
                os.write(screen, b"y\n")
                said = True
    finally:
        os.close(screen)
        os.waitpid(child, 0)
    if not said:
        raise NodeError(f"The owner was not asked: {seen.decode(errors='replace')[-500:]}")
    return seen.decode(errors="replace").replace("\r\n", "\n")


def _text(node: SwarmNode, *words: str) -> str:
    line = node.line(*words)
    return subprocess.run(line, env=node.environment, capture_output=True, text=True, check=False).stdout


def _print(told: Sequence[Told], ledger: Sequence[dict[str, Any]]) -> None:
    for number, one in enumerate(told, start=1):
        print(f"\n=== {number}. {one.asked}\n")
        print(one.screen.strip() or f"{one.answer['answer']}\n(on {one.answer['node']})")
        print(f"\n--- its trace\n{one.trace}")
    print("=== the pi's ledger, newest first")
    for entry in ledger:
        to = entry["recipient"]["name"]
        print(f"{entry['number']:>4}  {entry['words']:<18} to {to:<8} {entry['bytes']:>6} B  {entry['act']}")


def _aside(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Keep the lines of the description."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
