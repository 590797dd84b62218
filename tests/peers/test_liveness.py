"""What silence, answers and time make of a link: tables, no clock."""

from __future__ import annotations

import pytest

from peers.liveness import DOWN_S, LONGEST_WAIT_S, PING_S, Health, Pulse, begun, health, heard, is_due, pinged, wait_s


def silent_since(pings: int) -> Pulse:
    """The pulse after so many pings, five seconds apart, to which nothing came."""
    pulse = begun(0.0)
    for count in range(1, pings + 1):
        pulse = pinged(pulse, count * PING_S)
    return pulse


@pytest.mark.parametrize(
    ("pings", "now_s", "expected"),
    [
        (0, 4.9, Health.UP),
        (1, 9.9, Health.UP),
        (2, 11.9, Health.UP),
        (2, 12.0, Health.SUSPECT),
        (3, 15.0, Health.SUSPECT),
        (5, 29.9, Health.SUSPECT),
        (6, 30.0, Health.DOWN),
    ],
)
def test_silence_makes_suspect_within_15_s_and_down_at_30(pings: int, now_s: float, expected: Health) -> None:
    assert health(silent_since(pings), now_s) is expected


def test_slow_is_not_dead_a_late_answer_makes_the_link_well() -> None:
    late = heard(silent_since(4), 22.0)  # the pings went at 5, 10, 15 and 20 s
    assert health(late, 22.0) is Health.UP
    assert health(pinged(late, 25.0), 22.0 + DOWN_S) is Health.DOWN


def test_a_device_that_was_stalled_itself_does_not_blame_the_other() -> None:
    assert health(begun(0.0), 3600.0) is Health.UP


def test_whatever_is_heard_counts_not_only_answers_to_pings() -> None:
    pulse = begun(0.0)
    for count in range(1, 20):
        pulse = heard(pinged(pulse, count * PING_S), count * PING_S + 0.1)
    assert health(pulse, 19 * PING_S + 1) is Health.UP


def test_a_ping_is_due_every_five_seconds() -> None:
    pulse = begun(100.0)
    assert not is_due(pulse, 104.9)
    assert is_due(pulse, 105.0)
    assert not is_due(pinged(pulse, 105.0), 109.0)


def test_waits_grow_from_half_a_second_to_a_minute_and_are_never_in_step() -> None:
    full = [wait_s(failures, chance=lambda: 1.0) for failures in range(1, 40)]
    assert full[:3] == [0.5, 0.75, 1.125]
    assert full == sorted(full)
    assert full[-1] == LONGEST_WAIT_S
    assert wait_s(1, chance=lambda: 0.0) == 0.25
    assert wait_s(10**9, chance=lambda: 1.0) == LONGEST_WAIT_S
