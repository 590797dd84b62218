"""Fills a record from a text under a JSON Schema. Free strings are copied from the text, never made up.

What the text does not say is null (or left out, where the schema does not allow null). A text longer
than the context is read part by part; the first part that names a value wins.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from models import schema
from models.backend import Finish, Message, TextModel
from models.errors import InputError
from models.grammar import constraint
from models.passages import Passage, passages
from models.specialist import SpecialistSpec
from models.specialists.cues import Cues, cues_of, unspoken
from models.specialists.examples import Worked, examples_in, nearest
from models.specialists.fields import fields_in, instructed
from models.specialists.records import digits_of, empty, merged, numbers, read, spans, stripped
from models.specialists.runner import Runner
from models.specialists.turn import LEAST_ANSWER_TOKENS, Turn, certainty, documents_in, prompt_tokens
from models.types import Chunk, Evidence, Json, RefusalCode, Request, Result, Signals

MOST_PARTS = 32
"""Parts of one text; at a few seconds each, more is refused."""
LEAST_PART_TOKENS = 64
MOST_DECIDED = 12
"""Fields up to which each absent one is written as null, a decision of its own; of more, absent ones are left out."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to fill and how it is explained to the model."""

    promised: Mapping[str, Json]
    """The schema that the caller gets."""
    written: Mapping[str, Json]
    """The schema the model writes under: copies marked, what is optional may be null."""
    about: str
    examples: Sequence[Worked]
    cues: Cues
    """What the examples teach about the fields with a closed list of values."""


class Extract(Runner):
    """Input `{"text" or "documents", "schema" or "fields" or "instruction", "description"?, "examples"?}`.

    `examples` is a list of `{"text", "output"}`; of a long list the nearest to the text are shown.
    """

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        task, documents = task_in(request, self._spec), sources_in(request)
        turn = Turn(self._spec, request)
        async with self._pool.text(self._spec.models) as model:
            turn.model = model
            result = await self._filled(turn, model, task, documents)
        if not result.abstained:
            yield Chunk(0, result.text)
        yield result

    async def _filled(self, turn: Turn, model: TextModel, task: Task, documents: Sequence[tuple[str, str]]) -> Result:
        fixed = self._messages(task, documents[0][1][:2000], "")
        used = await prompt_tokens(model, fixed)
        room = model.context_tokens - used - min(self._spec.max_tokens, model.context_tokens // 4)
        if room < LEAST_PART_TOKENS:
            return turn.too_long(used, model.context_tokens)
        parts = [part for name, text in documents for part in await parts_of(model, name, text, room)]
        if len(parts) > MOST_PARTS:
            reason = f"The text makes {len(parts)} parts, at most {MOST_PARTS} are read; give fewer pages."
            return turn.refuse(RefusalCode.TOO_LONG, reason)
        if len(parts) > 1:
            turn.notes.append(f"Read in {len(parts)} parts; the first part that names a value wins.")
        found: list[tuple[Passage, Json, Finish]] = []
        for part in parts:
            finish = await self._read(turn, model, task, part)
            if finish.reason == "length":
                return turn.truncated(finish)
            found.append((part, read(finish.text), finish))
        return _ended(turn, task, found)

    async def _read(self, turn: Turn, model: TextModel, task: Task, part: Passage) -> Finish:
        messages = self._messages(task, part.text, part.text)
        room = await turn.room(model, messages)
        call = turn.call(
            messages,
            max_tokens=min(turn.tokens(), max(LEAST_ANSWER_TOKENS, room)),
            constraint=constraint(task.written, part.text),
            copies=True,
        )
        return await turn.ask(model, call)

    def _messages(self, task: Task, near: str, text: str) -> list[Message]:
        messages = [Message("system", f"{self._spec.system}\n\n{task.about}".strip())]
        for example in nearest(near, task.examples):
            messages += [Message("user", example.text), Message("assistant", _written(example.output, task.written))]
        return [*messages, Message("user", text)]


def task_in(request: Request, spec: SpecialistSpec) -> Task:
    """Raises InputError, ConstraintError."""
    given = request.input
    wanted = given.get("schema") or spec.schema or given.get("fields")
    instruction = given.get("instruction")
    if wanted is None:
        if not isinstance(instruction, str):
            raise InputError(
                "extract needs `schema`, `fields` or `instruction`, for example fields: vendor, date, total."
            )
        wanted = cast(Json, fields_in(instruction))
    promised = schema.schema_of(wanted)
    written = bare_numbers(schema.mark_copied(promised))
    if len(properties_of(written)) <= MOST_DECIDED:
        written = schema.may_be_null(written)
    description = given.get("description")
    about = "\n".join(
        part for part in (description if isinstance(description, str) else "", explained(written)) if part
    )
    examples = examples_in(request)
    return Task(promised, written, about, examples, cues_of(examples, closed_in(written)))


def closed_in(wanted: Mapping[str, Json]) -> list[str]:
    """Return the fields that may be null and otherwise hold one of a list of values."""
    parts = ((name, part.get("enum")) for name, part in properties_of(wanted).items() if isinstance(part, dict))
    return [name for name, values in parts if isinstance(values, list) and None in values]


def bare_numbers(wanted: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema in which a copied field may also be written as a bare number.

    Models write `"total": 238.50` whatever they are told; forbidding it makes them write null instead.
    `as_copies` turns such a number back into the words of the text.
    """
    parts = properties_of(wanted)
    if not parts:
        return dict(wanted)
    opened: dict[str, Json] = {}
    for name, part in parts.items():
        if isinstance(part, dict) and part.get(schema.SUBSTRING) is True:
            kinds = part.get("type")
            opened[name] = {**part, "type": [*(kinds if isinstance(kinds, list) else [kinds]), "number"]}
        else:
            opened[name] = part
    return {**wanted, "properties": opened}


def as_copies(value: Json, written: Mapping[str, Json], text: str) -> Json:
    """Return the record with each bare number in a copied field as it stands in the text, else as null."""
    if not isinstance(value, dict):
        return value
    parts = properties_of(written)

    def copy(name: str, item: Json) -> Json:
        part = parts.get(name)
        if isinstance(item, bool) or not isinstance(item, int | float):
            return item
        if not isinstance(part, dict) or part.get(schema.SUBSTRING) is not True:
            return item
        return digits_of(item, text)

    return {name: copy(name, item) for name, item in value.items()}


def properties_of(wanted: Mapping[str, Json]) -> Mapping[str, Json]:
    properties = wanted.get("properties")
    return properties if isinstance(properties, dict) else {}


def sources_in(request: Request) -> list[tuple[str, str]]:
    """Return (name, text) of what is to be read. Raises InputError."""
    text = request.input.get("text")
    own = [("input", text)] if isinstance(text, str) and text.strip() else []
    instruction = request.input.get("instruction")
    documents = documents_in(request, needed=False)
    if not own and not documents and isinstance(instruction, str) and (rest := instructed(instruction)):
        return [("input", rest)]
    if not own and not documents:
        raise InputError("extract needs `text` or `documents` to read from; give it some text.")
    return documents or own


def explained(wanted: Mapping[str, Json]) -> str:
    """Return the fields, one a line, with what is known of them; a nested schema is shown as it is."""
    properties = properties_of(wanted)
    if not properties:
        return f"Schema: {json.dumps(_bare(cast(Json, wanted)), ensure_ascii=False)}"
    return "\n".join(f"- {name}{_about(part)}" for name, part in properties.items() if isinstance(part, dict))


def _about(part: Mapping[str, Json]) -> str:
    if any(key in part for key in ("properties", "items", "anyOf", "$ref")):
        return f": {json.dumps(_bare(cast(Json, part)), ensure_ascii=False)}"
    values = part.get("enum")
    choices = ", ".join(str(value) for value in values if value is not None) if isinstance(values, list) else ""
    words = [str(part.get("description", "")), f"({choices})" if choices else ""]
    said = " ".join(word for word in words if word)
    return f": {said}" if said else ""


def _bare(part: Json) -> Json:
    """The schema without marks that mean nothing to a model."""
    if isinstance(part, dict):
        return {key: _bare(value) for key, value in part.items() if not key.startswith("x-") and key != "title"}
    return [_bare(value) for value in part] if isinstance(part, list) else part


def _written(output: Mapping[str, Json], wanted: Mapping[str, Json]) -> str:
    """An example's record as the model must write it: in the schema's order, null where it may not leave out."""
    properties = properties_of(wanted)
    if not properties:
        return json.dumps(output, ensure_ascii=False)
    required = wanted.get("required")
    needed = required if isinstance(required, list) else []
    kept = {name: output.get(name) for name in properties if name in output or name in needed}
    return json.dumps(kept, ensure_ascii=False)


async def parts_of(model: TextModel, name: str, text: str, room: int) -> list[Passage]:
    """Return the text in parts of at most `room` tokens, cut between sentences; one part when it fits."""
    if await model.count_tokens(text) <= room:
        return [Passage(name, 0, len(text), text)]
    chars = room * 3
    while chars > LEAST_PART_TOKENS:
        parts = passages(name, text, chars=chars)
        if max([await model.count_tokens(part.text) for part in parts]) <= room:
            return parts
        chars //= 2
    return passages(name, text, chars=LEAST_PART_TOKENS)


def _ended(turn: Turn, task: Task, found: Sequence[tuple[Passage, Json, Finish]]) -> Result:
    output: Json = None
    evidence: list[Evidence] = []
    for part, value, _ in found:
        value, dropped = spoken(as_copies(stripped(value), task.written, part.text), part, task.cues)
        turn.notes += [f"Left {name} out: nothing in the text speaks for it." for name in dropped]
        evidence += [spot for spot in spans(value, part) if spot.quote not in {seen.quote for seen in evidence}]
        output = value if output is None else merged(output, value)
    signals = joined([finish.signals for _, _, finish in found])
    if empty(output):
        reason = "The text holds none of what was asked for; check the text, or name other fields."
        return turn.refuse(RefusalCode.NOT_FOUND, reason, signals=signals)
    promised = schema.without_nulls(output, task.promised)
    if (problem := schema.problem(promised, task.promised)) is not None:
        reason = f"The record does not fit the schema ({problem}); loosen the schema or give a fuller text."
        return turn.refuse(RefusalCode.NOT_SURE, reason, found=_shown(promised), signals=signals)
    text = " ".join(part.text for part, _, _ in found)
    loose = sorted(path for path, number in numbers(promised) if digits_of(number, text) is None)
    confidence = certainty(signals) * (0.5 if loose else 1.0)
    if loose:
        turn.notes.append(f"Not found as digits in the text, so check: {', '.join(loose)}.")
    return turn.result(promised, _shown(promised), signals, confidence=confidence, evidence=tuple(evidence))


def spoken(value: Json, part: Passage, cues: Cues) -> tuple[Json, list[str]]:
    """Return the record without the closed values that are mere guesses, and the names of those fields."""
    if not isinstance(value, dict):
        return value, []
    dropped = unspoken(value, part.text, cues)
    return {name: None if name in dropped else item for name, item in value.items()}, dropped


def _shown(output: Json) -> str:
    if not isinstance(output, dict):
        return json.dumps(output, ensure_ascii=False)
    lines = (
        f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in output.items()
    )
    return "\n".join(lines)


def joined(signals: Sequence[Signals]) -> Signals:
    """Return the signals of several answers as one: means weighed by tokens, the worst of the rest."""
    total = sum(part.tokens for part in signals) or 1

    def mean(values: Sequence[float | None]) -> float | None:
        if any(value is None for value in values):
            return None
        return sum((value or 0.0) * part.tokens for value, part in zip(values, signals, strict=True)) / total

    def least(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return min(known) if known else None

    return Signals(
        mean_logprob=mean([part.mean_logprob for part in signals]),
        min_margin=least([part.min_margin for part in signals]),
        mean_entropy=mean([part.mean_entropy for part in signals]),
        feasible_mass=least([part.feasible_mass for part in signals]),
        tokens=sum(part.tokens for part in signals),
    )
