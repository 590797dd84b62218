"""The soak's requests, and what it says of an answer in company beside the lone one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from models.backend import GenerateCall, Message
from models.backends.scripted import ScriptedText
from scripts.benches.soak import of_memory
from scripts.benches.soak_requests import SIZES, WORDS, Asked, asked, form_of, is_right
from scripts.benches.unaccompanied import judged

LONE = "A lighthouse shows ships the way."


def _first(kind: str) -> Asked:
    return next(one for one in map(asked, range(100)) if one.kind == kind)


def test_requests_are_of_all_kinds_and_sizes_and_the_same_on_every_run() -> None:
    found = [asked(number) for number in range(2000)]
    assert found == [asked(number) for number in range(2000)]
    kinds = Counter(one.kind for one in found)
    assert min(kinds["named"], kinds["written"], kinds["weighed"]) > 200
    words = sorted(sum(len(message.content.split()) for message in one.messages) for one in found)
    assert words[0] < SIZES[0][1] < words[1000] * 2 and words[-1] > 800


def test_a_word_is_not_shown_by_the_turns_before_it() -> None:
    """Else an answer that read too little of its prompt could be right by chance more often than 1 in 20."""
    one = _first("named")
    *shown, last = [message.content for message in one.messages if message.role != "system"]
    assert one.word in last and not any(one.word in text for text in shown)
    assert form_of(one)["response_format"]["json_schema"]["schema"] == {"enum": list(WORDS)}
    assert is_right(one, f'"{one.word}"') and not is_right(one, '"banana"')


@pytest.mark.parametrize(
    ("got", "weights", "verdict"),
    [
        (LONE, (1.0, 1.0), "same"),
        ("A lighthouse shows the way.", (0.6, 0.4), "close"),
        ("Bread is baked of flour.", (0.9, 0.1), "crossed"),
        ("Bread is baked of flour.", (1.0, 0.0), "crossed"),
    ],
)
async def test_another_text_is_crossed_where_the_lone_choice_is_ahead(
    got: str, weights: tuple[float, ...], verdict: str
) -> None:
    model = ScriptedText(lambda call: LONE, scorer=lambda messages, labels, prefill: weights)
    assert await judged(model, replace(_first("written"), tokens=48), got) == verdict


async def test_a_wrong_word_is_the_models_own_mistake_only_if_it_makes_it_alone_too() -> None:
    one = _first("named")
    wrong = next(f'"{word}"' for word in WORDS if word != one.word)
    blind = ScriptedText(lambda call: wrong)
    assert await judged(blind, one, wrong) == "mistaken"
    able = ScriptedText(_repeats, scorer=lambda messages, labels, prefill: (0.97, 0.03))
    assert await judged(able, one, wrong) == "crossed"


@pytest.mark.parametrize(("off", "verdict"), [(0.05, "same"), (0.3, "crossed")])
async def test_label_probabilities_may_differ_by_rounding_only(off: float, verdict: str) -> None:
    one = _first("weighed")
    lone = [0.02] * len(one.labels)
    lone[one.labels.index(f'"{one.word}"')] = 0.62

    def scorer(messages: Sequence[Message], labels: Sequence[str], prefill: str) -> Sequence[float]:
        return lone

    got = tuple(share - off if share == max(lone) else share + off / (len(lone) - 1) for share in lone)
    assert await judged(ScriptedText(scorer=scorer), one, got) == verdict


@pytest.mark.parametrize(("end", "missed"), [(100.0, False), (104.0, False), (106.0, True), (94.0, True)])
def test_memory_at_the_end_is_held_against_before(end: float, missed: bool) -> None:
    """And not against some time in the middle: what grew until then has grown too. A moment's peak is no growth."""
    *_, difference = of_memory([99.0, 100.0, 120.0], [end, end], [102.0], [end, end, 150.0])
    assert difference.missed == missed


def _repeats(call: GenerateCall) -> str:
    return f'"{call.messages[-1].content.removeprefix("Repeat: ")}"'
