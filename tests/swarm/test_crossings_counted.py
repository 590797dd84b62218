"""All crossings again on a host whose only way out is counted: what was not allowed did not go another way either."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from scripts.swarms.lan import INTERFACE, TUNNEL, Host
from scripts.swarms.nodes import ROOT
from tests.swarm.lans import home_network

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def went_out(host: Host) -> int:
    """Packets that took the only route there is."""
    (link,) = json.loads(host.ip("-j", "-s", "link", "show", "dev", TUNNEL))
    return int(link["stats64"]["tx"]["packets"])


def test_no_crossing_takes_another_way_out() -> None:
    """The recording hubs are on the host's own loopback; a name looked up or a call home would be counted."""
    with home_network("alone") as net, net["alone"].vpn("10.8.0.2", "default"):
        host = net["alone"]
        host.ip("link", "del", INTERFACE)
        host.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")  # it calls for routers
        line = host.command(
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/hub/test_crossings.py"
        )
        before = went_out(host)
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        assert "skipped" not in done.stdout
        assert went_out(host) == before
        knock = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))"
        host.run(sys.executable, "-c", knock)
        assert went_out(host) > before, "the counter counts"
