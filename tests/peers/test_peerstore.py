"""The time that counts for a guest's stay, on a device whose clock is wrong; and the room that reading takes."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from peers.book import Peer, find, is_expired, with_paired
from peers.grants import guest_device
from peers.peerstore import PeerStore
from tests.peers.nodes import Clock, new_identity, paired_with

HOUR_S, YEAR_S = 3600, 365 * 24 * 3600


class Device:
    """The two clocks of a device: the time of day, which may be set, and the one that counts from its start."""

    def __init__(self, folder: Path) -> None:
        self.day, self.since_start = Clock(), Clock(0)
        self.since_start.pass_s(100)
        self._folder = folder
        self.store = self.opened()

    def opened(self) -> PeerStore:
        return PeerStore(self._folder, clock_ns=self.day, since_start_ns=self.since_start)

    def pass_s(self, seconds: float) -> None:
        self.store.settle()  # what follows soon is written long before so much time has passed
        self.day.pass_s(seconds)
        self.since_start.pass_s(seconds)

    def starts_again(self, *, off_s: float) -> None:
        self.store.settle()
        self.pass_s(0)
        self.day.pass_s(off_s)
        self.since_start.now_ns = 10**9
        self.store = self.opened()

    def invited(self, hours: int) -> Peer:
        """Write down a guest who stays so long."""
        over = guest_device(self.store.now_ns() + hours * HOUR_S * 10**9)
        guest = paired_with(new_identity(self._folder / "guest"), "guest")
        now_ns = self.store.now_ns()
        return find(self.store.change(lambda book: with_paired(book, guest, over, now_ns=now_ns)), "guest")


def test_a_clock_set_back_does_not_lengthen_a_guests_stay(tmp_path: Path) -> None:
    device = Device(tmp_path)
    guest = device.invited(hours=2)
    for _ in range(4):
        device.pass_s(HOUR_S / 2 - 1)
        device.day.pass_s(-HOUR_S / 2)
        assert not is_expired(guest, device.store.now_ns())
    device.pass_s(10)
    assert is_expired(guest, device.store.now_ns()) and is_expired(guest, device.opened().now_ns())


def test_a_guests_stay_ends_on_a_device_whose_clock_was_once_a_year_ahead(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.day.pass_s(YEAR_S)
    device.store.change(lambda book: book)
    device.day.pass_s(-YEAR_S)
    guest = device.invited(hours=2)
    device.pass_s(HOUR_S)
    device.store.change(lambda book: book)
    device.pass_s(HOUR_S / 2)
    assert not is_expired(guest, device.store.now_ns())
    device.pass_s(HOUR_S * 3 / 2)
    assert is_expired(guest, device.store.now_ns()) and is_expired(guest, device.opened().now_ns())


def test_time_that_went_on_beside_a_wrong_clock_outlives_a_restart_of_the_device(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.day.pass_s(YEAR_S)
    device.store.change(lambda book: book)
    device.day.pass_s(-YEAR_S)
    guest = device.invited(hours=2)
    for _ in range(3):  # somebody asks now and then whether a device may come in; nothing else is written
        device.pass_s(HOUR_S / 2)
        assert not is_expired(guest, device.store.now_ns())
    device.starts_again(off_s=60)
    assert not is_expired(guest, device.store.now_ns())
    device.pass_s(HOUR_S / 2 + 1)
    assert is_expired(guest, device.store.now_ns())


def test_a_right_clock_is_the_time(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.store.change(lambda book: book)
    device.day.pass_s(60)  # it was a little behind and is put right
    assert device.store.now_ns() == device.day.now_ns
    device.pass_s(YEAR_S)
    assert device.store.now_ns() == device.day.now_ns


def test_a_short_list_of_devices_is_read_without_room_for_the_longest(tmp_path: Path) -> None:
    """It is read again after every piece of work, as each changes the figures of its asker."""
    Device(tmp_path).invited(1)
    store = PeerStore(tmp_path)
    tracemalloc.start()
    try:
        assert len(store.book().peers) == 1
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
