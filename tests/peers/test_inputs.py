"""The specification says what goes into every capability: each specialist takes that, and asks for what is missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from models.backends.scripted import ScriptedEncoder, ScriptedPool, ScriptedReranker
from models.errors import InputError, NotInstalled
from models.specialist import RUNNERS, SpecialistSpec, build, read_spec
from models.types import Json, Request, Result, last
from runtime.signatures import SIGNATURES
from tests.models.asking import SPECS

README = (Path(__file__).parents[2] / "peers" / "README.md").read_text(encoding="utf-8")
NOTE: Json = {"name": "note.txt", "text": "Dinner with Anna on Friday. Bring the cake."}
CSV: Json = {"name": "ages.csv", "text": "name,age\nAnna,41\nBen,38\n"}
DINNER: Json = {"text": "Lunch at noon", "output": {"meal": "lunch"}}
EXAMPLES: Mapping[str, Mapping[str, Json]] = {
    "generate": {"prompt": "Hello", "history": [{"role": "user", "content": "Hi"}], "documents": [NOTE]},
    "answer": {"question": "When is dinner?", "documents": [NOTE], "short": True},
    "extract": {
        "text": "Dinner on Friday",
        "documents": [NOTE],
        "fields": ["meal"],
        "schema": {"type": "object", "properties": {"meal": {"type": "string"}}},
        "instruction": "Extract the meal",
        "description": "A meal has a name.",
        "examples": [DINNER],
    },
    "classify": {"text": "Buy now", "labels": ["spam", "ham"], "examples": [{"text": "Hello", "label": "ham"}]},
    "code": {"prompt": "Print one", "language": "python"},
    "call": {
        "prompt": "Turn on the lamp",
        "functions": [{"name": "lamp", "description": "Turn a lamp on", "parameters": {"type": "object"}}],
    },
    "summarize": {"documents": [NOTE], "sentences": 1, "instruction": "In German."},
    "embed": {"texts": ["rain", ""]},
    "rerank": {"query": "rain", "passages": ["sun", "rain today"]},
    "names": {"text": "Anna lives in Paris."},
    "tag": {"text": "Anna lives in Paris."},
    "calculate": {"expression": "1/3 + 1/3"},
    "convert": {"quantity": "5", "from": "km", "to": "m"},
    "when": {"question": "how many days until 25 December", "today": "2026-11-21"},
    "find": {"pattern": "cake", "documents": [NOTE], "fuzzy": False},
    "table": {"documents": [CSV], "query": {"measure": "highest", "column": "age", "show": "name"}},
    "filetype": {"path": "/etc/hostname"},
}
"""An input with every key there is."""
KINDS = {
    "text": "text",
    "true": "flag",
    "map": "object",
    "1…20": "number",
    "list of documents": "documents",
    "list of one document": "documents",
    "list of maps": "objects",
    "list of texts": "texts",
}
OUTPUTS = {"text": "text", "map": "object", "list of maps": "objects", "vectors": "vectors", "none": "object"}


@dataclass(frozen=True)
class Key:
    """One key of an input, as the specification has it."""

    required: bool
    words: str

    @property
    def kind(self) -> str:
        bare = re.sub(r"≤ \d+ ", "", self.words)
        return KINDS[max((words for words in KINDS if bare.startswith(words)), key=len)]

    @property
    def most(self) -> int | None:
        found = re.match(r"list of ≤ (\d+)", self.words)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Said:
    """One row of the specification's table."""

    keys: Mapping[str, Key]
    output: str


def read_table() -> dict[str, Said]:
    section = README.split("## What goes into a capability, and what comes out\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    return {name: Said(_keys(given), output) for name, given, output in rows}


def _keys(given: str) -> dict[str, Key]:
    found = (re.match(r"`(\w+)`(\??): (.+)", part) for part in given.split("; "))
    return {match[1]: Key(not match[2], match[3]) for match in found if match}


TABLE = read_table()
KEYS = [(name, key) for name, said in TABLE.items() for key in said.keys if name != "filetype"]
BOUNDS = [(name, key, most) for name, key in KEYS if (most := TABLE[name].keys[key].most) is not None]


async def run(name: str, given: Mapping[str, Json]) -> Result | None:
    """Return the answer; None where it needs a model that is not here. Raises InputError."""
    file = SPECS / f"{name}.toml"
    spec = read_spec(file) if file.exists() else SpecialistSpec(name=name, runner=name, summary="Made up.")
    pool = ScriptedPool(encoder={"bge-small-en": ScriptedEncoder()}, reranker={"reranker-en": ScriptedReranker()})
    if name not in ("embed", "rerank"):
        pool = ScriptedPool()
    with suppress(NotInstalled):
        return await last(build(spec, pool).run(Request(name, given)))
    return None


def test_every_capability_is_in_the_specification_and_no_other() -> None:
    assert set(TABLE) == set(EXAMPLES) == set(RUNNERS)


@pytest.mark.parametrize("name", TABLE)
def test_the_keys_are_those_of_the_examples_and_have_the_types_that_plans_are_checked_by(name: str) -> None:
    assert list(TABLE[name].keys) == list(EXAMPLES[name])
    signature = SIGNATURES[name]
    for key in (*signature.required, *signature.optional):
        assert TABLE[name].keys[key].kind == signature.field(key)
    assert signature.output == OUTPUTS[max((one for one in OUTPUTS if TABLE[name].output.startswith(one)), key=len)]


@pytest.mark.parametrize("name", [name for name in TABLE if name != "filetype"])
async def test_what_the_specification_says_is_taken(name: str) -> None:
    await run(name, EXAMPLES[name])


@pytest.mark.parametrize(("name", "key"), KEYS)
async def test_what_may_be_missing_may_and_what_may_not_is_asked_for(name: str, key: str) -> None:
    rest = {one: value for one, value in EXAMPLES[name].items() if one != key}
    if not TABLE[name].keys[key].required:
        given = rest | ({"quantity": "5 km"} if (name, key) == ("convert", "from") else {})
        await run(name, given)
        return
    for wrong in (rest, {**rest, key: 7}):
        with pytest.raises(InputError):
            await run(name, wrong)


@pytest.mark.parametrize(("name", "key", "most"), BOUNDS)
async def test_a_list_is_as_long_as_the_specification_allows(name: str, key: str, most: int) -> None:
    given = EXAMPLES[name][key]
    assert isinstance(given, list)
    many = [_another(given[0], number) for number in range(most + 1)]
    rest = dict(EXAMPLES[name])
    if (name, key) == ("classify", "labels"):
        del rest["examples"]  # which have labels of their own
    await run(name, rest | {key: many[:most]})
    with pytest.raises(InputError, match=str(most)):
        await run(name, rest | {key: many})


def _another(item: Json, number: int) -> Json:
    """Return an item like this one that is not the same."""
    if isinstance(item, dict):
        return {**item, **({"name": f"{item['name']}{number}"} if "name" in item else {})}
    return f"{item}{number}"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"text": "Dinner on Friday"}, "schema"),
        ({"fields": ["meal"]}, "text"),
        ({"instruction": "Extract the meal"}, "text"),
    ],
)
async def test_extract_needs_something_to_read_and_something_to_look_for(given: dict[str, Json], missing: str) -> None:
    with pytest.raises(InputError, match=missing):
        await run("extract", given)


async def test_classify_needs_two_labels_or_examples() -> None:
    for labels in ([], ["spam"]):
        with pytest.raises(InputError, match=r"label"):
            await run("classify", {"text": "Buy now", "labels": list[Json](labels)})


async def test_a_file_of_the_device_is_read_for_nobody_else() -> None:
    with pytest.raises(InputError, match="may not read files"):
        await run("filetype", EXAMPLES["filetype"])


@pytest.mark.parametrize("name", ["embed", "rerank", "calculate", "convert", "when", "find", "table"])
async def test_what_comes_out_is_what_the_specification_says(name: str) -> None:
    found = await run(name, EXAMPLES[name])
    assert found is not None
    output: Any = found.output
    first = output[0] if isinstance(output, list) else output
    said = TABLE[name].output
    if name == "embed":
        assert sum(number * number for number in first) == pytest.approx(1.0, abs=1e-3)
    elif name == "table":
        query: Any = EXAMPLES[name]["query"]
        assert first.items() >= {**query, "value": "41"}.items()
    elif name == "when":
        assert set(first) & set(re.findall(r"`(\w+)`", said))
    else:
        assert list(first) == re.findall(r"`(\w+)`", said)
