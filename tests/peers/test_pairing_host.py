"""Pairing over real TLS on loopback: from the code on one screen to both books."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from models.types import Label, last
from peers import membership, offer, tls
from peers.audit import Act
from peers.codes import Address, Pin, new_invitation, new_pin
from peers.errors import LinkError, PairingFailed, PeerUnreachable
from peers.grants import guest_device, own_device
from peers.pairing import MAX_TRIES
from peers.policy import RecipientKind
from peers.secret import Secret
from tests.peers.scripts import REQUEST, WORDS
from tests.peers.swarm import Node, running

WRONG = Pin(Secret("000000"))


def books(laptop: Node, kitchen: Node) -> list[list[str]]:
    return [[peer.name for peer in node.state.peers.book().peers.values()] for node in (laptop, kitchen)]


def other_pin() -> Pin:
    """A code that is not the wrong one."""
    return next(pin for pin in iter(new_pin, None) if pin != WRONG)


async def test_six_digits_pair_two_devices_and_work_flows_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        code = other_pin()
        laptop.open_window(code)
        start = time.monotonic()
        peer = await kitchen.join(code, laptop.address)
        assert time.monotonic() - start < 5.0
        assert (peer.name, peer.node_id) == ("laptop", laptop.state.identity.node_id)
        assert books(laptop, kitchen) == [["kitchen"], ["laptop"]]
        assert (await last(kitchen.specialist(laptop).run(REQUEST))).output == WORDS
        assert (await last(laptop.specialist(kitchen).run(REQUEST))).output == WORDS


async def test_both_sides_write_down_that_they_were_paired_and_what_was_said(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        code = other_pin()
        laptop.open_window(code)
        await kitchen.join(code, laptop.address)
        for node in (laptop, kitchen):
            assert node.state.audit.newest(1)[0].act is Act.PAIRED
            said = node.state.ledger.entries()
            assert [one.recipient for one in said] == [RecipientKind.UNPAIRED] * 3
            assert {one.label for one in said} == {Label.PUBLIC}
            everything = b"".join(node.state.ledger.bytes_of(one) or b"" for one in said)
            assert code.digits.reveal().encode() not in everything


async def test_a_qr_code_pairs_and_names_the_way(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        code = new_invitation(laptop.state.identity.node_id, (laptop.address,))
        laptop.open_window(code)
        await kitchen.join(code, *code.addresses)
        assert books(laptop, kitchen) == [["kitchen"], ["laptop"]]


async def test_an_impostor_of_a_qr_code_hears_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "mallory") as mallory:
        async with running(tmp_path, "kitchen") as kitchen:
            code = new_invitation(laptop.state.identity.node_id, ())
            mallory.open_window(code)
            with pytest.raises(PairingFailed, match="nothing was said"):
                await kitchen.join(code, mallory.address)
            assert kitchen.state.ledger.entries() == []
            assert books(mallory, kitchen) == [[], []]


async def test_a_guest_is_paired_with_a_guests_grant(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "visitor") as visitor:
        code = other_pin()
        until = laptop.state.peers.now_ns() + 2 * 3600 * 10**9
        laptop.open_window(code, grant=guest_device(until))
        await visitor.join(code, laptop.address)
        (peer,) = laptop.state.peers.book().peers.values()
        assert peer.grant == guest_device(until)
        with pytest.raises(LinkError, match="only public things were granted"):
            await last(visitor.specialist(laptop).run(REQUEST))


async def test_wrong_codes_close_the_window_and_pair_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        code = other_pin()
        laptop.open_window(code)
        for _ in range(MAX_TRIES):
            with pytest.raises(PairingFailed):
                await kitchen.join(WRONG, laptop.address)
        with pytest.raises(PairingFailed):
            await kitchen.join(code, laptop.address)
        assert books(laptop, kitchen) == [[], []]
        assert offer.load(laptop.state.folder) is None


async def test_without_a_window_nobody_is_paired_and_the_answer_is_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        with pytest.raises(PairingFailed) as closed:
            await kitchen.join(WRONG, laptop.address)
        laptop.open_window(other_pin())
        with pytest.raises(PairingFailed) as wrong:
            await kitchen.join(WRONG, laptop.address)
        assert str(closed.value) == str(wrong.value)


async def test_a_code_is_good_once(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        code = other_pin()
        laptop.open_window(code)
        await kitchen.join(code, laptop.address)
        async with running(tmp_path, "garage") as garage:
            with pytest.raises(PairingFailed):
                await garage.join(code, laptop.address)
        assert books(laptop, kitchen) == [["kitchen"], ["laptop"]]


async def test_an_old_window_is_closed_when_somebody_knocks(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        code = other_pin()
        opened = laptop.state.peers.now_ns() - 121 * 10**9
        offer.write(laptop.state.folder, offer.Offer((code,), own_device(), opened))
        with pytest.raises(PairingFailed):
            await kitchen.join(code, laptop.address)
        assert offer.load(laptop.state.folder) is None


async def test_a_revoked_device_comes_back_only_in_person(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        code = other_pin()
        laptop.open_window(code)
        await kitchen.join(code, laptop.address)
        stone = membership.revoke(laptop.state, "kitchen")
        with pytest.raises(LinkError):
            await last(kitchen.specialist(laptop).run(REQUEST))
        again = other_pin()
        laptop.open_window(again)
        await kitchen.join(again, laptop.address)
        (peer,) = laptop.state.peers.book().peers.values()
        assert peer.counter > stone.counter
        assert (await last(kitchen.specialist(laptop).run(REQUEST))).output == WORDS


async def test_nobody_there_is_a_sentence(tmp_path: Path) -> None:
    async with running(tmp_path, "kitchen") as kitchen:
        with pytest.raises(PeerUnreachable, match="--at HOST:PORT"):
            await kitchen.join(WRONG, Address("127.0.0.1", 1))
        with pytest.raises(PeerUnreachable):
            await kitchen.join(WRONG)


async def test_a_man_in_the_middle_on_the_wire_pairs_with_nobody(tmp_path: Path) -> None:
    """It has a key of its own, ends the TLS of both sides and passes their messages on."""
    async with running(tmp_path, "laptop") as laptop, running(tmp_path, "kitchen") as kitchen:
        async with running(tmp_path, "mallory") as mallory:
            code = other_pin()
            laptop.open_window(code)

            async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                there, back = await asyncio.open_connection("127.0.0.1", laptop.server.port, ssl=tls.probing_context())
                try:
                    async with asyncio.timeout(5):
                        while data := await reader.read(65536):
                            back.write(data)
                            writer.write(await there.read(65536))
                except (OSError, TimeoutError):
                    pass
                finally:
                    back.transport.abort()
                    writer.transport.abort()

            context = tls.server_context(mallory.state.identity, [])
            middle = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
            async with middle:
                port = middle.sockets[0].getsockname()[1]
                with pytest.raises(PairingFailed):
                    await kitchen.join(code, Address("127.0.0.1", port))
            assert books(laptop, kitchen) == [[], []]


async def test_a_pairing_message_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    async with running(tmp_path, "laptop") as laptop:
        laptop.open_window(other_pin())
        reader, writer = await asyncio.open_connection("127.0.0.1", laptop.server.port, ssl=tls.probing_context())
        writer.write(b"POST /pair/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
        assert b"413" in await reader.readline()
        writer.transport.abort()


def test_a_damaged_offer_opens_no_window(tmp_path: Path) -> None:
    assert offer.load(tmp_path) is None
    for content in (b"", b"{}", b'{"codes": ["123456"], "grant": {}, "opened_ns": 1}', b"[1]"):
        offer.path_in(tmp_path).write_bytes(content)
        assert offer.load(tmp_path) is None
    made = offer.Offer((new_pin(),), guest_device(7), 5)
    offer.write(tmp_path, made)
    assert offer.load(tmp_path) == made
    assert offer.path_in(tmp_path).stat().st_mode & 0o777 == 0o600
    offer.close(tmp_path)
    offer.close(tmp_path)
