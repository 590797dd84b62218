"""The one command that shows the whole: a request answered here, one on a paired device, one at a hub after consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.swarms import mission
from scripts.swarms.lan import INTERFACE, Host, lan, missing
from scripts.swarms.nodes import SwarmNode, share_models


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_here_then_on_a_paired_device_then_at_a_hub_after_consent(tmp_path: Path, models_home: Path) -> None:
    if why := missing():
        pytest.skip(f"network namespaces: {why}")
    told, ledger = mission.run(tmp_path, models_home / "models", say=lambda text: None)
    here, paired, far = told
    assert (here.answer["node"], here.answer["bytes_out"]) == ("this device", 0)
    assert (paired.answer["node"], paired.answer["tier"]) == ("laptop", "home")
    assert (far.answer["node"], far.answer["tier"]) == ("far", "hub")
    assert "+ Write one sentence to [PERSON_1] in [PLACE_1]" in far.screen
    assert "marked for deeper reasoning" in far.trace and "far (hub)" in far.trace
    (crossed,) = [one for one in ledger if one["recipient"]["name"] == "far" and one["act"] == "release"]
    assert (crossed["label"], crossed["words"], crossed["bytes"]) == (
        "public",
        "left the home",
        far.answer["bytes_out"],
    )


def sent_bytes(host: Host) -> int:
    """Return what a host has sent over its only cable."""
    return int(host.run("cat", f"/sys/class/net/{INTERFACE}/statistics/tx_bytes").stdout)


KEY = "ghp_f83kD0s9LmQ2xWv7Rt5YbN1cJh6Pz4aUeK3i"
STAYS = (
    ("Why is the sky blue?", "--label", "secret", "--tier", "hub"),
    ("Why is the sky blue?", "--tier", "home"),
    ("Why is the sky blue?", "--label", "sensitive", "--tier", "hub"),
    (f"Why does my token {KEY} not work?", "--tier", "hub"),
    ("What is the weekday of 14 March 2024, my first day there?", "--tier", "hub"),
)
"""Each stays here: by its label or tier, because nobody can be asked, by what it holds, or its meaning is lost."""


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_may_not_go_sends_not_one_byte_over_the_only_cable(tmp_path: Path, models_home: Path) -> None:
    """A counter at the network's own end: whatever the program believes, the cable says what went."""
    if why := missing():
        pytest.skip(f"network namespaces: {why}")
    with lan(("pi", "hub")) as net:
        pi, hub = (SwarmNode(name, tmp_path / name, net[name]) for name in ("pi", "hub"))
        share_models(models_home / "models", pi.home, [mission.SMALL, mission.FINDER])
        share_models(models_home / "models", hub.home, [mission.LARGER])
        (pi.home / "settings.toml").write_text(mission.SETTINGS)
        with mission.hub_for(hub, pi):
            pi.run("hub", "allow", "far", "--for", "generate")
            net["pi"].run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")  # the kernel's own greetings
            before = sent_bytes(net["pi"])
            for words in STAYS:
                answer = pi.run("ask", *words, "--as", "generate")
                assert (answer["bytes_out"], answer["tier"]) == (0, "device"), words
            assert sent_bytes(net["pi"]) == before
            assert pi.run("ledger", "list")["entries"] == []
            went = pi.run("ask", "Why is the sky blue?", "--as", "generate", "--tier", "hub")
            assert went["node"] == "far" and sent_bytes(net["pi"]) - before > went["bytes_out"] > 0
            (entry,) = [one for one in pi.run("ledger", "list")["entries"] if one["act"] == "release"]
            assert entry["bytes"] == went["bytes_out"]
