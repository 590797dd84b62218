"""State is one asker's: what a conversation left behind serves its next turn, and nobody else's request."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from models.conversations import ConversationFiles, forget
from models.engine.answering import Answer
from models.types import PROGRAMS
from tests.models.engine.scripted_library import Bench, expected

OWN = [i % 50 for i in range(60)]
"""A specialist's own prompt."""
SAID = [40 + i % 20 for i in range(80)]
"""What a user wrote."""


def cached(bench: Bench, number: int) -> int:
    return bench.done[number][1].cached_tokens


def asked(bench: Bench, number: int, prompt: list[int], **more: object) -> Answer:
    answer = bench.ask(number, prompt, 4, **more)
    bench.run()
    assert bench.answer(number) == expected(prompt, 4)
    return answer


def test_a_next_turn_computes_only_what_is_new() -> None:
    bench = Bench(kv=600)
    first = asked(bench, 1, [*OWN, *SAID], own=60)
    asked(bench, 2, [*OWN, *SAID, *first.tokens, 7, 8, 9], own=60)
    assert cached(bench, 2) >= 60 + 80 + 3


def test_another_asker_takes_over_a_specialists_prompt_and_nothing_of_what_was_said() -> None:
    bench = Bench(kv=600)
    asked(bench, 1, [*OWN, *SAID], own=60)
    asked(bench, 2, [*OWN, *SAID, 7], own=60, asker="guest")
    assert cached(bench, 2) == 60
    asked(bench, 3, [*OWN, *SAID, 8])
    assert cached(bench, 3) == 140


def test_requests_that_arrive_together_share_no_text_across_askers() -> None:
    bench = Bench(kv=800)
    for number, asker in enumerate(("", "guest", "other")):
        bench.ask(number, [*OWN, *SAID, number], 2, own=60, asker=asker)
    bench.run()
    assert max(cached(bench, number) for number in range(3)) <= 60
    assert bench.library.rows < 60 + 3 * (80 + 10)


def test_what_another_device_asked_is_gone_when_its_request_has_ended() -> None:
    bench = Bench(kv=600)
    asked(bench, 1, [*OWN, *SAID], own=60, asker="guest")
    assert [state for state in bench.library.states if state] == [OWN]
    bench.ask(2, [*OWN, *SAID], 50, own=60, asker="guest")
    bench.batch.step()
    bench.batch.cancel(2)
    assert all(state in ([], OWN) for state in bench.library.states)


def test_a_conversation_goes_on_after_a_restart(tmp_path: Path) -> None:
    talk, files = tmp_path / "a", ConversationFiles("model")
    bench = Bench(kv=600, talks=files)
    first = asked(bench, 1, [*OWN, *SAID], own=60, conversation=talk)
    bench.batch.keep_conversations()
    again = Bench(kv=600, talks=files)
    asked(again, 2, [*OWN, *SAID, *first.tokens, 7], own=60, conversation=talk)
    assert cached(again, 2) >= 60 + 80 + 3
    assert again.library.rows < 10


def test_a_conversation_that_was_pushed_out_of_memory_comes_back(tmp_path: Path) -> None:
    talk = tmp_path / "a"
    bench = Bench(kv=200, slots=2, talks=ConversationFiles("model"))
    first = asked(bench, 1, [*OWN, *SAID], conversation=talk)
    bench.batch.keep_conversations()
    asked(bench, 2, [3] * 190)
    asked(bench, 3, [*OWN, *SAID, *first.tokens, 7], conversation=talk)
    assert cached(bench, 3) >= 140


def test_a_turn_that_differs_takes_over_only_what_is_the_same(tmp_path: Path) -> None:
    talk, files = tmp_path / "a", ConversationFiles("model")
    bench = Bench(kv=600, talks=files)
    asked(bench, 1, [*OWN, *SAID], conversation=talk)
    bench.batch.keep_conversations()
    again = Bench(kv=600, talks=files)
    asked(again, 2, [*OWN, *SAID[:40], 1, 1, 1], conversation=talk)
    assert cached(again, 2) == 100


def test_only_the_newest_turn_is_written_and_what_is_not_of_a_conversation_never(tmp_path: Path) -> None:
    talk, files = tmp_path / "talk", ConversationFiles("model")
    bench = Bench(kv=900, talks=files)
    asked(bench, 1, [3] * 100)
    first = asked(bench, 2, [*OWN, *SAID], conversation=talk)
    asked(bench, 3, [*OWN, *SAID, *first.tokens, 7, 8], conversation=talk)
    bench.batch.keep_conversations()
    assert len(list(tmp_path.glob("*.state"))) == 1
    assert len(files.tokens(talk)) > 60 + 80 + 4


def test_forgetting_empties_memory_but_for_specialists_prompts(tmp_path: Path) -> None:
    bench = Bench(kv=600, talks=ConversationFiles("model"))
    asked(bench, 1, [*OWN, *SAID], own=60, conversation=tmp_path / "a")
    bench.batch.forget()
    bench.batch.keep_conversations()
    assert [state for state in bench.library.states if state] == [OWN]
    assert forget(tmp_path) == 0


turns = st.tuples(
    st.integers(1, 9), st.sampled_from(["", "guest"]), st.sampled_from(["", "a", "b"]), st.integers(0, 12)
)


@given(st.lists(turns, min_size=1, max_size=14))
@settings(max_examples=60, deadline=None)
def test_answers_are_right_whatever_is_put_away_and_brought_back(wanted: list[tuple[int, str, str, int]]) -> None:
    """Two askers and two conversations over one small context, which is cleared, kept and forgotten in between."""
    with TemporaryDirectory() as made:
        bench = Bench(kv=260, slots=2, rows=32, folder=Path(made) / "own", talks=ConversationFiles("model"))
        said: dict[tuple[str, str], list[int]] = {}
        for number, (length, asker, talk, after) in enumerate(wanted):
            past = said.get((asker, talk), []) if talk else []
            prompt = [*OWN, *past, *[(number * 7 + i) % 63 for i in range(length)]]
            conversation = Path(made) / talk if talk and not asker else None
            answer = bench.ask(number, prompt, 4, own=60, keep=60, asker=asker, conversation=conversation)
            for _ in range(after):
                bench.batch.step()
            if after % 3 == 0:
                bench.batch.keep_conversations()
            if after == 7:
                bench.batch.forget()
            bench.run()
            assert bench.answer(number) == expected(prompt, 4)
            said[asker, talk] = prompt[60:] + answer.tokens
        assert not bench.failed


def test_programs_share_among_themselves_and_learn_nothing_of_the_owners_requests() -> None:
    bench = Bench(kv=900)
    asked(bench, 1, [*OWN, *SAID], own=60)
    asked(bench, 2, [*OWN, *SAID, 7], own=60, asker=PROGRAMS)
    assert cached(bench, 2) == 60
    asked(bench, 3, [*OWN, *SAID, 8], own=60, asker=PROGRAMS)
    assert cached(bench, 3) == 140


def test_turn_that_still_waits_is_forgotten_too(tmp_path: Path) -> None:
    talk = tmp_path / "a"
    bench = Bench(kv=600, slots=1, talks=ConversationFiles("model"))
    bench.ask(1, [3] * 100, 20)
    bench.batch.step()
    bench.ask(2, [*OWN, *SAID], 4, conversation=talk)
    bench.batch.forget(talk)
    bench.run()
    bench.batch.keep_conversations()
    assert bench.answer(2) == expected([*OWN, *SAID], 4) and not list(tmp_path.glob("*.state"))
