"""What can be said of a filled record without any model: is it empty, where do its values stand, how do two join."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from models.passages import Passage
from models.types import Evidence, Json

_RUN = re.compile(r"\d(?:[\d.,' ]*\d)?")
"""A number with its grouping; at most a line long in practice."""


def read(text: str) -> Any:
    """Return the JSON that a model wrote. A number that is beyond all that can be held stays the words that it is."""
    return json.loads(text, parse_float=_number)


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def stripped(value: Json) -> Json:
    """Return the value with white space around its strings removed."""
    match value:
        case str():
            return value.strip()
        case list():
            return [stripped(item) for item in value]
        case dict():
            return {key: stripped(item) for key, item in value.items()}
        case _:
            return value


def merged(first: Json, second: Json) -> Json:
    """Return two records as one: what the first leaves open comes from the second, lists are joined."""
    if isinstance(first, dict) and isinstance(second, dict):
        return {key: merged(first.get(key), second.get(key)) for key in {**first, **second}}
    if isinstance(first, list) and isinstance(second, list):
        return first + [item for item in second if item not in first]
    return second if first is None else first


def empty(value: Json) -> bool:
    """Return whether a record says nothing at all."""
    if isinstance(value, dict):
        return all(empty(item) for item in value.values())
    return value is None or value == [] or value == ""


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}.{index}")
    else:
        yield path, value


def spans(value: Json, part: Passage) -> list[Evidence]:
    """Return where each string of a record stands in the part it was read from."""
    found: list[Evidence] = []
    for _, leaf in leaves(value):
        at = part.text.find(leaf) if isinstance(leaf, str) and leaf else -1
        if at >= 0:
            start = part.start + at
            found.append(Evidence(part.source, start, start + len(str(leaf)), str(leaf)))
    return found


def numbers(value: Json) -> Iterator[tuple[str, int | float]]:
    for path, leaf in leaves(value):
        if isinstance(leaf, int | float) and not isinstance(leaf, bool):
            yield path, leaf


def digits_of(number: int | float, text: str) -> str | None:
    """Return a number as it stands in the text, however its digits are grouped: 1250.5 as `1.250,50`."""
    wanted = abs(number)
    return next((run for run in _RUN.findall(text) if wanted in readings(run)), None)


def readings(run: str) -> set[float]:
    """Return what a run of digits and separators may mean: `1,250` is 1250 or 1.25, and also 1 and 250."""
    digits = re.sub(r"\D", "", run)
    whole, _, part = re.sub(r"[^\d]", ".", run).rpartition(".")
    read = {float(digits), *(float(piece) for piece in re.findall(r"\d+", run))}
    return read | {float(f"{re.sub(r'[^0-9]', '', whole)}.{part}")} if whole and part else read
