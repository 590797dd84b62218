"""Chooses one of the given functions, or none, and fills its arguments from the request. It calls nothing.

Two small decisions instead of one large one: first the name (a closed choice), then the arguments
under that function's schema, where a plain string must be copied from the request.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass

from models import schema
from models.backend import Message, TextModel
from models.errors import ConstraintError, InputError
from models.grammar import constraint
from models.passages import lexical_scores, terms
from models.specialists.records import digits_of, read, stripped
from models.specialists.runner import Runner
from models.specialists.turn import LEAST_ANSWER_TOKENS, Turn, certainty, prompt_tokens, text_in
from models.types import Chunk, Json, RefusalCode, Request, Result

MOST_FUNCTIONS = 256
"""Functions of one request."""
MOST_NAME_CHARS = 128
"""Of a function's name; twice what the APIs of others allow."""
MOST_CHARS = 1200
"""Characters of a request or a description that are compared: an encoder reads no more."""
SHOWN = 8
"""Functions the model chooses among; of more, the likeliest by their words (small models lose the overview)."""
NONE = "none"
LEAST_NAMED = 0.3
"""Share of the choice that the chosen function needs before its arguments are written."""
ENCODERS = ("bge-small-en",)
LIKENESS_WIDTH = 0.05
"""Cosine: a function this much less like the request than the best counts 1/e of its probability."""
NONE_WEIGHT = 0.03
LEAST_FIT = 0.69
"""Under this value of `best cosine - NONE_WEIGHT * ln P(none)` no function fits. Measured on 72 requests of a tuning
half: AUROC .85, where the model's own choice of none alone has .73 and hardly ever wins."""
MOST_NONE = 0.06
"""Without an encoder: probability of none from which none it is; 9 of 10 requests with a function stay below."""
ARGUMENT_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Function:
    """A function that a caller offers."""

    name: str
    description: str
    parameters: Mapping[str, Json]

    @property
    def line(self) -> str:
        """The function in one line, as the model sees it."""
        properties = self.parameters.get("properties")
        names = ", ".join(properties) if isinstance(properties, dict) else ""
        return f"- {self.name}({names}): {' '.join(self.description.split())[:240]}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A function and its likeness to the request."""

    function: Function
    likeness: float | None
    """Cosine of their vectors; None where no encoder is installed."""


class Call(Runner):
    """Input `{"prompt": str, "functions": [{"name", "description", "parameters"}]}`.

    Output `{"function": str, "arguments": {…}}`, or the refusal NOT_CAPABLE when none of them fits.
    """

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        prompt = text_in(request, "prompt")
        functions = functions_in(request)
        turn = Turn(self._spec, request)
        shown = await self._likeliest(prompt, functions)
        if len(shown) < len(functions):
            turn.notes.append(f"Chose among {len(shown)} of {len(functions)} functions, the likeliest by their words.")
        async with self._pool.text(self._spec.models) as model:
            turn.model = model
            result = await self._called(turn, model, prompt, shown)
        if not result.abstained:
            yield Chunk(0, result.text)
        yield result

    async def _likeliest(self, prompt: str, functions: Sequence[Function]) -> list[Candidate]:
        """Return at most `SHOWN` functions, those most like the request, in their given order."""
        texts = [f"{_spaced(function.name)}: {function.description}"[:MOST_CHARS] for function in functions]
        if self._pool.installed(ENCODERS):
            async with self._pool.encoder(ENCODERS) as encoder:
                vectors = await encoder.encode([prompt[:MOST_CHARS], *texts])
            likeness: list[float | None] = [float(value) for value in vectors[1:] @ vectors[0]]
            order = sorted(range(len(functions)), key=lambda i: -(likeness[i] or 0.0))
        else:
            likeness = [None] * len(functions)
            scores = lexical_scores(
                prompt, [f"{text} {_spaced(f.line)}" for text, f in zip(texts, functions, strict=True)]
            )
            order = sorted(range(len(functions)), key=lambda i: -scores[i])
        return [Candidate(functions[i], likeness[i]) for i in sorted(order[:SHOWN])]

    async def _called(self, turn: Turn, model: TextModel, prompt: str, shown: Sequence[Candidate]) -> Result:
        functions = [candidate.function for candidate in shown]
        messages = [Message("system", self._spec.system), Message("user", choice_prompt(prompt, functions))]
        if (used := await prompt_tokens(model, messages)) + LEAST_ANSWER_TOKENS > model.context_tokens:
            return turn.too_long(used, model.context_tokens)
        *named, none = await turn.weigh(model, messages, [*(function.name for function in functions), NONE])
        shares = weighed(named, [candidate.likeness for candidate in shown])
        best = max(range(len(shown)), key=lambda i: shares[i])
        if not fits(none, [candidate.likeness for candidate in shown]) or shares[best] < LEAST_NAMED:
            reason = "None of the given functions does this; offer another function, or ask for something else."
            return turn.refuse(RefusalCode.NOT_CAPABLE, reason, confidence=none)
        return await self._filled(turn, model, prompt, functions[best], shares[best])

    async def _filled(self, turn: Turn, model: TextModel, prompt: str, function: Function, sure: float) -> Result:
        wanted = tight(function.parameters, prompt)
        messages = [Message("system", self._spec.system), Message("user", argument_prompt(prompt, function))]
        if (used := await prompt_tokens(model, messages)) + ARGUMENT_TOKENS > model.context_tokens:
            return turn.too_long(used, model.context_tokens)
        call = turn.call(messages, max_tokens=ARGUMENT_TOKENS, constraint=constraint(wanted, prompt))
        finish = await turn.ask(model, call)
        if finish.reason == "length":
            return turn.truncated(finish)
        written = read(finish.text)
        arguments = spoken_for({name: stripped(value) for name, value in written.items()}, function.parameters, prompt)
        if (problem := schema.problem(arguments, function.parameters)) is not None:
            reason = (
                f"The arguments for {function.name} do not fit its schema ({problem}); say the request with all values."
            )
            return turn.refuse(RefusalCode.NOT_SURE, reason, found=finish.text, signals=finish.signals)
        output: Json = {"function": function.name, "arguments": arguments}
        confidence = sure * certainty(finish.signals)
        return turn.result(
            output, f"{function.name}({shown_arguments(arguments)})", finish.signals, confidence=confidence
        )


def functions_in(request: Request) -> list[Function]:
    """Return the functions offered. Raises InputError, ConstraintError naming the function."""
    given = request.input.get("functions")
    if not isinstance(given, list) or not given:
        raise InputError("call needs `functions`, a list of objects with `name`, `description` and `parameters`.")
    if len(given) > MOST_FUNCTIONS:
        raise InputError(f"call takes at most {MOST_FUNCTIONS} functions, not {len(given)}; offer fewer.")
    found = [_function(entry) for entry in given]
    if len({function.name for function in found}) < len(found):
        raise InputError("Two of the functions have the same name; give each its own.")
    return found


def _function(entry: Json) -> Function:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not str(entry["name"]).strip():
        raise InputError("Each function needs a `name`, a `description` and `parameters`, a JSON Schema of an object.")
    if len(str(entry["name"])) > MOST_NAME_CHARS:
        raise InputError(
            f"A function's name may have {MOST_NAME_CHARS} characters, not {len(str(entry['name']))}; shorten it."
        )
    parameters = entry.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(parameters, dict):
        raise InputError(f"The `parameters` of {entry['name']} must be a JSON Schema of an object; correct them.")
    try:
        plain = schema.normalise(parameters)
    except ConstraintError as error:
        raise ConstraintError(f"Function {entry['name']}: {error}") from error
    return Function(str(entry["name"]), str(entry.get("description", "")), {"additionalProperties": False, **plain})


def weighed(named: Sequence[float], likeness: Sequence[float | None]) -> list[float]:
    """Return each function's share of the choice: the model's probability, weighed by likeness where it is known."""
    known = [value for value in likeness if value is not None]
    top = max(known, default=0.0)
    weights = [
        share * (1.0 if value is None else math.exp((value - top) / LIKENESS_WIDTH))
        for share, value in zip(named, likeness, strict=True)
    ]
    total = sum(weights)
    return [weight / total if total else 0.0 for weight in weights]


def fits(none: float, likeness: Sequence[float | None]) -> bool:
    """Return whether any function fits at all, from the probability of none and the likeness where it is known."""
    known = [value for value in likeness if value is not None]
    if not known:
        return none < MOST_NONE
    return max(known) - NONE_WEIGHT * math.log(max(none, 1e-9)) >= LEAST_FIT


def _spaced(name: str) -> str:
    return re.sub(r"[_.\-]+|(?<=[a-z])(?=[A-Z])", " ", name)


def choice_prompt(prompt: str, shown: Sequence[Function]) -> str:
    lines = "\n".join(function.line for function in shown)
    return (
        f"Functions:\n{lines}\n- {NONE}: no function above does what is asked\n\n"
        f"Request: {prompt}\n\nWhich function does this? Answer with its name only."
    )


def argument_prompt(prompt: str, function: Function) -> str:
    parameters = json.dumps(function.parameters.get("properties", {}), ensure_ascii=False)
    return (
        f"Function {function.name}: {function.description}\nParameters: {parameters}\n\n"
        f"Request: {prompt}\n\nWrite the arguments as JSON. Leave out what the request does not say."
    )


def tight(parameters: Mapping[str, Json], prompt: str) -> dict[str, Json]:
    """Return the schema under which arguments are written.

    Strings are copied from the request, except where the function itself says which values it takes:
    an enum, a pattern, a format, a default, or an example value in the description.
    """
    marked = schema.mark_copied(_opened(parameters))
    return marked if prompt.strip() else dict(parameters)


def _opened(part: Mapping[str, Json]) -> dict[str, Json]:
    done: dict[str, Json] = {}
    for key, value in part.items():
        if key == "properties" and isinstance(value, dict):
            done[key] = {name: _opened(sub) if isinstance(sub, dict) else sub for name, sub in value.items()}
        elif key == "items" and isinstance(value, dict):
            done[key] = _opened(value)
        else:
            done[key] = value
    if part.get("type") == "string" and ("default" in part or says_values(str(part.get("description", "")))):
        done[schema.SUBSTRING] = False
    return done


def says_values(description: str) -> bool:
    """Return whether a parameter's description names a notation or example values, as in `e.g. 'metric'`."""
    return bool(
        re.search(r"e\.g\.|for example|such as|format|either|one of|['\"`]\w|\bcode\b|ISO", description, re.IGNORECASE)
    )


def spoken_for(arguments: Mapping[str, Json], parameters: Mapping[str, Json], prompt: str) -> dict[str, Json]:
    """Return the arguments without the optional ones that nothing in the request speaks for.

    Small models fill every parameter they see; one that was not asked for must keep its default.
    """
    properties, required = parameters.get("properties"), parameters.get("required")
    parts = properties if isinstance(properties, dict) else {}
    needed = required if isinstance(required, list) else []
    words = set(terms(prompt))

    def keeps(name: str, value: Json) -> bool:
        part = parts.get(name)
        if name in needed or not isinstance(part, dict):
            return True
        if "default" in part and part["default"] == value:
            return False
        match value:
            case bool():
                return not words.isdisjoint(terms(_spaced(name)))
            case int() | float():
                return digits_of(value, prompt) is not None or not words.isdisjoint(terms(_spaced(name)))
            case str():
                return not words.isdisjoint(terms(_spaced(value))) or not words.isdisjoint(terms(_spaced(name)))
            case _:
                return value is not None and value != [] and value != {}

    return {name: value for name, value in arguments.items() if keeps(name, value)}


def shown_arguments(arguments: Mapping[str, Json]) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
