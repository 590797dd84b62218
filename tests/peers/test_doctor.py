"""From what was tried on the network to the cause: every cause is named, with a cure, and no wrong one."""

from __future__ import annotations

import pytest

from peers.codes import Address
from peers.doctor import diagnose, length
from peers.findings import About, Attempt, Dial, Here, Report

AT = Address("192.168.1.20", 4489)
HERE = Here(networks=("192.168.1.0/24 on wlan0",), port=4489, router=True)
WELL = Report(Dial.REACHED, True, 0.0)


def tried(dial: Dial, **more: bool | str) -> tuple[Attempt, ...]:
    return (Attempt(AT, dial, **more),)  # type: ignore[arg-type]


def cause(about: About, here: Here = HERE) -> str:
    return diagnose(here, [about])[-1].cause


REACHED = tried(Dial.REACHED)


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        (About("kitchen", REACHED, True, WELL), "ok"),
        (About("kitchen", REACHED, None, Report(None, None, 1.0)), "ok"),
        (About("kitchen", REACHED), "ok"),
        (About("kitchen", REACHED, True, refusal="version"), "version"),
        (About("kitchen", REACHED, True, refusal="unknown"), "unpaired"),
        (About("kitchen", REACHED, True, Report(Dial.REACHED, True, -366 * 86400.0)), "clock"),
        (About("kitchen", REACHED, True, Report(Dial.SILENT, True, 0.0)), "firewall_here"),
        (About("kitchen", REACHED, True, Report(Dial.NO_HOST, True, 0.0)), "firewall_here"),
        (About("kitchen", REACHED, False, WELL), "multicast"),
        (About("kitchen", REACHED, True, Report(Dial.REACHED, False, 0.0)), "multicast"),
        (About("kitchen", tried(Dial.OURSELVES)), "cloned"),
        (About("kitchen", tried(Dial.SILENT, tunnel="wg0")), "vpn"),
        (About("kitchen", tried(Dial.REFUSED, present=True)), "not_running"),
        (About("kitchen", tried(Dial.STRANGER)), "other_device"),
        (About("kitchen", tried(Dial.SILENT, present=True)), "firewall_there"),
        (About("kitchen", tried(Dial.SILENT), heard=True), "firewall_there"),
        (About("kitchen", tried(Dial.SILENT, near=False)), "other_network"),
        (About("kitchen", tried(Dial.NO_HOST, near=False), awake=True), "other_network"),
        (About("kitchen", tried(Dial.NO_HOST), heard=True), "isolation"),
        (About("kitchen", tried(Dial.NO_HOST), awake=True), "isolation"),
        (About("kitchen", tried(Dial.NO_HOST)), "off_or_isolated"),
        (About("kitchen"), "no_address"),
    ],
)
def test_the_cause_is_named(about: About, expected: str) -> None:
    assert cause(about) == expected


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (Here(), ["no_network"]),
        (Here(("lan",), port=0), ["not_up"]),
        (Here(("lan",), ("lan",), port=4489), ["not_home"]),
        (Here(("lan",), ("lan",), port=0), ["not_up", "not_home"]),
        (Here(("lan",), looks="off"), ["off"]),
        (Here(("lan",), port=4489, multicast="Address in use"), ["multicast_here"]),
        (Here(("lan",), port=4489, double=AT), ["cloned"]),
        (Here(looks="lo", port=4489), ["ok"]),
        (HERE, ["ok"]),
    ],
)
def test_what_is_wrong_here_is_said_first(here: Here, expected: list[str]) -> None:
    assert [one.cause for one in diagnose(here, [])] == expected


def test_a_node_that_keeps_to_this_machine_is_not_said_to_be_on_a_network() -> None:
    (one,) = diagnose(Here(("192.168.1.0/24 on eth0",), looks="lo", port=4489), [])
    assert one.sentence == "on this machine alone (COVEY_DISCOVERY=lo), port 4489 for other devices"


def test_without_a_network_nothing_else_is_blamed() -> None:
    assert [one.cause for one in diagnose(Here(), [About("kitchen", tried(Dial.NO_ROUTE))])] == ["no_network"]


def test_an_address_that_answers_makes_the_others_unimportant() -> None:
    attempts = (*tried(Dial.SILENT), *tried(Dial.STRANGER), *REACHED)
    assert cause(About("kitchen", attempts, True, WELL)) == "ok"


def test_a_dead_router_is_not_called_isolation() -> None:
    dead = Here(("lan",), port=4489, router=False)
    assert cause(About("kitchen", tried(Dial.NO_HOST), awake=True), dead) == "off_or_isolated"


def test_a_device_without_a_node_is_not_told_that_its_firewall_is_closed() -> None:
    no_node = Here(("lan",), port=0)
    assert cause(About("kitchen", REACHED, True, Report(Dial.REFUSED, True, 0.0)), no_node) == "ok"


def test_whatever_is_found_there_is_a_diagnosis_and_every_illness_has_a_cure() -> None:
    for dial in Dial:
        for near in (True, False):
            for alive in (True, False):
                attempts = (Attempt(AT, dial, near, present=alive),)
                for report in (None, Report(dial, alive, 0.0)):
                    (said,) = diagnose(HERE, [About("kitchen", attempts, alive, report)])[1:]
                    assert said.about == "kitchen"
                    assert (said.status == "ok") == (said.cure == "")
                    assert said.sentence[-1] != "."


@pytest.mark.parametrize(
    ("seconds", "text"), [(31_622_400, "366 days"), (7200, "2 hours"), (60, "1 minute"), (0.2, "0 seconds")]
)
def test_a_length_of_time_in_words(seconds: float, text: str) -> None:
    assert length(seconds) == text
