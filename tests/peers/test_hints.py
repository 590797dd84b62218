"""What others say of where a device is: a new place wakes who waits to dial it, and no more often than that helps."""

from __future__ import annotations

from peers.codes import Address
from peers.hints import MAX_PLACES, MAX_WAKES, WAKES_S, Hints
from peers.node_id import of_key
from tests.peers.nodes import Clock

GARAGE, LIAR, FRIEND = of_key(b"garage"), of_key(b"liar"), of_key(b"friend")


def place(number: int) -> Address:
    return Address("192.168.1.20", number)


async def called(hints: Hints) -> bool:
    return await hints.called(GARAGE, 0.01)


async def test_ever_new_addresses_from_one_device_wake_the_dialer_four_times_a_minute() -> None:
    clock = Clock()
    hints = Hints(clock.seconds)
    await called(hints)
    wakes = 0
    for number in range(1, 100):
        hints.told(GARAGE, place(number), by=LIAR)
        wakes += await called(hints)
        clock.pass_s(0.1)
    assert wakes == MAX_WAKES
    hints.told(GARAGE, place(1000), by=FRIEND)
    assert await called(hints), "what another one says is heard all the same"
    clock.pass_s(WAKES_S)
    hints.told(GARAGE, place(1001), by=LIAR)
    assert await called(hints)


async def test_ever_new_addresses_from_one_device_push_out_nothing_that_another_one_said() -> None:
    hints = Hints()
    hints.told(GARAGE, place(4489), by=FRIEND)
    for number in range(1, 100):
        hints.told(GARAGE, place(number), by=LIAR)
    assert place(4489) in hints.places(GARAGE)
    assert len(hints.places(GARAGE)) == MAX_PLACES + 1
    hints.forget(LIAR)
    assert hints.places(GARAGE) == (place(4489),)


async def test_an_address_that_is_known_wakes_nobody_and_a_sighting_does() -> None:
    hints = Hints()
    await called(hints)
    hints.told(GARAGE, place(1), by=FRIEND)
    assert await called(hints)
    hints.told(GARAGE, place(1), by=FRIEND)
    assert not await called(hints)
    hints.sighted(GARAGE, place(1))
    assert await called(hints)
