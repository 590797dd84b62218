"""Metrics of function calls: the right function, each argument among the accepted values, or no call at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from models.types import Json
from runtime.evals.metrics.outcome import Options, Outcome, Rows, column

LEFT_OUT = ""
"""Among the accepted values: the argument may be absent."""


def ast_match(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Rows that want a call: are all wanted calls there, and no other."""
    return column([_all_match(_calls(o.answer), o.expected) if _wanted(o) else None for o in outcomes])


def no_call(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Rows that no function fits: was none called."""
    return column([None if _wanted(o) else not _calls(o.answer) for o in outcomes])


def call_or_none(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """All rows: the right call where one is wanted, none where none is."""
    return column([_all_match(_calls(o.answer), o.expected) if _wanted(o) else not _calls(o.answer) for o in outcomes])


def function_name(outcomes: Sequence[Outcome], _: Options) -> Rows:
    """Rows that want a call: is the first function the right one."""
    return column([_first_name(o) if _wanted(o) else None for o in outcomes])


def matches(call: Mapping[str, Any], wanted: Mapping[str, Mapping[str, list[Any]]]) -> bool:
    """Return whether one call is `{function: {argument: [accepted values]}}`."""
    if call.get("function") not in wanted:
        return False
    accepted, given = wanted[call["function"]], call.get("arguments") or {}
    if not isinstance(given, Mapping) or not set(given) <= set(accepted):
        return False
    return all(
        any(equal(given[name], value) for value in values) if name in given else LEFT_OUT in values
        for name, values in accepted.items()
    )


def equal(given: Any, accepted: Any) -> bool:
    """Strings alike but for case, blanks and punctuation; numbers by value; lists in order; objects by key."""
    if isinstance(given, bool) or isinstance(accepted, bool):
        return given is accepted
    if isinstance(given, int | float) and isinstance(accepted, int | float):
        return float(given) == float(accepted)
    if isinstance(given, str) and isinstance(accepted, str):
        return _plain(given) == _plain(accepted)
    if isinstance(given, list) and isinstance(accepted, list):
        return len(given) == len(accepted) and all(map(equal, given, accepted))
    if isinstance(given, dict) and isinstance(accepted, dict):
        return _equal_objects(given, accepted)
    return bool(given == accepted)


def _equal_objects(given: dict[str, Any], accepted: dict[str, Any]) -> bool:
    """The accepted side lists values for each key, as at the top level."""
    if not set(given) <= set(accepted):
        return False
    for name, values in accepted.items():
        choices = values if isinstance(values, list) else [values]
        if name in given and not any(equal(given[name], value) for value in choices):
            return False
        if name not in given and LEFT_OUT not in choices:
            return False
    return True


def _plain(text: str) -> str:
    return "".join(char for char in text.casefold() if char not in " ,./-_*^'\"")


def _all_match(calls: list[Mapping[str, Any]], expected: Json) -> bool:
    wanted: list[Any] = list(expected) if isinstance(expected, list) else []
    if len(calls) != len(wanted):
        return False
    for call in calls:
        hit = next((one for one in wanted if matches(call, one)), None)
        if hit is None:
            return False
        wanted.remove(hit)
    return True


def _first_name(outcome: Outcome) -> bool:
    calls = _calls(outcome.answer)
    wanted = outcome.expected if isinstance(outcome.expected, list) else []
    return bool(calls) and any(isinstance(one, dict) and calls[0].get("function") in one for one in wanted)


def _calls(answer: Json) -> list[Mapping[str, Any]]:
    listed = answer if isinstance(answer, list) else [answer]
    return [call for call in listed if isinstance(call, dict) and call.get("function")]


def _wanted(outcome: Outcome) -> bool:
    return bool(outcome.expected)
