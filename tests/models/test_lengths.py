"""Texts are counted together, so that a busy model is waited for once and not for each."""

from __future__ import annotations

import asyncio

import pytest

from models.backend import Message
from models.backends.scripted import Script, ScriptedText
from models.errors import WorkerDied
from models.lengths import AT_ONCE, tokens_of
from models.specialists.turn import MESSAGE_TOKENS, prompt_tokens


class Busy(ScriptedText):
    """Counts what waits for it between two steps, as a worker does."""

    def __init__(self, script: Script = ()) -> None:
        super().__init__(script)
        self.waiting = 0
        self.most = 0
        self.steps = 0
        self._step: asyncio.Event | None = None

    async def count_tokens(self, text: str) -> int:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self._between_steps()
            if text == "dies":
                raise WorkerDied("The process ended. Ask again.")
            return await super().count_tokens(text)
        finally:
            self.waiting -= 1

    async def _between_steps(self) -> None:
        if self._step is not None:
            await self._step.wait()
            return
        self._step = step = asyncio.Event()
        await asyncio.sleep(0.01)
        self.steps += 1
        self._step = None
        step.set()


TEXTS = ["one two three", "", "four."] * 50


async def test_many_texts_wait_for_few_steps_and_the_sum_is_that_of_each() -> None:
    model = Busy()
    each = [await ScriptedText().count_tokens(text) for text in TEXTS]
    assert await tokens_of(model, TEXTS) == sum(each)
    assert model.steps == -(-len(TEXTS) // AT_ONCE)
    assert model.most == AT_ONCE
    assert await tokens_of(model, []) == 0


async def test_a_prompt_of_many_messages_waits_for_few_steps() -> None:
    model = Busy()
    messages = [Message("user", text) for text in TEXTS]
    assert await prompt_tokens(model, messages) == await tokens_of(ScriptedText(), TEXTS) + MESSAGE_TOKENS * len(TEXTS)
    assert model.steps == -(-len(TEXTS) // AT_ONCE)


async def test_who_stops_waiting_leaves_no_count_behind() -> None:
    model = Busy()
    counting = asyncio.create_task(tokens_of(model, TEXTS))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert model.waiting == AT_ONCE
    counting.cancel()
    await asyncio.wait({counting})
    await asyncio.sleep(0)
    assert counting.cancelled() and model.waiting == 0


async def test_a_worker_that_dies_meanwhile_is_said_as_ever() -> None:
    with pytest.raises(WorkerDied):
        await tokens_of(Busy(), ["one", "dies", "dies"])
