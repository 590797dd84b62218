"""Deterministic checks of a result: the schema first, then named postconditions. None asks a model.

A check that can't judge a result says `skipped` with its reason; only `fail` counts against it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from importlib import import_module
from typing import Literal

from models.errors import InputError
from models.passages import sentences
from models.types import Json, Result
from runtime.closed import without_closed
from runtime.recompute import NotArithmetic, recompute

SOURCES_FIELD = "documents"
ROUND_TRIP_PARTS = 500
"""A conversion and back may differ by one part in so many: answers are rounded to four digits or more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says."""

    check: str
    outcome: Literal["pass", "fail", "skipped"]
    reason: str

    @property
    def passed(self) -> bool:
        return self.outcome != "fail"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: a step's input and its result."""

    input: Mapping[str, Json]
    result: Result
    schema: Mapping[str, Json] | None = None
    labels: tuple[str, ...] = field(default=())
    """Closed choices of the specialist, where the input names none."""


Outcome = tuple[Literal["pass", "fail", "skipped"], str]
Check = Callable[[Subject], Outcome]


def run_checks(names: Sequence[str], subject: Subject) -> tuple[Verdict, ...]:
    """Return the verdicts in order; the first failure ends the list. A refusal is not checked."""
    verdicts: list[Verdict] = []
    if subject.result.abstained:
        return ()
    for name in names:
        outcome, reason = CHECKS[name](subject)
        verdicts.append(Verdict(name, outcome, reason))
        if outcome == "fail":
            break
    return tuple(verdicts)


def _schema(subject: Subject) -> Outcome:
    from jsonschema import Draft202012Validator, SchemaError  # heavy, first use only

    if subject.schema is None:
        return "skipped", "no schema was given"
    try:
        Draft202012Validator.check_schema(subject.schema)
        errors = Draft202012Validator(subject.schema).iter_errors(subject.result.output)
        first = next(iter(errors), None)
    except SchemaError as error:
        return "fail", f"the schema itself is not valid: {error.message}"
    if first is None:
        return "pass", "the output has the shape that was asked for"
    where = ".".join(str(part) for part in first.absolute_path) or "the output"
    return "fail", f"{where}: {first.message}"


def _not_empty(subject: Subject) -> Outcome:
    if subject.result.text.strip() or subject.result.output not in (None, "", [], {}):
        return "pass", "there is an answer"
    return "fail", "the answer is empty"


def _arithmetic(subject: Subject) -> Outcome:
    expression, output = subject.input.get("expression"), subject.result.output
    if not isinstance(expression, str) or not isinstance(output, dict):
        return "fail", "there is no expression or no value"
    if not output.get("exact"):
        return "skipped", "the value is rounded, not exact"
    try:
        again = recompute(expression)
        exact = Fraction(str(output["exact"]))
    except NotArithmetic as error:
        return "skipped", str(error)
    except ValueError:
        return "fail", "the value is not a number"
    if again != exact:
        return "fail", f"computed a second way the value is {again}"
    return "pass", "computed a second way, the value is the same"


def _conversion(subject: Subject) -> Outcome:
    """Convert the answer back. Not a second way, but it catches a swapped direction and a slip in rounding."""
    output, given = subject.result.output, subject.input
    source, amount = str(given.get("from") or ""), str(given.get("quantity") or "")
    if not isinstance(output, dict) or not source:
        return "skipped", "the quantity holds its own units"
    convert = import_module("models.specialists.convert")  # loaded already: it has made this answer
    try:
        back = convert.converted(str(output["value"]), str(output["unit"]), source).output["value"]
        there, again = Fraction(amount.replace(",", "")), Fraction(str(back).replace(",", ""))
    except (InputError, KeyError, ValueError):
        return "skipped", "it can't be converted back"
    if abs(there - again) > max(abs(there), Fraction(1)) / ROUND_TRIP_PARTS:
        return "fail", f"converted back it is {back} {source}, not {amount}"
    return "pass", "converted back, it is the same"


def _date_parses(subject: Subject) -> Outcome:
    output = subject.result.output
    values = [output] if isinstance(output, str) else list(output.values()) if isinstance(output, dict) else []
    looks = [value for value in values if isinstance(value, str) and _ISO_LIKE.match(value)]
    for value in looks:
        try:
            date.fromisoformat(value[:10])
        except ValueError:
            return "fail", f"{value} is not a date of the calendar"
    return ("pass", "every date is one of the calendar") if looks else ("skipped", "there is no date in the output")


def _evidence_in_source(subject: Subject) -> Outcome:
    sources = _sources(subject.input)
    if subject.result.output == []:
        return "pass", "nothing was found, so nothing is quoted"
    if not subject.result.evidence:
        return "fail", "nothing in the source is quoted for it"
    for quote in subject.result.evidence:
        text = sources.get(quote.source)
        if text is None:
            return "fail", f"it quotes {quote.source}, which was not given"
        if text[quote.start : quote.end] != quote.quote:
            return "fail", f"a quote is not in {quote.source} where it is said to be"
    return "pass", f"{len(subject.result.evidence)} quote(s) are in the source, letter by letter"


def _values_in_source(subject: Subject) -> Outcome:
    """A value that the schema chooses from a list is a class of what the text says, and may be put in other words."""
    haystack = _squeezed(" ".join(_sources(subject.input).values()))
    schema = subject.schema or subject.input.get("schema")
    output = subject.result.output
    checked = 0
    for path, value in _leaves(without_closed(output, schema) if isinstance(schema, Mapping) else output):
        needle = _squeezed(value)
        if needle and needle not in haystack:
            return "fail", f"{path} is {value!r}, which is not in the text"
        checked += 1
    if not checked:
        return "skipped", "there is no text value to look up"
    return "pass", f"{checked} value(s) are in the text"


def _python_parses(subject: Subject) -> Outcome:
    language = str(subject.input.get("language") or "").lower()
    code = subject.result.text
    if language not in ("", "python") or (not language and not _PYTHON_LIKE.search(code)):
        return "skipped", "it is not Python"
    try:
        ast.parse(code)  # parsed, never run
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return "fail", f"Python can't parse it: {error}"
    return "pass", "Python can parse it"


def _sentence_count(subject: Subject) -> Outcome:
    asked = subject.input.get("sentences")
    if not isinstance(asked, int):
        return "skipped", "no number of sentences was asked for"
    found = len(sentences(subject.result.text))
    if found > asked:
        return "fail", f"it has {found} sentences, and {asked} were asked for"
    return "pass", f"it has {found} sentence(s) of at most {asked}"


def _label_known(subject: Subject) -> Outcome:
    labels = subject.input.get("labels") or list(subject.labels)
    examples = subject.input.get("examples")
    if isinstance(labels, list) and isinstance(examples, list):
        labels = [*labels, *(example.get("label") for example in examples if isinstance(example, dict))]
    if not isinstance(labels, list) or not labels:
        return "skipped", "the labels are the specialist's own"
    if subject.result.output in labels:
        return "pass", "the label is one of those that were given"
    return "fail", f"{subject.result.output!r} is not one of the labels"


def _function_known(subject: Subject) -> Outcome:
    functions, output = subject.input.get("functions"), subject.result.output
    if not isinstance(functions, list) or not isinstance(output, dict):
        return "fail", "there is no call"
    for function in functions:
        if isinstance(function, dict) and function.get("name") == output.get("function"):
            parameters = function.get("parameters")
            return _schema(
                Subject(
                    subject.input,
                    Result(output=output.get("arguments"), text="{}"),
                    parameters if isinstance(parameters, dict) else None,
                )
            )
    return "fail", f"there is no function {output.get('function')!r}"


def _ranking_complete(subject: Subject) -> Outcome:
    passages, output = subject.input.get("passages"), subject.result.output
    if not isinstance(passages, list) or not isinstance(output, list):
        return "fail", "there is no ranking"
    places = [item.get("index") for item in output if isinstance(item, dict)]
    if sorted(map(str, places)) != sorted(map(str, range(len(passages)))):
        return "fail", "the ranking does not name every passage exactly once"
    return "pass", "every passage is ranked once"


def _mime_is_wellformed(subject: Subject) -> Outcome:
    output = subject.result.output
    mime = output.get("mime") if isinstance(output, dict) else None
    if isinstance(mime, str) and _MIME.fullmatch(mime):
        return "pass", "the type has the form of a MIME type"
    return "fail", f"{mime!r} has not the form of a MIME type"


CHECKS: Mapping[str, Check] = {
    "schema": _schema,
    "not_empty": _not_empty,
    "arithmetic_recomputes": _arithmetic,
    "conversion_recomputes": _conversion,
    "date_parses": _date_parses,
    "evidence_in_source": _evidence_in_source,
    "values_in_source": _values_in_source,
    "python_parses": _python_parses,
    "sentence_count": _sentence_count,
    "label_known": _label_known,
    "function_known": _function_known,
    "ranking_complete": _ranking_complete,
    "mime_is_wellformed": _mime_is_wellformed,
}
"""By the name that specs and plans use."""

STANDARD: Mapping[str, tuple[str, ...]] = {
    "generate": ("not_empty",),
    "answer": ("not_empty", "evidence_in_source"),
    "extract": ("schema", "values_in_source"),
    "classify": ("label_known",),
    "code": ("not_empty", "python_parses"),
    "call": ("function_known",),
    "rerank": ("ranking_complete",),
    "summarize": ("not_empty", "sentence_count"),
    "table": ("not_empty",),
    "calculate": ("arithmetic_recomputes",),
    "convert": ("conversion_recomputes",),
    "when": ("date_parses",),
    "find": ("evidence_in_source",),
    "filetype": ("mime_is_wellformed",),
}
"""Checks that every specialist of a runner must pass, whatever its spec says."""

_HARMLESS_TO_STREAM = frozenset({"not_empty", "sentence_count"})


def checks_of(runner: str, named: Sequence[str]) -> tuple[str, ...]:
    """Return the checks for a specialist: those of its runner, then those that its spec names."""
    return tuple(dict.fromkeys((*STANDARD.get(runner, ()), *named)))


def holds_back(named: Sequence[str]) -> bool:
    """Return whether a failure of these checks would void what was streamed, so that nothing may be streamed before."""
    return not set(named) <= _HARMLESS_TO_STREAM


def unknown_checks(named: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in named if name not in CHECKS)


def _sources(given: Mapping[str, Json]) -> dict[str, str]:
    """Return the texts that a result may quote, by the name that evidence uses."""
    sources = {}
    for name in ("prompt", "text", "question", "expression"):
        value = given.get(name)
        if isinstance(value, str):
            sources["input"] = value
    documents = given.get(SOURCES_FIELD)
    for document in documents if isinstance(documents, list) else []:
        if isinstance(document, dict):
            sources[str(document.get("name"))] = str(document.get("text"))
    return sources


def _leaves(value: Json, path: str = "output") -> Iterator[tuple[str, str]]:
    """Yield every text and number inside a value with its path. ISO dates are left out: they may be normalised."""
    match value:
        case bool() | None:
            return
        case int() | float():
            yield path, f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
        case str():
            if not _ISO_LIKE.match(value):
                yield path, value
        case list():
            for place, item in enumerate(value):
                yield from _leaves(item, f"{path}[{place}]")
        case dict():
            for name, item in value.items():
                yield from _leaves(item, name if path == "output" else f"{path}.{name}")


def _squeezed(text: str) -> str:
    """Return only letters and digits, so that case, spacing and 1,234 against 1234 don't matter."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


_ISO_LIKE = re.compile(r"^\d{4}-\d{2}-\d{2}(?:[T ]|$)")
_MIME = re.compile(r"[a-z]+/[A-Za-z0-9][A-Za-z0-9.+-]{0,126}")
_PYTHON_LIKE = re.compile(r"^\s*(?:def|class|import|from\s+\w+\s+import|print\s*\()", re.MULTILINE)
