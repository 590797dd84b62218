"""A conversation is cut at whole turns, the oldest first."""

from __future__ import annotations

from runtime.history import Turn, estimate_tokens, fit

TALK = tuple(Turn("user" if n % 2 == 0 else "assistant", f"turn {n}") for n in range(6))


def test_a_short_conversation_is_kept_whole() -> None:
    assert fit(TALK, 1000) == TALK


def test_the_newest_turns_are_kept_and_begin_with_the_users() -> None:
    room = sum(estimate_tokens(turn.content) for turn in TALK[-3:])
    assert fit(TALK, room) == TALK[-2:]


def test_no_room_keeps_nothing() -> None:
    assert fit(TALK, 5) == ()
    assert fit((), 100) == ()


def test_letters_of_other_scripts_count_for_more() -> None:
    assert estimate_tokens("日本語日本語") > estimate_tokens("nihong")
