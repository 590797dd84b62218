"""A conversation is cut at whole turns, the oldest first."""

from __future__ import annotations

from runtime.history import Turn, estimate_tokens, fit

TALK = tuple(Turn("user" if n % 2 == 0 else "assistant", f"turn {n}") for n in range(6))


def test_a_short_conversation_is_kept_whole() -> None:
    assert fit(TALK, 1000) == TALK


def test_the_newest_turns_are_kept_and_begin_with_the_users() -> None:
    room = sum(estimate_tokens(turn.content) for turn in TALK[-4:])
    assert fit(TALK, room) == TALK[-2:]


def test_a_long_conversation_begins_with_the_same_turn_for_a_while() -> None:
    talk = tuple(Turn("user" if n % 2 == 0 else "assistant", f"turn {n:03}") for n in range(100))
    limit = 16 * estimate_tokens("turn 000")
    seen = [fit(talk[:n], limit) for n in range(1, 100)]
    assert all(sum(estimate_tokens(turn.content) for turn in kept) <= limit for kept in seen)
    assert all(kept[-1] == talk[n] for n, kept in enumerate(seen) if talk[n].role == "user")
    firsts = [kept[0] for kept in seen if kept]
    assert len(set(firsts)) <= 100 / 6


def test_a_turn_too_long_by_itself_takes_the_earlier_ones_with_it() -> None:
    talk = (*TALK, Turn("user", "x" * 4000), Turn("assistant", "yes"), Turn("user", "and why"))
    assert fit(talk, 100) == talk[-1:]


def test_no_room_keeps_nothing() -> None:
    assert fit(TALK, 5) == ()
    assert fit((), 100) == ()


def test_letters_of_other_scripts_count_for_more() -> None:
    assert estimate_tokens("日本語日本語") > estimate_tokens("nihong")
