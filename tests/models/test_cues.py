"""Examples teach which words speak for a closed field; a value without any of them is dropped as a guess."""

from __future__ import annotations

from models.backends.scripted import ScriptedText
from models.specialists.cues import cues_of, unspoken
from models.specialists.examples import Worked
from models.types import Json
from tests.models.asking import over, told

SPOKEN = ["kids may come", "kids are welcome", "bring the kids", "fun for families", "families like it"]
SILENT = ["cheap soup", "near the river", "good tea", "open late", "old house", "red door", "big tables", "nice view"]
EXAMPLES = [Worked(f"Anna's place: {text}", {"name": "Anna", "family": "yes"}) for text in SPOKEN * 2] + [
    Worked(f"Anna's place: {text}", {"name": "Anna"}) for text in SILENT
]


def test_words_that_come_with_a_field_are_its_cues_and_names_are_not() -> None:
    cues = cues_of(EXAMPLES, ["family"])["family"]
    assert {"kid", "famil"} <= cues and "anna" not in cues and "place" not in cues


def test_value_without_a_cue_is_unspoken_and_one_with_a_cue_or_its_own_words_is_not() -> None:
    cues = cues_of(EXAMPLES, ["family"])
    assert unspoken({"family": "yes"}, "Bo's place near the sea", cues) == ["family"]
    assert unspoken({"family": "yes"}, "Bo likes kids", cues) == []
    assert unspoken({"family": "yes"}, "Family? Yes.", cues) == []
    assert unspoken({"family": None, "other": "x"}, "Bo", cues) == []


def test_too_few_examples_teach_nothing() -> None:
    assert cues_of(EXAMPLES[:5], ["family"]) == {} and cues_of([], ["family"]) == {}


async def test_extract_leaves_a_guess_out_and_says_so() -> None:
    wanted: Json = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "family": {"type": "string", "enum": ["yes", "no"]}},
        "required": ["name"],
    }
    given: dict[str, Json] = {
        "text": "Bo runs a place near the sea.",
        "schema": wanted,
        "examples": [{"text": example.text, "output": dict(example.output)} for example in EXAMPLES],
    }
    _, result = await told(over("extract", ScriptedText(['{"name": "Bo", "family": "no"}'])), given)
    assert result.output == {"name": "Bo"} and "family" in result.notes[0]
