"""What a real matcher lets through: the schema's values, written in one way only, so that no model can stall in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from models.backend import Constraint
from models.engine.constrain import Constrainer, Matcher
from models.engine.library import ContextSettings, Library
from models.errors import ConstraintError
from models.store import Store

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning"),  # llguidance still calls it
]

RECORD = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


@pytest.fixture
def library(models_home: Path) -> Iterator[Library]:
    store = Store(models_home / "models")
    opened = Library(str(store.path(store.get("smollm2-135m"), "model")), ContextSettings(64, 1, 1, 32))
    yield opened
    opened.close()


def taken(library: Library, constraint: Constraint, texts: Sequence[str]) -> list[str]:
    """Return those of the texts that may be written whole, token by token, with the end behind them."""
    constrainer = Constrainer(library.vocabulary.pointer, library.vocabulary.size, library.vocabulary.eos)
    return [text for text in texts if _takes(library, constrainer.matcher(constraint), text)]


def _takes(library: Library, matcher: Matcher, text: str) -> bool:
    for token in library.vocabulary.tokens(text, control=False):
        if matcher.finished or not matcher.allowed()[token]:
            return False
        matcher.consume(token)
    return matcher.finished or bool(matcher.allowed()[library.vocabulary.eos])


def test_json_is_written_in_one_way(library: Library) -> None:
    right = ['{"a": 1, "b": [1, 2]}', '{"a": 1, "b": []}']
    wrong = [
        '{ "a": 1, "b": [1, 2]}',
        '{"a":1, "b": [1, 2]}',
        '{"a":  1, "b": [1, 2]}',
        '{"a": 1,  "b": [1, 2]}',
        '{"a": 1, "b": [1,\n2]}',
        '{"a": 1, "b": [ 1, 2]}',
        '{"a": 1, "b": [1, 2] }',
        '{"a": 1, "b": [1, 2]}\n',
        '{\n"a": 1, "b": [1, 2]}',
        '{"a": 1, "b": [1, 2], "c": 3}',
    ]
    assert taken(library, Constraint("json_schema", RECORD), [*right, *wrong]) == right


@pytest.mark.parametrize(
    ("constraint", "right", "wrong"),
    [
        (Constraint("regex", r"[0-9]{4}-[0-9]{2}"), ["2024-03"], ["2024-3", "2024-03 ", "24-03"]),
        (Constraint("choice", ["yes", "not at all"]), ["yes", "not at all"], ["no", "not", "yes "]),
        (Constraint("json_schema", {"enum": ["a b", 3]}), ['"a b"', "3"], ['"a  b"', "4", " 3"]),
    ],
)
def test_nothing_else_is_taken(library: Library, constraint: Constraint, right: list[str], wrong: list[str]) -> None:
    assert taken(library, constraint, [*right, *wrong]) == right


def test_options_that_a_schema_brings_change_nothing(library: Library) -> None:
    schema = {**RECORD, "x-guidance": {"whitespace_flexible": True, "whitespace_pattern": "[ ]*"}}
    texts = ['{"a": 1, "b": [1, 2]}', '{   "a"  :1, "b": [ ]}', '{"a": 1,    "b": [1]   }']
    assert taken(library, Constraint("json_schema", schema), texts) == texts[:1]


def test_a_schema_of_one_word_lets_everything_or_nothing_through(library: Library) -> None:
    texts = ['{"a": [1, null]}', '"word"', "word"]
    assert taken(library, Constraint("json_schema", True), texts) == texts[:2]
    with pytest.raises(ConstraintError, match="No output"):
        taken(library, Constraint("json_schema", False), texts)
