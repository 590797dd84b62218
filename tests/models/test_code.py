"""Code only, in the language asked for; Python must parse; nothing is ever run."""

from __future__ import annotations

import pytest

from models.backends.scripted import ScriptedText
from models.errors import InputError
from models.specialists.code import bare, language_of, python_flaw
from models.types import Json, RefusalCode
from tests.models.asking import over, told

GOOD = "def double(x):\n    return 2 * x"


async def test_code_comes_without_fence_or_talk() -> None:
    model = ScriptedText([f"{GOOD}\n```\nThis function doubles."])
    chunks, result = await told(over("code", model), {"prompt": "python function that doubles a number"})
    assert result.output == result.text == GOOD and [chunk.text for chunk in chunks] == [GOOD]
    assert model.calls[0].prefill == "```python\n"


async def test_python_that_does_not_parse_is_tried_once_more_with_a_fresh_context_and_another_seed() -> None:
    model = ScriptedText(["def broken(:", GOOD])
    _, result = await told(over("code", model), {"prompt": "write python"}, seed=5)
    first, second = model.calls
    assert result.output == GOOD and first.messages == second.messages
    assert (first.sampling.seed, second.sampling.seed) == (5, 6) and second.sampling.temperature > 0
    assert "can't read it at line 1" in result.notes[0]
    assert result.usage.completion_tokens > len(GOOD.split()), "both tries are paid for"


async def test_two_broken_tries_are_a_refusal_that_shows_the_last() -> None:
    _, result = await told(over("code", ScriptedText(["def a(:", "def b(:"])), {"prompt": "write python"})
    assert result.refusal is not None and result.refusal.code is RefusalCode.NOT_SURE
    assert result.refusal.found == "def b(:" and result.output is None


async def test_code_that_does_not_end_is_truncated_never_silently() -> None:
    model = ScriptedText(["x = 1"], fault="too_long")
    _, result = await told(over("code", model, max_tokens=30), {"prompt": "write python"}, budget_tokens=40)
    assert result.refusal is not None and result.refusal.code is RefusalCode.TRUNCATED


async def test_other_languages_are_not_parsed_as_python() -> None:
    model = ScriptedText(["echo $HOME"])
    _, result = await told(over("code", model), {"prompt": "print the home folder", "language": "Shell"})
    assert result.output == "echo $HOME" and model.calls[0].prefill == "```bash\n"


async def test_code_is_never_run(capsys: pytest.CaptureFixture[str]) -> None:
    _, result = await told(over("code", ScriptedText(["print('ran')"])), {"prompt": "write python"})
    assert result.output == "print('ran')" and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("prompt", "language"),
    [
        ("write a function that adds", "python"),
        ("a JavaScript function", "javascript"),
        ("go through the list in c++", "c++"),
        ("write hello world in c", "c"),
        ("write hello world in Go", "go"),
        ("a class in C#", "c#"),
        ("SQL query for the top ten", "sql"),
        ("let it go in python", "python"),
    ],
)
def test_language_comes_from_the_request(prompt: str, language: str) -> None:
    assert language_of(prompt, None) == language


def test_fences_are_stripped_and_the_longest_block_is_taken() -> None:
    assert bare("Sure:\n```python\nx = 1\n```\nor\n```\nx = 1\ny = 2\n```") == "x = 1\ny = 2"
    assert bare("x = 1  \n\n") == "x = 1"


def test_hostile_source_is_a_flaw_not_a_crash() -> None:
    assert python_flaw("(" * 100_000) is not None
    assert python_flaw("x = '\0'") is not None
    assert python_flaw("'\\d'") is None


@pytest.mark.parametrize("bad", [{}, {"prompt": ""}, {"prompt": "x", "language": 3}])
async def test_bad_input_is_refused_in_a_sentence(bad: dict[str, Json]) -> None:
    with pytest.raises(InputError):
        await told(over("code", ScriptedText(["never"])), bad)


async def test_prompt_longer_than_the_context_is_refused() -> None:
    _, result = await told(over("code", ScriptedText(["x"], context_tokens=100)), {"prompt": "word " * 300})
    assert result.refusal is not None and result.refusal.code is RefusalCode.TOO_LONG
