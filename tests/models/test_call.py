"""One function or none is chosen, its arguments fit its schema, and no string is invented."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from models.backend import Message
from models.backends.scripted import ScriptedText
from models.errors import ConstraintError, InputError
from models.specialists.call import MOST_NAME_CHARS, NONE, fits, spoken_for, weighed
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
        rest = [label for label in labels if label not in (name, NONE)]
        given = {label: (1 - sure) / max(1, len(rest)) for label in rest}
        return [sure if label == name else given.get(label, 0.001) for label in labels]

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
    many: list[Json] = [{"name": f"f{n}", "description": "thing"} for n in range(6)]
    model = choosing("set_light", sure=0.25)
    _, result = await told(over("call", model), {"prompt": "hm", "functions": [LIGHT, *many]})
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


async def test_preselection_keeps_the_given_order() -> None:
    music: dict[str, Json] = {"name": "playMusic", "description": "plays songs"}
    many: list[Json] = [{"name": f"f{n}", "description": "thing"} for n in range(9)]
    model = choosing("playMusic", "{}")
    await told(over("call", model), {"prompt": "play some music", "functions": [*many, music]})
    lines = model.calls[0].messages[-1].content
    assert lines.startswith("Function playMusic")


@pytest.mark.parametrize(
    ("none", "likeness", "fit"),
    [
        (0.01, [0.7, 0.4], True),
        (0.01, [0.45, 0.4], False),
        (0.9, [0.68, 0.4], False),
        (0.01, [None, None], True),
        (0.2, [None, None], False),
    ],
)
def test_none_fits_when_likeness_is_low_or_the_model_says_none(
    none: float, likeness: list[float | None], fit: bool
) -> None:
    assert fits(none, likeness) is fit


def test_likeness_decides_between_functions_that_the_model_finds_equal() -> None:
    shares = weighed([0.4, 0.4], [0.6, 0.7])
    assert shares[1] > 0.8 and sum(shares) == pytest.approx(1)
    assert weighed([0.4, 0.2], [None, None]) == pytest.approx([2 / 3, 1 / 3])


def test_optional_arguments_that_nothing_speaks_for_are_left_out() -> None:
    parameters: dict[str, Json] = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"type": "string", "enum": ["metric", "imperial"], "default": "metric"},
            "include_wind": {"type": "boolean"},
            "tags": {"type": "array"},
        },
        "required": ["city"],
    }
    written: dict[str, Json] = {"city": "x", "days": 3, "unit": "metric", "include_wind": False, "tags": []}
    assert spoken_for(written, parameters, "Weather in Rome") == {"city": "x"}
    asked = spoken_for({**written, "unit": "imperial"}, parameters, "Rome, 3 days, imperial, with wind")
    assert asked == {"city": "x", "days": 3, "unit": "imperial", "include_wind": False}


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
        {"prompt": "x", "functions": [{"name": "a" * (MOST_NAME_CHARS + 1)}]},
    ],
)
async def test_bad_input_is_refused_in_a_sentence(bad: dict[str, Json]) -> None:
    with pytest.raises(InputError):
        await told(over("call", ScriptedText([])), bad)


async def test_bad_schema_names_its_function() -> None:
    broken: dict[str, Json] = {"name": "odd", "parameters": {"type": "strin"}}
    with pytest.raises(ConstraintError, match="Function odd"):
        await told(over("call", ScriptedText([])), {"prompt": "x", "functions": [broken]})
