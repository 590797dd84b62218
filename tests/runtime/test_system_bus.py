"""Calls are written, and messages read, as the D-Bus specification says."""

from __future__ import annotations

from runtime.logind import THE_BUS
from runtime.system_bus import DESCRIPTORS, REPLY_SERIAL, SENDER, SIGNATURE, call, fields_of
from tests.runtime.test_logind import GOING, GONE, reply

HELLO = bytes.fromhex(
    "6c01020100000000010000006d00000001016f00150000002f6f72672f667265656465736b746f702f44427573000000"
    "02017300140000006f72672e667265656465736b746f702e4442757300000000030173000500000048656c6c6f000000"
    "06017300140000006f72672e667265656465736b746f702e4442757300000000"
)
"""As dbus-daemon accepts it."""


def test_a_call_is_written_as_the_specification_says() -> None:
    assert call(1, "Hello", to=THE_BUS) == HELLO


def test_the_fields_of_what_comes_are_read() -> None:
    assert fields_of(reply(3)[:-4]) == {REPLY_SERIAL: 3, SENDER: b":1.0", SIGNATURE: b"h", DESCRIPTORS: 1}
    assert fields_of(GOING[:-4])[SIGNATURE] == b"b"
    assert len(fields_of(GONE[:-45])) == 5


def test_a_field_of_a_kind_that_is_not_known_hides_those_behind_it_and_nothing_else() -> None:
    assert fields_of(GOING[:-4].replace(b"\3\1s\0", b"\3\1d\0")).keys() == {1, 2}


def test_a_header_cut_at_any_byte_is_read_as_far_as_it_goes() -> None:
    whole = fields_of(GOING[:-4])
    for size in range(len(GOING)):
        assert fields_of(GOING[:size]).keys() <= whole.keys()
