"""The whole of it: devices on one network find each other, are paired by a code, and work as one; figures of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.swarms.lan import missing
from scripts.swarms.nodes import SwarmNode, pair, share_models, swarm

MODEL = "smollm2-135m"
BACK_S = 20.0
COMMAND_S = 3.0
"""What it takes to ask a node how things are, on a machine that has other work."""


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    if why := missing():
        pytest.skip(f"network namespaces: {why}")


def pair_by_hand(shows: SwarmNode, types: SwarmNode) -> None:
    """Pair two devices from both terminals: the code is read from one screen and typed on the other, no address."""
    with shows.terminal("pair", "--own", "--name", shows.name) as screen:
        assert screen.stdout is not None
        code = next(match[1] for line in screen.stdout if (match := re.search(r"--code (\d{6})", line)))
        joined = types.run("pair", "--code", code, "--name", types.name)
        assert joined.get("paired", {}).get("name") == shows.name, joined
        assert f"Paired with {types.name}" in screen.stdout.read()


def linked(node: SwarmNode, other: str) -> dict[str, object]:
    """Return what a node says of its link with another; empty without one."""
    (peer,) = [one for one in node.run("peers", "list")["peers"] if one["name"] == other]
    return {**(peer.get("link") or {}), "addresses": peer["addresses"]} if peer.get("link") else {}


def until(true: Callable[[], object], within_s: float) -> float:
    """Return the seconds until something is true. Fails the test when it is not in time."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        time.sleep(0.1)
    return time.monotonic() - began


@pytest.mark.real
@pytest.mark.timeout(300)
def test_three_devices_are_found_paired_and_work_as_one(tmp_path: Path, models_home: Path) -> None:
    """Real multicast, real TLS, a real model: the device that has it does the work, and trace and ledgers say so."""
    names = ["laptop", "kitchen", "attic"]
    with swarm(names, tmp_path, on_lan=True) as (nodes, _):
        laptop, kitchen, attic = (nodes[name] for name in names)
        kitchen.down()
        share_models(models_home / "models", kitchen.home, [MODEL])
        kitchen.up()
        pair_by_hand(kitchen, laptop)
        pair_by_hand(attic, laptop)
        # Pairing told the addresses; three devices that know wrong ones have two seconds in `test_links.py`.
        until(lambda: linked(laptop, "kitchen") and linked(laptop, "attic"), 2.0 + 2 * COMMAND_S)
        answer = laptop.run("ask", "Write a short thank-you note to my neighbour")
        assert (answer["status"], answer["node"], answer["model"]) == ("completed", "kitchen", MODEL)
        assert answer["tier"] == "home"
        assert answer["bytes_out"] > 0
        spans = laptop.run("traces", "show", str(answer["trace_id"]))["spans"]
        (step,) = [span["attributes"] for span in spans if span["name"] == "covey.step"]
        assert (step["covey.node"], step["covey.bytes_out"]) == ("kitchen", answer["bytes_out"])
        (sent,) = released(laptop, "kitchen", "generate")
        assert (sent["bytes"], sent["label"], sent["words"]) == (answer["bytes_out"], "personal", "left this device")
        assert released(kitchen, "laptop", "generate"), "the answer is in the ledger over there"
        assert not released(laptop, "attic", "generate")
        assert all(node.run("ledger", "verify")["ok"] for node in nodes.values())
        assert "thank-you" not in str(kitchen.run("traces", "list")), "figures are kept of others' work, no content"


def released(node: SwarmNode, to: str, capability: str) -> list[dict[str, object]]:
    entries = node.run("ledger", "list")["entries"]
    ours = [one for one in entries if (one["recipient"]["name"], one["capability"]) == (to, capability)]
    return [one for one in ours if one["act"] == "release"]


def works(node: SwarmNode) -> bool:
    """Return whether a node has a link over which work may go."""
    return linked(node, "kitchen").get("health") == "up"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_home_with_ipv6_alone_is_enough_to_be_paired_and_linked(tmp_path: Path) -> None:
    with swarm(["laptop", "kitchen"], tmp_path, on_lan=True, ipv6_only=True) as (nodes, _):
        pair(nodes["kitchen"], nodes["laptop"])
        until(lambda: works(nodes["laptop"]), BACK_S + COMMAND_S)
        assert "fe80::" in str(linked(nodes["laptop"], "kitchen")["addresses"])


@pytest.mark.timeout(120)
def test_two_nodes_on_one_home_and_a_port_in_use_are_one_sentence_each(tmp_path: Path) -> None:
    with swarm(["laptop"], tmp_path, on_lan=True) as (nodes, net):
        assert net is not None
        laptop = nodes["laptop"]
        twice = laptop.run("up", "--port", "0")
        assert "already running" in twice["error"]["message"]
        other = SwarmNode("other", tmp_path / "other", net["laptop"])
        other.home.mkdir()
        taken = other.run("up", "--port", "0")
        assert taken["error"]["code"] == "port_in_use"
        assert "--peer-port" in taken["error"]["message"]


@pytest.mark.timeout(120)
def test_with_no_network_at_all_a_node_works_and_is_found_when_there_is_one(tmp_path: Path) -> None:
    with swarm(["laptop", "kitchen"], tmp_path, on_lan=True) as (nodes, net):
        assert net is not None
        laptop, kitchen = nodes["laptop"], nodes["kitchen"]
        pair(kitchen, laptop)
        laptop.down()
        net["laptop"].pull_cable()
        laptop.up()
        assert laptop.run("ask", "What is 17 * 3?")["answer"].endswith("51")
        net["laptop"].plug_in()
        until(lambda: works(laptop), BACK_S + 2 * COMMAND_S)
