"""Codes are read as people type them and cameras see them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peers.codes import Address, Invitation, Pin, new_invitation, new_pin, parse_address, parse_code, terminal
from peers.errors import BadCode
from peers.node_id import of_key
from peers.secret import Secret

NODE = of_key(b"laptop")
PLACES = (Address("192.168.1.20", 4489), Address("fe80::1", 4489), Address("laptop.local", 65535))


@pytest.mark.parametrize("typed", ["482913", " 482 913 ", "482-913", "482 913\n"])
def test_a_pin_is_read_however_it_is_grouped(typed: str) -> None:
    code = parse_code(typed)
    assert isinstance(code, Pin)
    assert (code.digits.reveal(), code.shown) == ("482913", "482 913")


def test_pins_differ_and_may_begin_with_zero() -> None:
    pins = [new_pin().digits.reveal() for _ in range(2000)]
    assert all(len(pin) == 6 and pin.isdigit() for pin in pins)
    assert {pin[0] for pin in pins} == set("0123456789")
    assert Counter(pins).most_common(1)[0][1] < 4


@pytest.mark.parametrize("places", [(), PLACES[:1], PLACES])
def test_a_qr_text_is_read_back(places: tuple[Address, ...]) -> None:
    made = new_invitation(NODE, places)
    assert parse_code(made.text) == made
    assert parse_code(f" {made.text.lower()}\n") == made


def test_two_tokens_differ_and_stay_out_of_reprs() -> None:
    one, other = new_invitation(NODE, ()), new_invitation(NODE, ())
    assert one.token != other.token
    assert len(one.token.reveal()) == 26
    assert one.token.reveal() not in repr(one)


def test_a_qr_text_cut_anywhere_is_no_other_code() -> None:
    whole = Invitation(NODE, Secret("A" * 26), PLACES[:1])
    for length in range(len(whole.text)):
        try:
            found = parse_code(whole.text[:length])
        except BadCode:
            continue
        assert isinstance(found, Invitation)  # only its address may be cut
        assert (found.node_id, found.token) == (NODE, whole.token)


NO_CODES = ["", "12345", "1234567", "48291a", "٤٨٢٩١٣", "COVEY/2/AAAA", "COVEY/1/", f"COVEY/1/{NODE}"]
NO_PLACES = ["host", "host+0", "host+65536", "ho st+1", "a+1/b+1/c+1/d+1/e+1"]


@pytest.mark.parametrize("text", NO_CODES + [f"COVEY/1/{NODE}/{'A' * 26}/{place}" for place in NO_PLACES])
def test_what_is_no_code_is_a_sentence(text: str) -> None:
    with pytest.raises(BadCode, match=r"\."):
        parse_code(text)


@given(st.text(max_size=80) | st.text(max_size=80).map(lambda tail: "COVEY/1/" + tail))
def test_any_text_is_a_code_or_a_sentence(text: str) -> None:
    try:
        parse_code(text)
    except BadCode:
        pass


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.1.20:4489", Address("192.168.1.20", 4489)),
        (" laptop.local:1 ", Address("laptop.local", 1)),
        ("[fe80::1%eth0]:4489", Address("fe80::1%eth0", 4489)),
    ],
)
def test_an_address_is_read_and_shown(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text.strip()


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:0", "host:65536", "fe80::1:4489", "h ost:1", "[::1]"]
)
def test_what_is_no_address_is_a_sentence(text: str) -> None:
    with pytest.raises(BadCode, match=r"192\.168\.1\.20:4489"):
        parse_address(text)


def test_a_qr_code_fits_a_small_terminal() -> None:
    shown = terminal(new_invitation(NODE, PLACES[:1]).text).splitlines()
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 60
