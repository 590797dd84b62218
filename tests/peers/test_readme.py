"""The specification names every message and field, and says truly which are required."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from peers import blob_messages, check_messages, link_messages, messages, pairing_messages
from peers.wire import WireMessage

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
