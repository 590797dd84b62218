"""One function or none is chosen, its arguments fit its schema, and no string is invented."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from models.backend import Message
from models.backends.scripted import ScriptedText
from models.errors import ConstraintError, InputError
from models.specialists.call import NONE, likeliest
from models.specialists.call import Function as Offered
from models.types import Json, RefusalCode
from tests.models.asking import over, told

WEATHER: dict[str, Json] = {
    "name": "get_weather",
    "description": "Current weather of a city",
    "parameters": {
        "type": "dict",
        "properties": {
            "city": {"type": "string", "description": "City"},
            "days": {"type": "float"},
            "unit": {"type": "string", "enum": ["metric", "imperial"]},
        },
        "required": ["city"],
    },
}
LIGHT: dict[str, Json] = {
    "name": "set_light",
    "description": "Switch a light",
    "parameters": {"type": "dict", "properties": {"room": {"type": "string"}}, "required": ["room"]},
}


def choosing(name: str, *replies: str, sure: float = 0.9) -> ScriptedText:
    def score(messages: Sequence[Message], labels: Sequence[str], prefill: str) -> list[float]:
        return [sure if label == name else (1 - sure) / (len(labels) - 1) for label in labels]

    return ScriptedText(list(replies), scorer=score)


async def test_function_is_chosen_and_filled_from_the_request() -> None:
    model = choosing("get_weather", '{"city": "São Paulo", "unit": "metric"}')
    given: dict[str, Json] = {"prompt": "Weather in São Paulo, metric please", "functions": [WEATHER, LIGHT]}
    _, result = await told(over("call", model), given)
    assert result.output == {"function": "get_weather", "arguments": {"city": "São Paulo", "unit": "metric"}}
    assert result.text == 'get_weather(city="São Paulo", unit="metric")'
    assert 0.8 < result.confidence < 0.9, "the choice and the arguments both count"


async def test_no_function_that_fits_is_a_refusal_and_nothing_is_written() -> None:
    model = choosing(NONE)
    _, result = await told(over("call", model), {"prompt": "Tell me a joke", "functions": [WEATHER, LIGHT]})
    assert result.refusal is not None and result.refusal.code is RefusalCode.NOT_CAPABLE and model.calls == []


async def test_an_undecided_choice_is_a_refusal() -> None:
    model = choosing("set_light", sure=0.34)
    _, result = await told(over("call", model), {"prompt": "hm", "functions": [WEATHER, LIGHT]})
    assert result.refusal is not None and result.refusal.code is RefusalCode.NOT_CAPABLE


async def test_an_argument_that_the_request_does_not_say_can_not_be_written() -> None:
    model = choosing("set_light", '{"room": "attic"}')
    with pytest.raises(AssertionError, match="breaks the constraint"):
        await told(over("call", model), {"prompt": "light in the kitchen", "functions": [WEATHER, LIGHT]})


async def test_parameter_with_a_notation_of_its_own_may_be_written_freely() -> None:
    date: Json = {"type": "string", "description": "Day, format YYYY-MM-DD"}
    book: dict[str, Json] = {"name": "book", "parameters": {"type": "dict", "properties": {"day": date}}}
    _, result = await told(
        over("call", choosing("book", '{"day": "2024-05-03"}')), {"prompt": "book 3 May 2024", "functions": [book]}
    )
    assert result.output == {"function": "book", "arguments": {"day": "2024-05-03"}}


async def test_of_many_functions_the_likeliest_are_shown_and_the_result_says_so() -> None:
    many: list[Json] = [{"name": f"task_{n}", "description": "does something else"} for n in range(40)]
    model = choosing("get_weather", '{"city": "Rome"}')
    _, result = await told(over("call", model), {"prompt": "weather in Rome", "functions": [*many, WEATHER]})
    assert isinstance(result.output, dict) and result.output["function"] == "get_weather"
    assert "8 of 41" in result.notes[0]


def test_preselection_keeps_the_given_order() -> None:
    many = [Offered(f"f{n}", "thing", {}) for n in range(9)] + [Offered("playMusic", "plays songs", {})]
    shown = likeliest("play some music", many)
    assert len(shown) == 8 and shown[-1].name == "playMusic"


async def test_function_without_parameters_is_called_with_none() -> None:
    ping: dict[str, Json] = {"name": "ping", "description": "Ping"}
    _, result = await told(over("call", choosing("ping", "{}")), {"prompt": "ping it", "functions": [ping]})
    assert result.output == {"function": "ping", "arguments": {}} and result.text == "ping()"


async def test_arguments_that_do_not_end_are_truncated() -> None:
    model = choosing("get_weather", json.dumps({"city": "Rome"}))
    _, result = await told(over("call", model), {"prompt": "weather in Rome", "functions": [WEATHER]}, budget_tokens=3)
    assert result.refusal is not None and result.refusal.code is RefusalCode.TRUNCATED


@pytest.mark.parametrize(
    "bad",
    [
        {"functions": [WEATHER]},
        {"prompt": "x"},
        {"prompt": "x", "functions": []},
        {"prompt": "x", "functions": [{"description": "no name"}]},
        {"prompt": "x", "functions": [WEATHER, WEATHER]},
        {"prompt": "x", "functions": [{"name": "a", "parameters": [1]}]},
    ],
)
async def test_bad_input_is_refused_in_a_sentence(bad: dict[str, Json]) -> None:
    with pytest.raises(InputError):
        await told(over("call", ScriptedText([])), bad)


async def test_bad_schema_names_its_function() -> None:
    broken: dict[str, Json] = {"name": "odd", "parameters": {"type": "strin"}}
    with pytest.raises(ConstraintError, match="Function odd"):
        await told(over("call", ScriptedText([])), {"prompt": "x", "functions": [broken]})
