"""A request gets its seat when there is room for it, and costs nothing while it waits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.conversations import ConversationFiles
from models.engine.prefixes import PrefixFiles
from tests.models.engine.scripted_library import Bench, expected

OWN = [i % 50 for i in range(60)]
SAID = [40 + i % 20 for i in range(80)]


class CountedPrompts(PrefixFiles):
    reads = 0

    def read(self, tokens: Sequence[int]) -> bytes | None:
        self.reads += 1
        return super().read(tokens)


class CountedTalks(ConversationFiles):
    reads = 0

    def tokens(self, conversation: Path) -> list[int]:
        self.reads += 1
        return super().tokens(conversation)


def test_request_that_waits_for_room_reads_its_files_once(tmp_path: Path) -> None:
    talk, talks = tmp_path / "a", ConversationFiles("model")
    before = Bench(kv=400, folder=tmp_path, talks=talks)
    first = before.ask(1, [*OWN, *SAID], 4, own=60, keep=60, conversation=talk)
    before.run()
    before.batch.keep_conversations()

    prompts, counted = CountedPrompts(tmp_path, "scripted"), CountedTalks("model")
    bench = Bench(kv=400, talks=counted)
    bench.batch._keeping._prefixes = prompts
    bench.ask(1, [1] * 10, 250)
    bench.batch.step()
    turn = [*OWN, *SAID, *first.tokens, 7]
    bench.ask(2, turn, 20, own=60, keep=60, conversation=talk)
    for _ in range(50):
        bench.batch.step()
    assert (prompts.reads, counted.reads) == (0, 0)
    bench.run()
    assert (prompts.reads, counted.reads) == (1, 1)
    assert bench.answer(2) == expected(turn, 20)
    assert bench.done[2][1].cached_tokens >= len(OWN) + len(SAID)


def test_request_is_not_kept_waiting_by_what_nobody_uses_or_what_it_shares() -> None:
    bench = Bench(kv=300, shelf=0)
    bench.ask(1, SAID, 60)
    bench.batch.step()
    bench.ask(2, [1] * 100, 10)
    bench.batch.step()
    bench.batch.cancel(2)
    bench.ask(3, [*SAID, 9], 70)  # 140 are promised, and it needs 71 more than what it shares
    bench.batch.step()
    assert all(seat.job is None or seat.job.id in (1, 3) for seat in bench.batch._seats)
    assert any(seat.job is not None and seat.job.id == 3 for seat in bench.batch._seats)
    bench.run()
    assert bench.answer(3) == expected([*SAID, 9], 70)


def test_state_that_a_model_holds_in_part_is_neither_taken_over_nor_written(tmp_path: Path) -> None:
    bench = Bench(kv=600, folder=tmp_path)
    bench.library.holds_all = False
    for number in (1, 2, 3):
        bench.ask(number, [*OWN, *SAID, number], 4, own=60, keep=60)
    bench.run()
    assert not list(tmp_path.glob("*.state"))
    assert all(bench.done[number][1].cached_tokens == 0 for number in (1, 2, 3))
    assert all(bench.answer(number) == expected([*OWN, *SAID, number], 4) for number in (1, 2, 3))
