"""A cable is pulled while an answer is read: another device goes on with it, behind the last word."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from scripts.swarms.lan import missing
from scripts.swarms.nodes import SwarmNode, pair, swarm
from tests.swarm.test_household import linked, released, until

QUESTION = "Why is the sky blue?"
"""Its answer is some two hundred tokens long: time enough to pull a cable."""
LINKED_S = 20.0
SETTINGS = 'reproducible = true\n[models]\ngenerate = ["smollm2-135m"]\n'


@contextmanager
def on_a_terminal(node: SwarmNode, *words: str) -> Iterator[int]:
    """What a command shows while it works: only a terminal sees an answer grow."""
    screen, inside = os.openpty()
    with subprocess.Popen(
        node.line(*words), env=node.environment, cwd=node.home, stdin=subprocess.DEVNULL, stdout=inside, stderr=inside
    ) as process:
        os.close(inside)
        try:
            yield screen
        finally:
            process.kill()
            os.close(screen)


def all_of(screen: int) -> bytes:
    shown = b""
    with suppress(OSError):  # a terminal's way to say that nobody writes on it any more
        while piece := os.read(screen, 4096):
            shown += piece
    return shown


def asked_by(node: SwarmNode) -> str:
    """Return the device that a node gave work to, from its ledger: a command may take as long as the answer."""
    lines = (node.home / "node" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    (name,) = {
        body["name"] for body in (json.loads(line)["body"] for line in lines) if body["capability"] == "generate"
    }
    return str(name)


def bare(text: str) -> str:
    """Return what a terminal shows, without colours and without where its lines end."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]|\s", "", text)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_answer_outlives_the_cable_of_the_device_that_writes_it(tmp_path: Path, models_home: Path) -> None:
    if why := missing():
        pytest.skip(f"network namespaces: {why}")
    store = models_home / "models"
    for name in ("laptop", "kitchen", "attic"):
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    models = {"kitchen": store, "attic": store}
    with swarm(["laptop", "kitchen", "attic"], tmp_path, on_lan=True, models=models) as (nodes, net):
        assert net is not None
        laptop = nodes["laptop"]
        for name in models:
            pair(nodes[name], laptop)
            until(partial(linked, laptop, name), LINKED_S)
        with on_a_terminal(laptop, "ask", QUESTION, "--as", "generate") as screen:
            begun = os.read(screen, 20)
            writer = asked_by(laptop)
            net[writer].pull_cable()
            told = (begun + all_of(screen)).decode("utf-8", "replace")
        other = "attic" if writer == "kitchen" else "kitchen"
        assert f"{writer} was lost after " in told
        assert f"{other} went on with it" in told
        assert f"on {other} (paired device)" in told
        assert released(laptop, other, "generate")
        undisturbed = nodes[other].run("ask", QUESTION, "--as", "generate")
        assert (undisturbed["node"], len(undisturbed["answer"]) > 200) == ("this device", True)
        assert bare(told).startswith(bare(undisturbed["answer"])), "not a word is missing, repeated or another"
