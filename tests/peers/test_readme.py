"""The specification names every message and field, says truly which are required, and what is too long or too large."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from peers import blob_messages, check_messages, link_messages, messages, pairing_messages
from peers.errors import RemoteProtocolError
from peers.wire import WireMessage, check
from tests.peers.golden import V1

README = (Path(__file__).parents[2] / "peers" / "README.md").read_text(encoding="utf-8")
MODULES = (messages, blob_messages, check_messages, link_messages, pairing_messages)
MESSAGES = {
    kind.model_fields["kind"].default: kind
    for module in MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, WireMessage) and kind is not WireMessage
}


def table(kind: str) -> dict[str, bool]:
    """Return the fields of a message in the specification, and whether each is required."""
    section = re.search(rf"^### `{kind}`\n(.*?)(?=^##|\Z)", README, re.MULTILINE | re.DOTALL)
    assert section is not None, f"{kind} is not in the specification"
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no)[^|]*\|$", section[1], re.MULTILINE)
    return {name: required == "yes" for name, required in rows}


@pytest.mark.parametrize("kind", sorted(MESSAGES))
def test_the_specification_has_every_field_of_every_message(kind: str) -> None:
    described = {name: field.is_required() for name, field in MESSAGES[kind].model_fields.items() if name != "kind"}
    assert table(kind) == described


def test_the_specification_has_no_other_message() -> None:
    assert set(re.findall(r"^### `(\w+)`$", README, re.MULTILINE)) == set(MESSAGES)


def test_there_are_messages() -> None:
    assert len(MESSAGES) >= 24


def parts(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message and those inside it."""
    yield dict(message)
    for value in message.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and "kind" in one:
                yield from parts(one)


SAMPLES: dict[str, dict[str, Any]] = {}
for _part in (part for message in V1.values() for part in parts(message.model_dump())):
    SAMPLES.setdefault(_part["kind"], _part)
WHOLE = r"([−\d][\d^−]*|2\^[\d−]+)"


def number(text: str) -> int:
    """Return the number in `−2^63` or `2^53−1`."""
    found = re.fullmatch(r"(−?)(\d+)(?:\^(\d+))?(−1)?", text)
    assert found is not None, text
    size = int(found[2]) ** int(found[3] or 1) - bool(found[4])
    return -size if found[1] else size


def limits(kind: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield fields with the last value that the specification allows, and the first that it does not."""
    section = re.search(rf"^### `{kind}`\n(.*?)(?=^##|\Z)", README, re.MULTILINE | re.DOTALL)
    assert section is not None
    for name, said in re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section[1], re.MULTILINE):
        sample = SAMPLES[kind][name]
        if found := re.match(r"list of (?:≤ |1…)(\d+)", said):
            most = int(found[1])
            yield name, sample[:1] * most, sample[:1] * (most + 1)
        elif found := re.match(r"map of ≤ (\d+)", said):
            most = int(found[1])
            yield name, dict.fromkeys(map(str, range(most)), 0.5), dict.fromkeys(map(str, range(most + 1)), 0.5)
        elif found := re.match(r"(text|bytes) ≤ (\d+)$", said):
            one, most = ("x", int(found[2])) if found[1] == "text" else (b"x", int(found[2]))
            yield name, one * most, one * (most + 1)
        elif found := re.match(r"(\d+) bytes$", said):
            yield name, b"x" * int(found[1]), b"x" * (int(found[1]) + 1)
            yield name, b"x" * int(found[1]), b"x" * (int(found[1]) - 1)
        elif found := re.match(rf"{WHOLE}…{WHOLE}( or nil)?$", said):
            kind_of = float if isinstance(sample, float) else int
            least, most = (kind_of(number(text)) for text in found.groups()[:2])
            yield name, least, least - 1
            yield name, most, most + 1
        elif said.startswith("count"):
            yield name, 2**53 - 1, 2**53
            yield name, 1, -1


BOUNDS = [(kind, *one) for kind in sorted(MESSAGES) for one in limits(kind)]


@pytest.mark.parametrize(
    ("kind", "name", "last", "beyond"),
    [pytest.param(*one, id=f"{one[0]}.{one[1]}-{n}") for n, one in enumerate(BOUNDS)],
)
def test_what_the_specification_allows_is_read_and_the_next_is_refused(
    kind: str, name: str, last: Any, beyond: Any
) -> None:
    check(SAMPLES[kind] | {name: last}, MESSAGES[kind])
    with pytest.raises(RemoteProtocolError, match=name):
        check(SAMPLES[kind] | {name: beyond}, MESSAGES[kind])


def test_most_fields_have_a_bound_of_their_own() -> None:
    assert len(BOUNDS) >= 90
