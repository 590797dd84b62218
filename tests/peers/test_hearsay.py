"""What linked devices say of third ones, and remember of each other: addresses, revocations, where a ledger ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from models.types import Label
from peers import membership
from peers.audit import Act
from peers.conversions import ledger_head_of
from peers.grants import own_device
from peers.link_messages import Beat
from tests.peers.nodes import recipient
from tests.peers.scripts import until
from tests.peers.swarm import Node, linked_pair, running


async def test_a_device_is_found_through_another_one_that_knows_where_it_is(tmp_path: Path) -> None:
    async with (
        running(tmp_path, "laptop", dials=True) as laptop,
        running(tmp_path, "kitchen", dials=True) as kitchen,
        running(tmp_path, "garage") as garage,
    ):
        garage.knows(kitchen)
        garage.knows(laptop)
        laptop.knows(garage, addresses=[])
        laptop.knows(kitchen)
        kitchen.knows(laptop)
        kitchen.knows(garage)
        await laptop.until_linked(kitchen, garage, limit_s=10.0)


async def test_a_revocation_is_passed_on_and_binds_where_admin_was_granted(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen), running(tmp_path, "garage") as garage:
        for one in (laptop, kitchen):
            one.knows(garage, addresses=[])
        kitchen.knows(laptop, replace(own_device(), admin=True), addresses=[])
        membership.revoke(laptop.state, "garage")
        await until(lambda: garage.id not in kitchen.state.peers.book().peers, limit_s=8.0)


async def test_a_revocation_without_admin_is_a_warning_only(tmp_path: Path) -> None:
    async with linked_pair(tmp_path) as (laptop, kitchen), running(tmp_path, "garage") as garage:
        for one in (laptop, kitchen):
            one.knows(garage, addresses=[])
        membership.revoke(laptop.state, "garage")
        await until(lambda: bool(kitchen.state.peers.book().notices), limit_s=8.0)
        assert garage.id in kitchen.state.peers.book().peers


async def remembers(one: Node, other: Node) -> None:
    """Wait until one knows how far the other's ledger reaches now."""
    head = other.state.ledger.chain.head()

    def known() -> bool:
        told = one.state.peers.book().peers[other.id].head
        return told is not None and told.number >= head.number

    await until(known)


async def test_a_ledger_put_back_whole_is_found_by_a_paired_device_and_on_the_device_itself(tmp_path: Path) -> None:
    """Its lines and its head fit each other; only what the other device remembers does not."""
    async with running(tmp_path, "laptop", dials=True) as laptop:
        async with running(tmp_path, "kitchen") as kitchen:
            kitchen.knows(laptop, addresses=[])
            laptop.knows(kitchen)
            for number in range(4):
                kitchen.state.ledger.record(
                    b"%d" % number, Label.PUBLIC, capability="x", recipient=recipient(), reason="a test"
                )
            kitchen.state.settle()
            earlier = {path: path.read_bytes() for path in kitchen.state.folder.glob("ledger.*")}
            for number in range(20):
                kitchen.state.ledger.record(
                    b"%d" % number, Label.PUBLIC, capability="x", recipient=recipient(), reason="the embarrassing one"
                )
            await laptop.until_linked(kitchen)
            await remembers(laptop, kitchen)
        for path, content in earlier.items():
            path.write_bytes(content)
        async with running(tmp_path, "kitchen") as kitchen:
            assert kitchen.state.ledger.verify().ok
            laptop.dialer.sighted(kitchen.id, kitchen.address)
            await laptop.until_linked(kitchen)
            for one in (laptop, kitchen):
                await until(lambda: one.state.audit.newest(1)[0].act is Act.WARNED)  # noqa: B023
                assert one.state.audit.newest(1)[0].scope == "ledger"
            verdict = kitchen.state.ledger.verify(membership.witnesses(kitchen.state))
            assert [problem.kind for problem in verdict.problems] in (["cut"], ["rebuilt"])
            laptop.links.close()
            await until(lambda: not kitchen.links._open)
            kitchen.state.ledger.chain.begin_anew()
            membership.forget_witnesses(kitchen.state)
            assert kitchen.state.ledger.verify(membership.witnesses(kitchen.state)).ok


async def test_a_ledger_that_its_owner_began_anew_is_no_alarm_on_the_device_itself(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop", dials=True) as laptop, running(tmp_path, "kitchen") as kitchen:
        kitchen.knows(laptop, addresses=[])
        laptop.knows(kitchen)
        await laptop.until_linked(kitchen)
        await remembers(laptop, kitchen)
        kitchen.state.ledger.chain.begin_anew()
        laptop.links.close()
        await until(lambda: not kitchen.links._open)
        laptop.dialer.sighted(kitchen.id, kitchen.address)
        await laptop.until_linked(kitchen)
        await asyncio.sleep(1.0)
        assert all(one.act is not Act.WARNED for one in kitchen.state.audit.newest(10))
        assert kitchen.state.ledger.verify(membership.witnesses(kitchen.state)).ok


@pytest.mark.parametrize("retired", [True, False])
async def test_what_a_replaced_link_says_late_of_a_ledger_is_no_alarm(tmp_path: Path, retired: bool) -> None:
    """After an outage its last words come behind those of the new link; of the link that counts they are an alarm."""
    async with linked_pair(tmp_path) as (laptop, kitchen):
        earlier = kitchen.state.ledger.chain.head()
        kitchen.state.ledger.record(b"x", Label.PUBLIC, capability="x", recipient=recipient(), reason="a test")
        (heard,), (says,) = laptop.links._open.values(), kitchen.links._open.values()
        for running, head in ((7, kitchen.state.ledger.chain.head()), (8, earlier)):
            await says._say(Beat(running=running, head=ledger_head_of(head)))
            await until(lambda: heard.neighbour.beat.running == running)  # noqa: B023
            if retired:
                heard.retire()
        assert (laptop.state.audit.newest(1)[0].act is Act.WARNED) is not retired
