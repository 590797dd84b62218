"""`scripts/swarm`: nodes that are paired and work as one, and faults by name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.asking import Ask
from scripts.swarms import one_process
from scripts.swarms.faults import FAULTS, FaultError, Swarm, make
from scripts.swarms.lan import missing
from scripts.swarms.nodes import SwarmNode
from scripts.swarms.run import answered, do, linked, main


async def test_in_one_process_a_node_without_a_model_has_another_do_it(tmp_path: Path) -> None:
    async with one_process.nodes(["a", "b", "c"], tmp_path) as made:
        await one_process.until_linked(made)
        answer = await made["a"].node.ask(Ask("Write a short poem about birds"))
        assert (answer.node, answer.result.text) == ("b", one_process.WORDS)
        links, there = made["a"].node.links, made["b"].state.identity.node_id
        assert links is not None
        before = links.get(there)
        for one in ("a", "b"):  # whichever of the two dialled
            made[one].way.cut()
        async with asyncio.timeout(10):
            while links.get(there) in (None, before):  # noqa: ASYNC110  # until the broken link was noticed and made anew
                await asyncio.sleep(0.01)
        await one_process.until_linked(made)
        answer = await made["a"].node.ask(Ask("Write a short poem about birds"))
        assert answer.result.text == one_process.WORDS
        assert made["a"].way.passed_bytes + made["b"].way.passed_bytes > 0


def test_the_command_does_what_it_is_told_and_says_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    told = [
        "ask a What is 17 * 3?",
        "way b delay 20",
        "way b clear",
        "way b sideways",
        "way b delay",
        "ask z hi",
        "quit",
    ]
    assert one_process.run(["a", "b"], iter(told), said.append) == 1
    assert said[1].startswith("17 * 3 = 51  (this device, ")
    assert said[2:4] == ["the way to b: 20 ms later", "the way to b: clear"]
    assert [line.split(". ")[0] for line in said[4:]] == [
        "failed: 'sideways' is no weather",
        "failed: 'delay' is no weather",
        "failed: There is no node 'z'",
    ]


def test_a_fault_that_is_none_is_told_with_those_that_are() -> None:
    with pytest.raises(FaultError, match="kill"):
        make(Swarm({}), "earthquake", "a")
    with pytest.raises(FaultError, match="no node 'a'"):
        make(Swarm({}), "kill", "a")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dance", "failed: 'dance' is no command. There are ask NODE TEXT"),
        ("ask b hi", "failed: There is no node 'b'. There are a."),
        ("fault kill b", "failed: There is no node 'b'. There are a."),
        ("covey a", "failed: 'covey a' is no command."),
    ],
)
def test_what_is_mistyped_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    assert do(Swarm({"a": SwarmNode("a", tmp_path)}), line) == 1
    assert capsys.readouterr().out.startswith(said)


def test_answers_and_links_are_told_for_a_person() -> None:
    answer = {"answer": "51", "reason": None, "node": "b", "status": "completed", "notes": ["b was slow."]}
    assert answered(answer) == "51  (b, completed)\n  b was slow."
    with pytest.raises(FaultError, match="full"):
        answered({"error": {"message": "The disk is full."}})
    peers = [
        {"name": "b", "link": {"health": "up"}, "addresses": ["127.0.0.1:1"]},
        {"name": "c", "link": None, "addresses": []},
    ]
    assert linked({"peers": peers}) == "b: up, 127.0.0.1:1\nc: no link, no address"


def test_a_fault_of_the_network_needs_one(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="--in lan"):
        make(Swarm({"a": SwarmNode("a", tmp_path)}), "cable-out", "a")


def test_a_home_on_this_machines_disk_is_not_filled(tmp_path: Path) -> None:
    with pytest.raises(FaultError, match="--disk-mb"):
        make(Swarm({"a": SwarmNode("a", tmp_path)}), "full-disk", "a")


def test_one_byte_of_a_model_is_changed_and_the_file_that_it_links_to_is_not(tmp_path: Path) -> None:
    blobs = tmp_path / "models" / "blobs"
    blobs.mkdir(parents=True)
    (tmp_path / "original").write_bytes(b"weights")
    (blobs / "digest").symlink_to(tmp_path / "original")
    make(Swarm({"a": SwarmNode("a", tmp_path)}), "corrupt", "a")
    assert (blobs / "digest").read_bytes() != b"weights" == (tmp_path / "original").read_bytes()


def test_every_fault_says_what_it_is() -> None:
    assert all(fault.about and name == fault.name for name, fault in FAULTS.items())


@pytest.fixture
def _namespaces() -> Iterator[None]:
    if why := missing():
        pytest.skip(f"network namespaces: {why}")
    yield


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.usefixtures("_namespaces")
def test_on_a_made_up_network_faults_are_made_and_survived(capfd: pytest.CaptureFixture[str]) -> None:
    told = ["fault full-disk a", "covey a ask 2+2", "fault full-disk a off", "covey a ask 2+2"]
    told += ["fault slow b 2000", "fault slow b off", "fault kill b", "fault up b", "peers b"]
    assert main(["2", "--in", "lan", "--disk-mb", "32", *(word for line in told for word in ("--do", line))]) == 0
    out = capfd.readouterr().out
    assert "a and b are paired after" in out
    assert '"code": "disk_full"' in out
    assert ' = 4"' in out
