"""The scripted models keep the promises of the real ones, so that tests against them mean something."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from models.backend import Constraint, Delta, Finish, GenerateCall, Message, whole
from models.backends.scripted import ScriptedEncoder, ScriptedPool, ScriptedReranker, ScriptedText
from models.errors import ConstraintError, ContextOverflow, DeadlineExceeded, NotInstalled, WorkerDied


def call(text: str = "hello", *, max_tokens: int = 64, **more: object) -> GenerateCall:
    return GenerateCall((Message("user", text),), max_tokens, **more)  # type: ignore[arg-type]


async def items(model: ScriptedText, asked: GenerateCall) -> list[Delta | Finish]:
    return [item async for item in model.generate(asked)]


def test_replies_come_in_order_and_token_by_token() -> None:
    model = ScriptedText(["one two three", "four"])
    seen = asyncio.run(items(model, call()))
    assert [item.text for item in seen[:-1]] == ["one", " two", " three"]
    assert [item.index for item in seen[:-1] if isinstance(item, Delta)] == [0, 1, 2]
    assert isinstance(seen[-1], Finish) and seen[-1].text == "one two three" and seen[-1].reason == "stop"
    assert asyncio.run(whole(model.generate(call()))).text == "four"


def test_a_script_used_up_is_an_error_of_the_test() -> None:
    with pytest.raises(AssertionError, match="no reply left"):
        asyncio.run(items(ScriptedText([]), call()))


def test_a_function_sees_the_call() -> None:
    model = ScriptedText(lambda asked: asked.messages[-1].content.upper())
    assert asyncio.run(whole(model.generate(call("abc")))).text == "ABC"
    assert model.calls[0].messages[-1].content == "abc"


def test_budget_ends_the_answer_and_says_so() -> None:
    finish = asyncio.run(whole(ScriptedText(["a b c d"]).generate(call(max_tokens=2))))
    assert (finish.text, finish.reason, len(finish.token_ids)) == ("a b", "length", 2)


def test_answer_ends_before_a_stop_string() -> None:
    finish = asyncio.run(whole(ScriptedText(["x = 1\n```\nbye"]).generate(call(stop=("\n```",)))))
    assert (finish.text, finish.reason) == ("x = 1", "stop")


def test_resumed_answer_continues_after_the_tokens_delivered() -> None:
    first = asyncio.run(items(ScriptedText(["a b c d"]), call()))
    given = tuple(token for item in first[:2] for token in item.token_ids)
    seen = asyncio.run(items(ScriptedText(["a b c d"]), call(resume_tokens=given)))
    assert [item.text for item in seen] == [" c", " d", "a b c d"]
    assert [item.index for item in seen if isinstance(item, Delta)] == [2, 3]


def test_deadline_is_honoured_between_tokens() -> None:
    model = ScriptedText(["a b c d e f"], fault="slow")
    with pytest.raises(DeadlineExceeded):
        asyncio.run(items(model, call(deadline_s=0.11)))
    assert model.running == 0


def test_closing_early_frees_the_sequence() -> None:
    async def scenario() -> int:
        model = ScriptedText(["a b c d"])
        async with aclosing(model.generate(call())) as stream:
            await anext(stream)
            assert model.running == 1
        return model.running

    assert asyncio.run(scenario()) == 0


def test_prompt_that_does_not_fit_is_refused_with_the_numbers_before_any_work() -> None:
    model = ScriptedText(["x"], context_tokens=20)
    with pytest.raises(ContextOverflow, match="20"):
        asyncio.run(items(model, call("word " * 30)))
    assert model.calls == []


def test_reply_that_breaks_its_constraint_is_an_error_of_the_test() -> None:
    with pytest.raises(AssertionError, match="breaks the constraint"):
        asyncio.run(items(ScriptedText(["maybe"]), call(constraint=Constraint("choice", ["yes", "no"]))))


def test_unsatisfiable_schema_is_refused() -> None:
    nothing = Constraint("json_schema", {"type": "object", "properties": {"a": False}, "required": ["a"]})
    with pytest.raises(ConstraintError):
        asyncio.run(items(ScriptedText(["{}"]), call(constraint=nothing)))


def test_worker_that_dies_does_so_half_way() -> None:
    async def scenario() -> list[str]:
        seen = []
        with pytest.raises(WorkerDied):
            async for item in ScriptedText(["a b c d"], fault="dies").generate(call()):
                seen.append(item.text)  # noqa: PERF401 (the pieces before the death are the point)
        return seen

    assert asyncio.run(scenario()) == ["a", " b"]


def test_garbage_ignores_the_constraint_and_too_long_never_ends() -> None:
    choice = Constraint("choice", ["yes", "no"])
    finish = asyncio.run(whole(ScriptedText(fault="garbage").generate(call(constraint=choice))))
    assert finish.text not in ("yes", "no")
    finish = asyncio.run(whole(ScriptedText(["on and on"], fault="too_long").generate(call(max_tokens=9))))
    assert finish.reason == "length"


def test_scores_are_probabilities_and_can_be_scripted() -> None:
    model = ScriptedText(scorer=lambda messages, labels, prefill: [3.0, 1.0])
    assert asyncio.run(model.score([Message("user", "x")], ["a", "b"])) == [0.75, 0.25]
    by_words = asyncio.run(ScriptedText().score([Message("user", "play music")], ["music", "weather"]))
    assert by_words[0] > by_words[1] and sum(by_words) == pytest.approx(1)


def test_vectors_of_like_texts_are_near_and_have_length_one() -> None:
    vectors = asyncio.run(ScriptedEncoder().encode(["the red car", "a red car", "weather tomorrow", ""]))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_reranker_prefers_the_passage_with_the_words_asked_for() -> None:
    scores = asyncio.run(ScriptedReranker().scores("who built the tower", ["cats sleep", "Gustave built the tower"]))
    assert scores[1] > scores[0] and scores.max() <= 1


def test_pool_gives_the_first_that_is_there_and_counts_leases() -> None:
    async def scenario() -> None:
        model = ScriptedText(["x"], name="small")
        pool = ScriptedPool({"small": model})
        assert pool.installed(["big", "small"]) == ["small"]
        async with pool.text(["big", "small"]) as leased:
            assert leased is model and pool.leased == 1
        assert pool.leased == 0
        with pytest.raises(NotInstalled, match="covey models pull"):
            async with pool.text(["big"]):
                pass

    asyncio.run(scenario())


def test_details_come_for_each_token_when_asked_for_and_punctuation_is_forced_by_a_constraint() -> None:
    free = asyncio.run(items(ScriptedText(["a b."]), call(details=True, alternatives=2)))
    assert [len(item.details) for item in free if isinstance(item, Delta)] == [1, 1, 1]
    assert all(each.signal and each.likeliest for item in free if isinstance(item, Delta) for each in item.details)
    held = Constraint("json_schema", {"type": "object"})
    formed = asyncio.run(items(ScriptedText(['{"a": 1}']), call(constraint=held, details=True)))
    asked = {item.text: item.details[0].signal is not None for item in formed if isinstance(item, Delta)}
    assert asked["{"] is False and asked["a"] is True
    plain = asyncio.run(items(ScriptedText(["a b."]), call()))
    assert not any(item.details for item in plain if isinstance(item, Delta))
