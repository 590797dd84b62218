"""scripts/swarm [N]: so many Covey nodes on this machine, paired with each other, to try things out with.

    scripts/swarm 3                     on a made-up home network, in network namespaces (Linux, root)
    scripts/swarm 3 --in loopback       as processes on this machine's loopback
    scripts/swarm 2 --in process        in one process, with a scripted model: starts in a second, needs no models
    scripts/swarm --do "ask a What is 17 * 3?" --do "fault kill b" --do "peers a"

Nodes are called a, b, c … With --models HOME, node b has the models of that Covey folder, and the others have none.
Then it reads commands, one a line:

    ask NODE TEXT               who answered, and what
    peers NODE                  whom it is paired with, and how their links are
    covey NODE WORDS…           any command of that node, as JSON: covey a ledger list
    fault NAME NODE [VALUE]     something goes wrong: fault kill b
    faults                      what can go wrong
    quit

With --in process there are `ask`, `quit`, and the way to a node: way NODE delay MS | rate KB | stall SHARE | block |
cut | clear. Everything lies in a temporary folder and is removed at the end. Exit code 1: a command failed.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from scripts.swarms import one_process
from scripts.swarms.faults import FAULTS, FaultError, Swarm, make
from scripts.swarms.lan import LanError, missing
from scripts.swarms.nodes import NodeError, pair, swarm

PROMPT = "swarm> "


def main(arguments: Sequence[str]) -> int:
    """Start a swarm, do what is asked of it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/swarm", description=__doc__, formatter_class=_Plain)
    parser.add_argument("count", nargs="?", type=int, default=3, choices=range(1, 9), metavar="N", help="1 to 8; 3")
    parser.add_argument(
        "--in", dest="where", choices=("lan", "loopback", "process"), default="", help="lan where that can be made"
    )
    parser.add_argument("--models", type=Path, help="a Covey folder whose models node b gets")
    parser.add_argument("--disk-mb", type=int, default=0, help="give each home a disk of its own, so large (root)")
    parser.add_argument("--do", action="append", default=[], metavar="COMMAND", help="do this and end")
    asked = parser.parse_args(arguments)
    where = asked.where or ("loopback" if missing() else "lan")
    if where == "lan" and (why := missing()):
        print(f"No made-up network here: it {why}. Use --in loopback.", file=sys.stderr)
        return 1
    names = list(ascii_lowercase[: asked.count])
    commands = chain(_echoed(asked.do), ["quit"]) if asked.do else _typed()
    try:
        if where == "process":
            return one_process.run(names, commands, show)
        with tempfile.TemporaryDirectory(prefix="covey-swarm-") as folder:
            return _processes(names, Path(folder), where == "lan", asked.models, asked.disk_mb, commands)
    except (LanError, NodeError) as error:
        print(error, file=sys.stderr)
        return 1


def _processes(
    names: Sequence[str], folder: Path, on_lan: bool, models: Path | None, disk_mb: int, commands: Iterator[str]
) -> int:
    stores = {names[min(1, len(names) - 1)]: models / "models"} if models else {}
    with ExitStack() as stack:
        if disk_mb:
            stack.enter_context(disks([folder / name for name in names], disk_mb))
        nodes, net = stack.enter_context(swarm(names, folder, on_lan=on_lan, models=stores))
        show(f"{len(nodes)} nodes are up {'on a network of their own' if on_lan else 'on loopback'}: {folder}")
        for number, name in enumerate(names):
            for other in names[:number]:
                show(f"{other} and {name} are paired after {pair(nodes[other], nodes[name]):.1f} s")
        made = Swarm(nodes, net)
        stack.callback(made.close)
        worst = 0
        for line in commands:
            if line in ("quit", "exit"):
                return worst
            worst = max(worst, do(made, line))
        return worst


def do(made: Swarm, line: str) -> int:
    """Carry out one command and show what came of it; returns 1 when it failed."""
    try:
        match shlex.split(line):
            case []:
                return 0
            case ["faults"]:
                for fault in FAULTS.values():
                    show(f"{fault.name:<10} {fault.about}")
            case ["fault", name, node, *rest]:
                make(made, name, node, *rest)
                show(f"{name} {node}: done")
            case ["ask", node, *text] if text:
                show(answered(made.node(node).run("ask", " ".join(text))))
            case ["covey", node, *rest] if rest:
                show(json.dumps(made.node(node).run(*rest), ensure_ascii=False))
            case ["peers", node]:
                show(linked(made.node(node).run("peers", "list")))
            case _:
                raise FaultError(
                    f"{line!r} is no command. There are ask NODE TEXT, peers NODE, covey NODE WORDS, fault NAME NODE, "
                    "faults and quit."
                )
    except (FaultError, NodeError, LanError, ValueError, subprocess.TimeoutExpired) as error:
        show(f"failed: {error}")
        return 1
    return 0


def answered(said: dict[str, Any]) -> str:
    """Return what `covey ask` said, for a person. Raises FaultError."""
    if "error" in said:
        raise FaultError(said["error"]["message"])
    notes = "".join(f"\n  {note}" for note in said.get("notes") or ())
    return f"{said['answer'] or said['reason']}  ({said['node']}, {said['status']}){notes}"


def linked(said: dict[str, Any]) -> str:
    """Return what `covey peers list` said, for a person. Raises FaultError."""
    if "error" in said:
        raise FaultError(said["error"]["message"])
    lines = []
    for peer in said["peers"]:
        health = (peer.get("link") or {}).get("health", "no link")
        lines.append(f"{peer['name']}: {health}, {', '.join(peer['addresses']) or 'no address'}")
    return "\n".join(lines) or "nobody"


@contextmanager
def disks(homes: Sequence[Path], size_mb: int) -> Iterator[None]:
    """A disk of its own for each home, in memory, as long as the block lasts. Needs root."""
    mounted: list[Path] = []
    try:
        for home in homes:
            home.mkdir(mode=0o700)
            line = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=700", "tmpfs", str(home)]
            if subprocess.run(line, capture_output=True, check=False).returncode:
                raise NodeError("A disk of its own can't be made here: it needs root.")
            mounted.append(home)
        yield
    finally:
        for home in mounted:
            subprocess.run(["umount", "-l", str(home)], capture_output=True, check=False)


def show(text: str) -> None:
    print(text, flush=True)


def _echoed(lines: Sequence[str]) -> Iterator[str]:
    """Yield the commands, each shown before what comes of it."""
    for line in lines:
        show(f"{PROMPT}{line}")
        yield line


def _typed() -> Iterator[str]:
    while True:
        try:
            yield input(PROMPT if sys.stdin.isatty() else "").strip()
        except EOFError:
            return


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Help as it stands in the docstring."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
