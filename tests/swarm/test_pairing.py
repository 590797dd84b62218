"""Pairing without addresses: the code is typed, and the device that shows it is found on the home network."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from scripts.swarms.lan import Lan
from scripts.swarms.nodes import SwarmNode
from tests.swarm.lans import home_network

pytestmark = pytest.mark.timeout(180)


def bare(net: Lan, name: str, tmp_path: Path, *, at_home: bool = True) -> SwarmNode:
    """A device on which no node runs; its network is home."""
    home = tmp_path / name
    home.mkdir()
    node = SwarmNode(name, home, net[name])
    if at_home:
        assert node.run("peers", "home", "--yes")["networks"][0]["is"] == "home"
    return node


def code_on(screen: subprocess.Popen[str]) -> str:
    """Return the code that a terminal shows."""
    assert screen.stdout is not None
    for line in screen.stdout:
        if match := re.search(r"covey pair --code (\d{6})", line):
            return match[1]
    raise AssertionError("no code was shown")


def test_the_open_window_is_found_by_the_code_alone(tmp_path: Path) -> None:
    with home_network("kitchen", "laptop") as net:
        kitchen, laptop = bare(net, "kitchen", tmp_path), bare(net, "laptop", tmp_path)
        with kitchen.terminal("pair", "--own", "--name", "kitchen") as screen:
            code = code_on(screen)
            joined = laptop.run("pair", "--code", code, "--name", "laptop")
            assert joined["paired"]["name"] == "kitchen"
            assert screen.stdout is not None
            assert "Paired with laptop" in screen.stdout.read()
        assert kitchen.run("peers", "list")["peers"][0]["name"] == "laptop"


def test_several_open_windows_are_listed_by_the_names_that_their_owners_chose(tmp_path: Path) -> None:
    with home_network("kitchen", "attic", "laptop") as net:
        kitchen, attic, laptop = (bare(net, name, tmp_path) for name in ("kitchen", "attic", "laptop"))
        with kitchen.terminal("pair", "--own", "--name", "kitchen") as one, attic.terminal("pair", "--own") as other:
            code = code_on(one)
            code_on(other)
            error = laptop.run("pair", "--code", code)["error"]
            assert error["code"] == "usage"
            assert re.search(r"kitchen [0-9a-f]{2} \(10\.77\.0\.1:4489\)", error["message"])
            assert re.search(r"covey [0-9a-f]{2} \(10\.77\.0\.2:4489\)", error["message"])
            joined = laptop.run("pair", "--code", code, "--at", "10.77.0.1:4489")
            assert joined["paired"]["name"] == "kitchen"


def test_with_no_window_open_it_says_what_to_do(tmp_path: Path) -> None:
    with home_network("laptop") as net:
        error = bare(net, "laptop", tmp_path).run("pair", "--code", "123456")["error"]
        assert error["code"] == "peer_unreachable"
        assert "--at HOST:PORT" in error["message"]


def test_on_a_network_that_is_not_home_no_window_is_looked_for(tmp_path: Path) -> None:
    with home_network("laptop") as net:
        laptop = bare(net, "laptop", tmp_path, at_home=False)
        assert laptop.run("peers", "home")["networks"][0]["is"] == "unknown"
        error = laptop.run("pair", "--code", "123456")["error"]
        assert "only on your home network" in error["message"]
        laptop.run("peers", "home", "--no")
        assert laptop.run("peers", "home")["networks"][0]["is"] == "away"


def test_the_owner_is_asked_once_for_each_network(tmp_path: Path) -> None:
    with home_network("laptop") as net:
        laptop = bare(net, "laptop", tmp_path, at_home=False)
        asked = typed(laptop, "y\n", "up", "--port", "0")
        assert "Is 10.77.0.0/24 on lan0 your home network?" in asked
        assert laptop.run("peers", "home")["networks"] == [
            {"network": "10.77.0.0/24", "interface": "lan0", "is": "home"}
        ]
        assert "your home network?" not in typed(laptop, "", "up", "--port", "0")


def typed(node: SwarmNode, answer: str, *words: str) -> str:
    """Run a command on a terminal, type an answer, and return what the terminal showed until the node was up."""
    here, there = pty.openpty()
    line = node.line(*words)
    with subprocess.Popen(
        line, env=node.environment, cwd=node.home, stdin=there, stdout=there, stderr=there
    ) as process:
        os.close(there)
        shown = ""
        try:
            while "Covey is up" not in shown:
                shown += os.read(here, 4096).decode()
                if answer and "[y/N]" in shown:
                    os.write(here, answer.encode())
                    answer = ""
        finally:
            process.terminate()
            process.wait(30)
            os.close(here)
    return shown
