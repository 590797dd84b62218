"""Pairing holds against guessing, a man in the middle, reflection, replay and every cut message."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peers.codes import Invitation, Pin, new_invitation
from peers.errors import LocalProtocolError, PairingFailed
from peers.identity import Identity, PublicIdentity
from peers.node_id import NodeId
from peers.pairing import MAX_TRIES, RUN_S, WINDOW_S, Joining, Me, Paired, Window
from peers.pairing_messages import MAX_PAIRING_BYTES, PairRefused
from peers.secret import Secret
from tests.peers.nodes import new_identity

RIGHT, WRONG = Pin(Secret("482913")), Pin(Secret("482914"))
REFUSED = PairRefused().pack()


@dataclass(frozen=True)
class Ends:
    """Two devices and a third that is up to no good."""

    host: Identity
    joiner: Identity
    mallory: Identity


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    made = [new_identity(tmp_path_factory.mktemp(name)) for name in ("host", "joiner", "mallory")]
    return Ends(*made)


def me(identity: Identity, name: str = "device", known: dict[NodeId, int] | None = None) -> Me:
    return Me(identity.public, name, ("192.168.1.20:4489",), lambda node: (known or {}).get(node, 0))


def window(ends: Ends, *codes: Pin | Invitation) -> Window:
    return Window(me(ends.host, "laptop"), codes or (RIGHT,), opened_s=0.0)


def joining(ends: Ends, code: Pin | Invitation = RIGHT, host: Identity | None = None) -> Joining:
    return Joining(me(ends.joiner, "kitchen"), code, (host or ends.host).certificate_der)


def pair(at: Window, by: Joining, now_s: float = 1.0) -> Paired:
    """Carry the messages from one to the other."""
    confirmed = at.answer(by.confirm(at.answer(by.hello(), now_s)), now_s)
    return by.done(at.answer(by.finish(confirmed), now_s))


def guess(ends: Ends, at: Window, code: Pin = WRONG, now_s: float = 1.0) -> None:
    attempt = joining(ends, code)
    with pytest.raises(PairingFailed):
        attempt.finish(at.answer(attempt.confirm(at.answer(attempt.hello(), now_s)), now_s))


def test_the_right_code_pairs_both_sides(ends: Ends) -> None:
    at = window(ends)
    host = pair(at, joining(ends))
    joiner = at.paired
    assert joiner is not None
    assert (host.identity.node_id, host.name) == (ends.host.node_id, "laptop")
    assert (joiner.identity.node_id, joiner.name) == (ends.joiner.node_id, "kitchen")
    assert joiner.identity.certificate_der == ends.joiner.certificate_der
    assert host.addresses == joiner.addresses == ("192.168.1.20:4489",)
    assert host.counter == joiner.counter == 1


def test_a_qr_code_pairs_too_and_both_may_be_shown_at_once(ends: Ends) -> None:
    invitation = new_invitation(ends.host.node_id, ())
    for code in (invitation, RIGHT):
        at = window(ends, RIGHT, invitation)
        assert pair(at, joining(ends, code)).identity.node_id == ends.host.node_id


def test_the_number_of_a_pairing_is_above_all_that_either_side_has_seen(ends: Ends) -> None:
    at = Window(me(ends.host, known={ends.joiner.node_id: 7}), (RIGHT,), opened_s=0.0)
    by = Joining(me(ends.joiner, known={ends.host.node_id: 3}), RIGHT, ends.host.certificate_der)
    assert pair(at, by).counter == 8
    assert at.paired is not None and at.paired.counter == 8


def test_a_code_is_good_for_one_pairing(ends: Ends) -> None:
    at = window(ends)
    pair(at, joining(ends))
    assert not at.is_open(2.0)
    assert at.answer(joining(ends).hello(), 2.0) == REFUSED


def test_five_wrong_codes_close_the_window(ends: Ends) -> None:
    at = window(ends)
    for _ in range(MAX_TRIES):
        assert at.is_open(1.0)
        guess(ends, at)
    assert not at.is_open(1.0)
    assert at.answer(joining(ends).hello(), 1.0) == REFUSED
    assert at.paired is None


def test_the_fifth_try_may_still_be_the_right_one(ends: Ends) -> None:
    at = window(ends)
    for _ in range(MAX_TRIES - 1):
        guess(ends, at)
    assert pair(at, joining(ends)).name == "laptop"


def test_a_run_that_is_given_up_is_a_try(ends: Ends) -> None:
    """Else a guesser looks at what it can and leaves before it counts."""
    at = window(ends)
    for number in range(MAX_TRIES):
        assert at.answer(joining(ends, WRONG).hello(), number * RUN_S) != REFUSED
    assert not at.is_open(MAX_TRIES * RUN_S)


def test_the_window_closes_by_itself(ends: Ends) -> None:
    at = window(ends)
    assert at.left_s(20.0) == WINDOW_S - 20
    assert at.is_open(WINDOW_S - 0.01)
    assert not at.is_open(WINDOW_S)
    assert at.answer(joining(ends).hello(), WINDOW_S) == REFUSED


def test_a_confirmation_after_the_window_closed_is_late(ends: Ends) -> None:
    at, by = window(ends), joining(ends)
    confirm = by.confirm(at.answer(by.hello(), WINDOW_S - 1))
    assert at.answer(confirm, WINDOW_S) == REFUSED
    assert at.paired is None


def test_a_finish_after_the_run_is_over_is_late_and_nobody_is_paired(ends: Ends) -> None:
    at, by = window(ends), joining(ends)
    finish = by.finish(at.answer(by.confirm(at.answer(by.hello(), 1.0)), 1.0))
    refused = at.answer(finish, 1.0 + RUN_S)
    assert refused == REFUSED
    assert at.paired is None
    with pytest.raises(PairingFailed):
        by.done(refused)


def test_two_at_once_the_second_waits_and_does_not_disturb(ends: Ends) -> None:
    at, first = window(ends), joining(ends)
    reply = at.answer(first.hello(), 1.0)
    assert at.answer(joining(ends).hello(), 1.0) == REFUSED
    assert at.tries == 1
    confirmed = at.answer(first.confirm(reply), 1.0)
    assert at.answer(joining(ends).hello(), 1.0) == REFUSED
    assert first.done(at.answer(first.finish(confirmed), 1.0)).name == "laptop"


def test_a_stranger_can_not_end_the_run_of_another(ends: Ends) -> None:
    """A confirmation needs the run's name, which only its joiner was told."""
    at, other = window(ends), window(ends)
    by, stranger = joining(ends), joining(ends)
    reply = at.answer(by.hello(), 1.0)
    forged = stranger.confirm(other.answer(stranger.hello(), 1.0))
    assert at.answer(forged, 1.0) == REFUSED
    assert by.finish(at.answer(by.confirm(reply), 1.0))


def test_a_run_that_hangs_makes_room(ends: Ends) -> None:
    at = window(ends)
    at.answer(joining(ends, WRONG).hello(), 1.0)
    assert pair(at, joining(ends), 1.0 + RUN_S).name == "laptop"


def test_a_replayed_pairing_does_not_pair(ends: Ends) -> None:
    at, by = window(ends), joining(ends)
    hello = by.hello()
    confirm = by.confirm(at.answer(hello, 1.0))
    finish = by.finish(at.answer(confirm, 1.0))
    at.answer(finish, 1.0)
    again = window(ends)
    assert again.answer(hello, 1.0) != REFUSED
    assert again.answer(confirm, 1.0) == REFUSED
    assert again.answer(finish, 1.0) == REFUSED
    assert again.paired is None


def test_messages_repeated_inside_a_run_do_not_pair_twice_or_early(ends: Ends) -> None:
    at, by = window(ends), joining(ends)
    hello = by.hello()
    reply = at.answer(hello, 1.0)
    assert at.answer(hello, 1.0) == REFUSED
    confirm = by.confirm(reply)
    confirmed = at.answer(confirm, 1.0)
    assert at.answer(confirm, 1.0) == REFUSED
    assert at.paired is None
    by.done(at.answer(by.finish(confirmed), 1.0))


def test_what_was_said_can_not_be_sent_back(ends: Ends) -> None:
    """Reflection: the attacker has no code and answers with the victim's own words."""
    by = joining(ends)
    hello = by.hello()
    share = msgpack.unpackb(hello)["share"]
    with pytest.raises(PairingFailed):
        by.confirm(msgpack.packb({"kind": "pair_reply", "run": b"r" * 16, "share": share}))
    other = joining(ends)
    reflected = b"B" + msgpack.unpackb(other.hello())["share"][1:]
    with pytest.raises(PairingFailed):
        other.confirm(msgpack.packb({"kind": "pair_reply", "run": b"r" * 16, "share": reflected}))


def test_a_proof_sent_back_proves_nothing(ends: Ends) -> None:
    at, by = window(ends), joining(ends)
    confirm = msgpack.unpackb(by.confirm(at.answer(by.hello(), 1.0)))
    mirrored = {"kind": "pair_confirmed", "proof": confirm["proof"], "details": confirm["details"]}
    with pytest.raises(PairingFailed):
        by.finish(msgpack.packb(mirrored))


def test_a_man_in_the_middle_pairs_with_neither(ends: Ends) -> None:
    """It shows each side its own certificate and passes every message on, changed only where it must be."""
    at = window(ends)
    by = joining(ends, RIGHT, host=ends.mallory)
    hello = msgpack.unpackb(by.hello())
    forwarded = msgpack.packb({**hello, "certificate": ends.mallory.certificate_der})
    reply = at.answer(forwarded, 1.0)
    assert reply != REFUSED
    refused = at.answer(by.confirm(reply), 1.0)
    assert refused == REFUSED
    with pytest.raises(PairingFailed):
        by.finish(refused)
    assert at.paired is None


def test_a_man_in_the_middle_who_changes_nothing_but_the_end_is_found(ends: Ends) -> None:
    at = window(ends)
    by = joining(ends, RIGHT, host=ends.mallory)
    reply = at.answer(by.hello(), 1.0)
    assert at.answer(by.confirm(reply), 1.0) == REFUSED
    assert at.paired is None


def test_an_impostor_of_the_qr_code_is_told_nothing(ends: Ends) -> None:
    invitation = new_invitation(ends.host.node_id, ())
    with pytest.raises(PairingFailed, match="nothing was said"):
        joining(ends, invitation, host=ends.mallory)


def test_a_device_does_not_pair_with_itself(ends: Ends) -> None:
    with pytest.raises(PairingFailed, match="this device's own"):
        Joining(me(ends.host), RIGHT, ends.host.certificate_der)
    hello = Joining(me(ends.host), RIGHT, ends.joiner.certificate_der).hello()
    assert window(ends).answer(hello, 1.0) == REFUSED


def test_a_host_that_guesses_the_code_wrong_is_not_paired_with(ends: Ends) -> None:
    at = Window(me(ends.mallory, "laptop"), (WRONG,), opened_s=0.0)
    by = joining(ends, RIGHT, host=ends.mallory)
    with pytest.raises(PairingFailed):
        by.finish(at.answer(by.confirm(at.answer(by.hello(), 1.0)), 1.0))


def steps(ends: Ends) -> list[bytes]:
    """Every message of a good run, in order."""
    at, by = window(ends), joining(ends)
    said = [by.hello()]
    said.append(at.answer(said[0], 1.0))
    said.append(by.confirm(said[1]))
    said.append(at.answer(said[2], 1.0))
    said.append(by.finish(said[3]))
    said.append(at.answer(said[4], 1.0))
    return said


def test_every_message_to_the_host_cut_at_every_byte_is_refused_alike(ends: Ends) -> None:
    at, by = window(ends), joining(ends)
    hello = by.hello()
    assert {at.answer(hello[:length], 1.0) for length in range(len(hello))} == {REFUSED}
    assert at.tries == 0
    confirm = by.confirm(at.answer(hello, 1.0))
    assert {at.answer(confirm[:length], 1.0) for length in range(len(confirm))} == {REFUSED}
    finish = by.finish(at.answer(confirm, 1.0))
    assert {at.answer(finish[:length], 1.0) for length in range(len(finish))} == {REFUSED}
    assert by.done(at.answer(finish, 1.0)).name == "laptop"


@pytest.mark.parametrize("step", [1, 3, 5])
def test_every_message_to_the_joiner_cut_at_any_byte_fails(ends: Ends, step: int) -> None:
    whole = len(steps(ends)[step])
    for length in [0, 1, 2, whole // 2, whole - 2, whole - 1]:
        at, by = window(ends), joining(ends)
        with pytest.raises(PairingFailed):
            reply = at.answer(by.hello(), 1.0)
            confirm = by.confirm(reply[:length] if step == 1 else reply)
            confirmed = at.answer(confirm, 1.0)
            finish = by.finish(confirmed[:length] if step == 3 else confirmed)
            by.done(at.answer(finish, 1.0)[:length])


@pytest.mark.parametrize(
    "share", [b"", b"A" * 32, b"A" * 34, b"X" + b"\x01" * 32, b"B" + b"\xff" * 32, b"A" + bytes(32)]
)
def test_a_share_that_is_none_is_refused(ends: Ends, share: bytes) -> None:
    at = window(ends)
    hello = msgpack.unpackb(joining(ends).hello())
    assert at.answer(msgpack.packb({**hello, "share": share}), 1.0) == REFUSED
    by = joining(ends)
    by.hello()
    with pytest.raises(PairingFailed):
        by.confirm(msgpack.packb({"kind": "pair_reply", "run": b"r" * 16, "share": share}))


NEUTRAL = b"\x01" + bytes(31)
OF_ORDER_TWO = b"\xec" + b"\xff" * 30 + b"\x7f"


@pytest.mark.parametrize("point", [NEUTRAL, OF_ORDER_TWO, bytes(32)])
def test_a_share_of_small_order_is_refused(ends: Ends, point: bytes) -> None:
    """It would make the key known without the code."""
    at = window(ends)
    hello = msgpack.unpackb(joining(ends).hello())
    assert at.answer(msgpack.packb({**hello, "share": b"A" + point}), 1.0) == REFUSED


@pytest.mark.parametrize("message", [b"", REFUSED, b"x" * (MAX_PAIRING_BYTES + 1), b"\x80", b"\xc0"])
def test_nonsense_is_refused_and_uses_up_no_try(ends: Ends, message: bytes) -> None:
    at = window(ends)
    assert at.answer(message, 1.0) == REFUSED
    assert at.tries == 0


@given(data=st.binary(max_size=300), place=st.integers(0, 2))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_bytes_at_any_step_are_refused_alike(ends: Ends, data: bytes, place: int) -> None:
    at, by = window(ends), joining(ends)
    if place > 0:
        reply = at.answer(by.hello(), 1.0)
        if place > 1:
            at.answer(by.confirm(reply), 1.0)
    assert at.answer(data, 1.0) == REFUSED
    assert at.paired is None


@given(step=st.integers(0, 5), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_one_flipped_bit_anywhere_ends_without_a_pairing_on_the_side_that_reads_it(
    ends: Ends, step: int, place: float, bit: int
) -> None:
    def flipped(message: bytes, at_step: int) -> bytes:
        if at_step != step:
            return message
        changed = bytearray(message)
        changed[int(place * len(message))] ^= 1 << bit
        return bytes(changed)

    at, by = window(ends), joining(ends)
    with pytest.raises(PairingFailed):
        reply = flipped(at.answer(flipped(by.hello(), 0), 1.0), 1)
        confirmed = flipped(at.answer(flipped(by.confirm(reply), 2), 1.0), 3)
        by.done(flipped(at.answer(flipped(by.finish(confirmed), 4), 1.0), 5))
    assert (at.paired is not None) == (step == 5)  # the host finished; only its last word was lost


def test_steps_out_of_order_are_our_own_defect(ends: Ends) -> None:
    by = joining(ends)
    with pytest.raises(LocalProtocolError):
        by.confirm(b"")
    by.hello()
    with pytest.raises(PairingFailed):
        by.confirm(REFUSED)
    with pytest.raises(LocalProtocolError):
        by.confirm(REFUSED)
    with pytest.raises(LocalProtocolError):
        by.finish(b"")


def test_a_name_that_moves_the_cursor_is_shown_as_plain_text(ends: Ends) -> None:
    at = window(ends)
    by = Joining(me(ends.joiner, "kit\x1b[2Jchen\n\u202e"), RIGHT, ends.host.certificate_der)
    pair(at, by)
    assert at.paired is not None and at.paired.name == "kit [2Jchen"


def test_names_and_addresses_are_not_said_in_the_clear(ends: Ends) -> None:
    said = b"".join(steps(ends))
    assert b"laptop" not in said
    assert b"kitchen" not in said
    assert b"192.168" not in said


def test_the_code_is_in_no_repr(ends: Ends, tmp_path: Path) -> None:
    assert "482913" not in f"{RIGHT} {RIGHT!r} {window(ends)!r} {joining(ends)!r} {RIGHT.digits}"
    assert PublicIdentity(ends.host.certificate_der).node_id == ends.host.node_id
