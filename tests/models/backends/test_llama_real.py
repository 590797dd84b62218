"""The real model in its real worker process, and what happens when that process is hurt."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from models.backend import Constraint, Delta, Finish, GenerateCall, Message, Sampling, whole
from models.backends.llama import LlamaModel
from models.backends.llama_settings import LlamaSettings
from models.errors import BadArtifact, ConstraintError, ContextOverflow, DeadlineExceeded, OtherWeights, WorkerDied
from models.store import Store
from models.types import ModelId

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]


@contextlib.asynccontextmanager
async def smollm(models_home: Path, **settings: Any) -> AsyncIterator[LlamaModel]:
    store = Store(models_home / "models")
    path = store.path(store.get("smollm2-135m"), "model")
    model = await LlamaModel.load(ModelId("smollm2-135m"), path, (), LlamaSettings(**settings))
    try:
        yield model
    finally:
        await model.close()


def call(text: str, most: int = 16, **more: Any) -> GenerateCall:
    return GenerateCall((Message("user", text),), most, **more)


def only_file(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


async def test_what_is_streamed_is_the_answer(models_home: Path) -> None:
    async with smollm(models_home) as model:
        pieces = [item async for item in model.generate(call("What is photosynthesis?", 40))]
    finish = pieces.pop()
    assert isinstance(finish, Finish)
    assert finish.text == "".join(piece.text for piece in pieces if isinstance(piece, Delta))
    assert "plants" in finish.text
    assert finish.signals.tokens == finish.usage.completion_tokens
    assert finish.signals.mean_logprob is not None and finish.signals.mean_logprob < 0
    places = [piece.index for piece in pieces if isinstance(piece, Delta)]
    assert places == sorted(set(places))


async def test_a_resumed_answer_gives_only_what_is_missing(models_home: Path) -> None:
    async with smollm(models_home) as model:
        first = await whole(model.generate(call("Name three colours.", 12)))
        had = first.token_ids[:5]
        pieces = [item async for item in model.generate(call("Name three colours.", 12, resume_tokens=had))]
    finish = pieces.pop()
    assert isinstance(finish, Finish)
    assert finish.token_ids[:5] == had
    assert pieces and all(isinstance(piece, Delta) and piece.index >= 5 for piece in pieces)
    missing = "".join(piece.text for piece in pieces if isinstance(piece, Delta))
    assert [piece.before + missing for piece in pieces[:1] if isinstance(piece, Delta)] == [finish.text]
    assert not any(piece.before for piece in pieces[1:] if isinstance(piece, Delta))


async def test_tokens_that_no_model_of_this_kind_writes_are_refused_and_the_process_lives(models_home: Path) -> None:
    """A paired device may send any number."""
    async with smollm(models_home) as model:
        process = model.process_id
        for token in (49152, 2**31 - 1):
            with pytest.raises(OtherWeights):
                await whole(model.generate(call("Name three colours.", 12, resume_tokens=(7, token))))
        assert (await whole(model.generate(call("Name three colours.", 4)))).text
        assert model.process_id == process


async def test_in_reproducible_mode_an_answer_depends_on_no_company_and_no_interruption(models_home: Path) -> None:
    wishes = [
        call(f"Tell me about {topic}.", 12, sampling=Sampling(temperature=0.8, seed=seed))
        for seed, topic in enumerate(("the sea", "rivers", "cats"))
    ]
    async with smollm(models_home, reproducible=True, context_tokens=128, slots=3, scratch=1) as model:
        alone = [await whole(model.generate(wish)) for wish in wishes]
        together = await asyncio.gather(*(whole(model.generate(wish)) for wish in wishes))
        resumed = await whole(model.generate(replace(wishes[0], resume_tokens=alone[0].token_ids[:5])))
    assert [finish.token_ids for finish in together] == [finish.token_ids for finish in alone]
    assert resumed.token_ids == alone[0].token_ids


async def test_output_under_a_schema_is_valid(models_home: Path) -> None:
    schema: Any = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    async with smollm(models_home) as model:
        finish = await whole(model.generate(call("Ann is 31.", 64, constraint=Constraint("json_schema", schema))))
    jsonschema.validate(json.loads(finish.text), schema)
    assert finish.reason == "stop"


async def test_a_choice_is_one_of_the_choices_and_says_how_much_it_was_forced(models_home: Path) -> None:
    async with smollm(models_home) as model:
        finish = await whole(
            model.generate(call("Is ice cold?", 8, constraint=Constraint("choice", ["yes", "no", "not at all"])))
        )
    assert finish.text in ("yes", "no", "not at all")
    assert finish.signals.feasible_mass is not None and finish.signals.feasible_mass < 1


@pytest.mark.parametrize(
    "value",
    [
        {"type": "object", "properties": {"a": {"type": "nonsense"}}, "required": ["a"]},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "integer", "minimum": 5, "maximum": 2},
    ],
)
async def test_a_schema_that_no_output_satisfies_is_refused_and_others_go_on(models_home: Path, value: Any) -> None:
    async with smollm(models_home) as model:
        with pytest.raises(ConstraintError):
            await whole(model.generate(call("x", 8, constraint=Constraint("json_schema", value))))
        assert (await whole(model.generate(call("Say hi.", 4)))).text


async def test_a_specialists_prompt_survives_a_restart(models_home: Path, tmp_path: Path) -> None:
    system = Message("system", "You sort letters by what they are about. " * 12)
    wish = GenerateCall((system, Message("user", "Dear Sir, my tap drips.")), 6, own_messages=1)
    outcomes = []
    for _ in range(2):
        async with smollm(models_home, prefix_folder=tmp_path, reproducible=True, context_tokens=256) as model:
            outcomes.append(await whole(model.generate(wish)))
    assert outcomes[0].usage.cached_tokens == 0
    assert outcomes[1].usage.cached_tokens > 100
    assert outcomes[1].text == outcomes[0].text


async def test_weighing_labels_keeps_the_specialists_prompt_and_finds_it_after_a_restart(
    models_home: Path, tmp_path: Path
) -> None:
    system = Message("system", "You sort letters by what they are about. " * 12)
    letter = [system, Message("user", "Dear Sir, my tap drips.")]
    weights = []
    for _ in range(2):
        async with smollm(models_home, prefix_folder=tmp_path) as model:
            weights.append(await model.score(letter, ["plumber", "baker"], own_messages=1))
        kept = only_file(tmp_path)
        assert kept.stat().st_mtime > 1  # written, then read
        os.utime(kept, (1, 1))
    assert weights[1] == pytest.approx(weights[0], abs=0.02)
    async with smollm(models_home, prefix_folder=tmp_path) as model:
        finish = await whole(model.generate(GenerateCall(tuple(letter), 1, own_messages=1, asker="guest")))
    assert finish.usage.cached_tokens > 100


async def test_a_deadline_ends_the_weighing_of_labels(models_home: Path) -> None:
    async with smollm(models_home) as model:
        with pytest.raises(DeadlineExceeded):
            await model.score([Message("user", "Notes about plants. " * 300)], ["a", "b"], deadline_s=0.05)


async def test_what_other_work_pushed_out_of_the_context_comes_back_from_beside_it(models_home: Path) -> None:
    wish = call("Here are some notes about plants. " * 12 + "What is photosynthesis?", 16)
    async with smollm(models_home) as model:
        await whole(model.generate(wish))
        at_once = await whole(model.generate(wish))
        await whole(model.generate(call("Count: one two three. " * 30, 8)))
        later = await whole(model.generate(wish))
    assert later.usage.cached_tokens == later.usage.prompt_tokens - 1
    assert later.text == at_once.text


async def test_labels_are_weighed(models_home: Path) -> None:
    async with smollm(models_home) as model:
        weights = await model.score(
            [Message("user", "I love this film! Is the sentiment positive or negative?")],
            ["positive", "negative", "purple elephant"],
        )
    assert sum(weights) == pytest.approx(1.0)
    assert weights[0] > weights[2]


async def test_a_prompt_beyond_the_context_is_refused_with_the_numbers(models_home: Path) -> None:
    async with smollm(models_home, context_tokens=256) as model:
        with pytest.raises(ContextOverflow, match="256"):
            await whole(model.generate(call("word " * 400)))


async def test_a_deadline_ends_the_answer(models_home: Path) -> None:
    async with smollm(models_home) as model:
        with pytest.raises(DeadlineExceeded):
            await whole(model.generate(call("Tell me a very long story.", 1500, deadline_s=0.3)))


async def test_control_tokens_typed_by_a_user_are_plain_text(models_home: Path) -> None:
    async with smollm(models_home) as model:
        assert await model.count_tokens("<|im_end|>") > 1


async def test_leaving_early_frees_the_sequence(models_home: Path) -> None:
    async with smollm(models_home, slots=1) as model:
        async with contextlib.aclosing(model.generate(call("Tell me a very long story.", 1500))) as stream:
            async for _ in stream:
                break
        finish = await asyncio.wait_for(whole(model.generate(call("Say hi.", 4))), 20)
    assert finish.usage.completion_tokens <= 4


async def test_a_killed_worker_fails_its_requests_and_the_next_one_starts_another(models_home: Path) -> None:
    async with smollm(models_home) as model:
        streams = [asyncio.create_task(whole(model.generate(call(f"Story {i}", 900)))) for i in range(3)]
        await asyncio.sleep(0.5)
        assert model.process_id is not None
        os.kill(model.process_id, signal.SIGKILL)
        for outcome in await asyncio.gather(*streams, return_exceptions=True):
            assert isinstance(outcome, WorkerDied)
            assert "starts afresh" in str(outcome)
        assert (await whole(model.generate(call("Say hi.", 4)))).text


async def test_a_restart_that_is_given_up_does_not_keep_the_next_request_waiting(models_home: Path) -> None:
    async with smollm(models_home) as model:
        killed = model.process_id
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        assert model._worker is not None
        await model._worker._process.wait()
        given_up = asyncio.create_task(whole(model.generate(call("Say hi.", 4))))
        while model.process_id == killed:  # noqa: ASYNC110  # another one starts
            await asyncio.sleep(0.01)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert (await asyncio.wait_for(whole(model.generate(call("Say hi.", 4))), 20)).text


async def test_a_file_that_is_no_model_is_refused_and_the_node_stays_up(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + os.urandom(5000))
    with pytest.raises((BadArtifact, WorkerDied)):
        await LlamaModel.load(ModelId("broken"), path, ())


@pytest.mark.parametrize("answering", [False, True])
async def test_a_worker_does_not_outlive_its_node(models_home: Path, answering: bool) -> None:
    """All that a node which was killed leaves to its worker is the end of its input."""
    async with (
        smollm(models_home) as model,
        contextlib.aclosing(model.generate(call("Tell me a very long story.", 1500))) as story,
    ):
        if answering:
            await anext(story)
        worker = model._worker
        assert worker is not None
        worker._stdin.close()
        assert await asyncio.wait_for(worker._process.wait(), 20) == 0


async def test_a_reader_who_stands_still_keeps_nobody_waiting_and_loses_nothing(models_home: Path) -> None:
    async with smollm(models_home) as model:
        async with contextlib.aclosing(model.generate(call("Tell me a story.", 60))) as slow:
            first = await anext(slow)
            others = [model.generate(call(f"Say hello {n}.", 8)) for n in range(3)]
            finished = await asyncio.wait_for(asyncio.gather(*map(whole, others)), 60)
            rest = [item async for item in slow]
    assert len(finished) == 3
    finish = rest.pop()
    assert isinstance(finish, Finish)
    assert isinstance(first, Delta)
    assert finish.text == first.text + "".join(item.text for item in rest if isinstance(item, Delta))


async def test_signals_off_changes_no_token(models_home: Path) -> None:
    wish = call("Name three rivers.", 24, sampling=Sampling(0.7, 0.9, 5))
    async with smollm(models_home, reproducible=True, context_tokens=128, slots=1, scratch=1) as model:
        measured = await whole(model.generate(wish))
    async with smollm(models_home, reproducible=True, context_tokens=128, slots=1, scratch=1, signals=False) as model:
        plain = await whole(model.generate(wish))
    assert plain.token_ids == measured.token_ids
    assert plain.signals.tokens == 0 < measured.signals.tokens
