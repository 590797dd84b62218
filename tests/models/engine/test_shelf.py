"""What ended requests left behind stays at hand without being in the way of those that run."""

from __future__ import annotations

from pathlib import Path

from models.conversations import ConversationFiles
from tests.models.engine.scripted_library import Bench, expected

FIRST = [i % 50 for i in range(100)]
OTHER = [50 + i % 12 for i in range(90)]


def asked(bench: Bench, number: int, prompt: list[int], **more: object) -> None:
    bench.ask(number, prompt, 4, **more)
    bench.run()
    assert bench.answer(number) == expected(prompt, 4)


def cached(bench: Bench, number: int) -> int:
    return bench.done[number][1].cached_tokens


def test_a_running_request_has_the_context_for_itself() -> None:
    bench = Bench(kv=400, rows=128)
    asked(bench, 1, FIRST)
    bench.ask(2, OTHER, 4)
    bench.batch.step()
    assert sum(map(len, bench.library.states)) == len(OTHER)


def test_what_was_taken_out_of_the_context_comes_back_for_a_request_that_begins_like_it() -> None:
    bench = Bench(kv=400)
    asked(bench, 1, FIRST)
    asked(bench, 2, OTHER)
    asked(bench, 3, [*FIRST, 7])
    assert cached(bench, 3) == len(FIRST)


def test_a_few_more_tokens_than_the_context_holds_are_worth_bringing_back() -> None:
    bench = Bench(kv=400)
    asked(bench, 1, FIRST)
    bench.ask(2, [*FIRST[:12], *OTHER], 40)
    bench.batch.step()
    asked(bench, 3, [*FIRST[:20], 7, 8])
    assert cached(bench, 3) == 20


def test_what_was_used_longest_ago_goes_first() -> None:
    bench = Bench(kv=400, shelf=230)
    asked(bench, 1, FIRST)
    asked(bench, 2, OTHER)
    asked(bench, 3, [*FIRST, 7])  # used again
    asked(bench, 4, [3] * 80)  # no room for three
    asked(bench, 5, [*FIRST, 9])
    assert cached(bench, 5) == len(FIRST)
    asked(bench, 6, [*OTHER, 9])
    assert cached(bench, 6) == 0


def test_the_next_turn_of_a_conversation_replaces_the_one_before() -> None:
    bench = Bench(kv=400, shelf=230)
    asked(bench, 1, FIRST)
    for number in range(2, 12):  # other work between the turns of a growing conversation
        asked(bench, number, [number] * 60)
        asked(bench, 100 + number, [*FIRST, *([9] * number)])
        assert cached(bench, 100 + number) >= len(FIRST)


def test_another_asker_finds_nothing_of_what_was_said_on_the_shelf() -> None:
    bench = Bench(kv=400)
    asked(bench, 1, FIRST, own=30)
    asked(bench, 2, OTHER)
    asked(bench, 3, [*FIRST, 7], own=30, asker="guest")
    assert cached(bench, 3) == 30


def test_forgetting_empties_the_shelf() -> None:
    bench = Bench(kv=400)
    asked(bench, 1, FIRST)
    asked(bench, 2, OTHER)
    bench.batch.forget()
    asked(bench, 3, [*FIRST, 7])
    assert cached(bench, 3) == 0


def test_a_conversation_on_the_shelf_is_still_written_to_disk(tmp_path: Path) -> None:
    files = ConversationFiles("model")
    bench = Bench(kv=400, talks=files)
    asked(bench, 1, FIRST, conversation=tmp_path / "talk")
    asked(bench, 2, OTHER)
    bench.batch.keep_conversations()
    assert files.tokens(tmp_path / "talk")[: len(FIRST)] == FIRST


def test_conversation_that_has_to_go_is_on_disk_first(tmp_path: Path) -> None:
    """The worker is never idle in between, when all of them would be written."""
    talks = ConversationFiles("model")
    bench = Bench(kv=200, slots=2, talks=talks)
    bench.ask(1, FIRST, 4, conversation=tmp_path / "a")
    for number in range(2, 6):
        bench.ask(number, [number] * 120, 4)
    bench.run()
    assert talks.tokens(tmp_path / "a")[: len(FIRST)] == FIRST


def test_conversation_whose_seat_is_taken_at_once_is_not_lost(tmp_path: Path) -> None:
    talks = ConversationFiles("model")
    for shelf in (None, 0):
        bench = Bench(kv=600, slots=1, talks=talks, shelf=shelf)
        bench.ask(1, FIRST, 4, conversation=tmp_path / f"talk {shelf}")
        bench.ask(2, OTHER, 4)
        bench.run()
        bench.batch.keep_conversations()
        assert talks.tokens(tmp_path / f"talk {shelf}")[: len(FIRST)] == FIRST
