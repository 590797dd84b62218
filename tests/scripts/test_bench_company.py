"""What an answer would choose in company, along the lone one."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backend import Sampling
from models.backends.llama import LlamaModel
from models.backends.llama_settings import LlamaSettings
from models.engine.text import TextStream
from models.types import ModelId
from scripts.benches.company import LED, Choice, Tokens, choices_along, differing
from scripts.benches.led_worker import Led
from scripts.benches.setup import Setup
from tests.models.engine.scripted_library import Bench, Words, following


@pytest.mark.parametrize(
    ("answer", "chosen", "places"),
    [
        ((4, 5), (4, 5, None), []),
        ((4, 5), (4, 5, 6), [2]),  # alone it ended
        ((4, 5), (None, 5, None), [0]),
        ((4, 5), (4, 5), []),  # the budget ended it
        ((), (None,), []),
    ],
)
def test_the_end_of_an_answer_is_a_choice_like_any_other(
    answer: Tokens, chosen: tuple[int | None, ...], places: list[int]
) -> None:
    choices: list[Choice] = [(token, 0.5) for token in chosen]
    assert differing(answer, choices) == places


def test_a_led_answer_takes_the_other_s_tokens_and_notes_its_own() -> None:
    bench = Bench()
    prompts = [[n, n + 1] for n in range(4)]
    along = (7, 8, 9)
    for number, prompt in enumerate(prompts):
        led = Led(number, prompt, 8, Sampling(), Words(), TextStream(), along=along)
        led.begin(())
        bench.batch.submit(led)
    bench.run()
    for number, prompt in enumerate(prompts):
        job = bench.done[number][0]
        assert isinstance(job, Led) and job.tokens == list(along)
        assert [token for token, _ in job.noted] == [following([*prompt, *along[:n]]) for n in range(4)]
    assert 4 in bench.library.calls, "a row of each in one step"


def test_a_led_answer_whose_budget_is_used_up_is_not_asked_for_its_end() -> None:
    bench = Bench()
    led = Led(1, [1, 2], 3, Sampling(), Words(), TextStream(), along=(7, 8, 9))
    led.begin(())
    bench.batch.submit(led)
    bench.run()
    assert len(led.noted) == 3


@pytest.mark.real
@pytest.mark.timeout(120)
async def test_a_real_model_is_led_along_an_answer(models_home: Path) -> None:
    setup = Setup(models_home, "smollm2-135m", full=False)
    model = LlamaModel(ModelId(setup.model), setup.model_file, (), LlamaSettings(threads=2), command=LED)
    try:
        answer: Tokens = ()
        while len(answer) < 3:  # its own choices one by one
            token, lead = (await choices_along(model, "Name a colour.", answer))[-1]
            assert token is not None and lead >= 0
            answer = (*answer, token)
        along = (answer[0], answer[0], answer[2])
        choices = await choices_along(model, "Name a colour.", along)
    finally:
        await model.close()
    assert [token for token, _ in choices[:2]] == list(answer[:2]), "chosen after the same tokens"
    assert len(choices) == 4 and 1 in differing(along, choices)
