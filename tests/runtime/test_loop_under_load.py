"""A whole node under a flood: its event loop goes on, it grows by nothing, and others are served meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from peers.state import open_state
from scripts.benches.attacks import Hostile
from scripts.benches.flood import ATTACKS, asked_meanwhile
from scripts.benches.peer_pair import acquaint, far_node, linked, near_node

COMPUTED_S = 0.05
"""What the loop's own thread may compute at a time: its processor time, so that other programs do not count."""
BLOCKED_S = 1.0
"""By the clock, on a machine that does other things too; `scripts/bench flood` holds it to 50 ms."""
GROWN_MB = 8.0
SMALL = {
    "requests, 500 a second": 500,
    "garbage connections": 200,
    "broken requests": 300,
    "broken frames on links": 300,
    "requests of 15 MiB": 2,
}


@pytest.mark.timeout(120)
async def test_a_flood_does_not_hold_up_a_node(tmp_path: Path) -> None:
    async with far_node(tmp_path / "far", "whole_node") as far, near_node(tmp_path / "near", dials=True) as near:
        acquaint(near.state, far.state, far.address)
        await linked(near, far)
        hostile = Hostile(open_state(tmp_path / "hostile", machine=""), far)
        answers: list[float] = []
        for attack in ATTACKS:
            before = await far.told()
            async with asked_meanwhile(near, far, answers):
                await attack.act(hostile, SMALL[attack.name])
            after = await far.told()
            assert after["busy_s"] < COMPUTED_S, attack.name
            assert after["lag_s"] < BLOCKED_S, attack.name
            if attack.blocked_ms is not None:  # what was read of the large ones stays with the allocator for a while
                assert (after["bytes"] - before["bytes"]) / 1e6 < GROWN_MB, attack.name
        assert len(answers) >= len(ATTACKS)
        assert far.process.returncode is None


def test_a_node_that_is_up_does_not_look_for_garbage_in_all_that_is_loaded(tmp_path: Path) -> None:
    """Each such look would block the event loop for 40 ms."""
    program = (
        "import atexit, gc, sys\n"
        "atexit.register(lambda: print('kept out:', gc.get_freeze_count(), file=sys.stderr))\n"
        "from runtime.cli.main import main\n"
        "sys.exit(main(['up', '--port', '0', '--peer-port', '0', '--json']))"
    )
    environ = {**os.environ, "COVEY_HOME": str(tmp_path / "home"), "COVEY_DISCOVERY": "lo"}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ, text=True
    ) as up:
        try:
            assert up.stdout is not None and up.stderr is not None
            assert '"up"' in up.stdout.readline()
            up.send_signal(signal.SIGTERM)
            count = int(up.stderr.read().rpartition("kept out: ")[2])
        finally:
            up.kill()
    assert count > 10_000
