"""OpenAI's chat completions: the body as types, and the pure conversions from it and back to it.

Unknown fields are ignored. A field that would change the answer and can't be honoured is refused.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.backend import MOST_ALTERNATIVES, Constraint, GenerateCall, Message, Sampling
from models.types import PROGRAMS, Json, Label, Usage
from runtime.api.errors import Refused, wrong
from runtime.asking import Ask
from runtime.history import Turn

ORCHESTRATOR = "covey"
"""The model name behind which the node itself decides who answers."""
MAX_STOPS = 16
"""OpenAI allows 4; each is searched for at every token, so there is a bound."""
MAX_STOP_CHARS = 256
INT64 = 2**63
"""OpenAI's bound of a seed; larger numbers fit into no message to a worker."""
MOST_TOKENS = 2**31
"""More than any context has."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class TextPart(_Wire):
    type: Literal["text"]
    text: str


Parts = Annotated[list[TextPart], Field(fail_fast=True)]
"""As all lists here that may be long, checked to the first error: a body has room for a million, each kept in full."""


class ChatMessage(_Wire):
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Parts | None = None

    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class NamedSchema(_Wire):
    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class AnyText(_Wire):
    type: Literal["text"]


class AnyObject(_Wire):
    type: Literal["json_object"]


class BySchema(_Wire):
    type: Literal["json_schema"]
    json_schema: NamedSchema


class StreamOptions(_Wire):
    include_usage: bool | None = None


Stop = Annotated[str, Field(max_length=MAX_STOP_CHARS)]
Tokens = Annotated[int, Field(ge=1, lt=MOST_TOKENS)]


class ChatBody(_Wire):
    """The fields of `POST /v1/chat/completions` that are read."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, fail_fast=True)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-INT64, lt=INT64)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    response_format: Annotated[AnyText | AnyObject | BySchema, Field(discriminator="type")] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_ALTERNATIVES)] | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    function_call: Any = None
    logit_bias: dict[str, Any] | None = None
    modalities: Annotated[list[str], Field(fail_fast=True)] | None = None

    @property
    def wanted_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def counts_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def schema_asked(self) -> dict[str, Json] | None:
        """The schema of the answer: the one given, any object, or None for free text."""
        match self.response_format:
            case BySchema() as named:
                return named.json_schema.schema_
            case AnyObject():
                return {"type": "object"}
            case _:
                return None


def read_body(data: bytes) -> ChatBody:
    """Return the checked body. Raises Refused that names the first wrong field."""
    try:
        body = ChatBody.model_validate_json(data)
    except ValidationError as error:
        raise _misread(error) from error
    if body.n not in (None, 1):
        raise wrong("Only one choice is made per request. Leave `n` out, or ask again.", param="n")
    for field, choice in (("tools", "tool_choice"), ("functions", "function_call")):
        if getattr(body, field) and getattr(body, choice) != "none":
            raise wrong(f"No functions are called here. Leave `{field}` out, or ask for a JSON answer.", param=field)
    if body.logit_bias:
        raise wrong("`logit_bias` is not supported. Leave it out.", param="logit_bias")
    if set(body.modalities or ()) - {"text"}:
        raise wrong("Answers are text only. Leave `modalities` out.", param="modalities")
    if body.top_logprobs and not body.logprobs:
        raise wrong("`top_logprobs` needs `logprobs`: true beside it. Add that, or leave it out.", param="top_logprobs")
    return body


def _misread(error: ValidationError) -> Refused:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return wrong(f"The body is not valid JSON ({first['msg'].removeprefix('Invalid JSON: ')}).")
    place = ".".join(str(part) for part in _fields(first["loc"]))
    if not place:
        return wrong("The body must be a JSON object with `model` and `messages`.")
    if "content" in first["loc"]:
        place = place.partition(".content")[0] + ".content"
        return wrong(f"`{place}` must be a text, or a list of parts of type `text`.", param=place)
    if place == "stop":
        what = f"a text of at most {MAX_STOP_CHARS} characters, or a list of at most {MAX_STOPS} of them"
        return wrong(f"`stop` must be {what}.", param=place)
    return wrong(f"`{place}`: {first['msg']}.", param=place)


def _fields(loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return where a wrong value stands in the body: without the names that alternatives have in the types here."""
    match loc:
        case ("stop", *_):
            return ("stop",)
        case ("response_format", _, *rest):
            return ("response_format", *rest)
        case _:
            return loc


def call_of(body: ChatBody, *, max_tokens: int, seed: int) -> GenerateCall:
    """Return the generation that a body asks of one model. `seed` holds where the body names none."""
    schema = body.schema_asked
    return GenerateCall(
        messages=tuple(_message(message) for message in body.messages),
        max_tokens=max_tokens,
        sampling=Sampling(
            temperature=1.0 if body.temperature is None else body.temperature,
            top_p=1.0 if body.top_p is None else body.top_p,
            seed=seed if body.seed is None else body.seed,
            presence_penalty=body.presence_penalty or 0.0,
            frequency_penalty=body.frequency_penalty or 0.0,
        ),
        constraint=None if schema is None else Constraint("json_schema", schema),
        stop=tuple(filter(None, (body.stop,) if isinstance(body.stop, str) else body.stop or ())),
        asker=PROGRAMS,
        details=bool(body.logprobs),
        alternatives=body.top_logprobs or 0,
    )


def ask_of(body: ChatBody, label: Label) -> Ask:
    """Return the request to the node: the last user message, what came before it as history. Raises Refused."""
    last = max((n for n, message in enumerate(body.messages) if message.role == "user"), default=None)
    if last is None:
        raise wrong("There is no user message to answer. Add one.", param="messages")
    earlier = [_message(message) for message in body.messages[:last]]
    return Ask(
        text=body.messages[last].text(),
        label=label,
        schema=body.schema_asked,
        history=tuple(Turn(message.role, message.content) for message in earlier if message.content),
        program=True,
        conversation=any(message.role == "assistant" for message in earlier),
        budget_tokens=body.wanted_tokens,
        seed=body.seed or 0,
    )


def _message(message: ChatMessage) -> Message:
    return Message("system" if message.role == "developer" else message.role, message.text())


def usage_object(usage: Usage) -> dict[str, Json]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def as_json_text(output: Json) -> str:
    return json.dumps(output, ensure_ascii=False)
