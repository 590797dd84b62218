"""What routing stage S1 promises: a calibrated claim, an explicit none, and its reason."""

from __future__ import annotations

import json
import re
import statistics
import time
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest

from models import specialists
from models.backends.scripted import ScriptedEncoder, ScriptedPool
from models.errors import BadArtifact
from models.pool import ModelPool
from models.specialist import SpecialistSpec, read_spec
from models.store import Store
from runtime.evals.cases import SHARED
from runtime.router import THRESHOLDS, confident
from runtime.stages import similar
from runtime.stages.clues import clues, ends, front, shorten
from runtime.stages.similar import Known, Near, Similar, decide

SPECS = Path(specialists.__file__).parent
JUDGED = [SHARED / "free_requests.jsonl", SHARED / "exact_requests.jsonl"]
"""Requests of the suites `routing_free` and `routing`; a stage that knows them by heart would be judged too well."""


def near(*found: tuple[str, str, float]) -> list[Near]:
    return [Near(Known(text, capability, "plain"), similarity) for text, capability, similarity in found]


SHARES = {"code": 0.7, "generate": 0.2, "none": 0.1}


def test_likeliest_capability_is_claimed_with_its_probability_and_the_nearest_three() -> None:
    known = near(("a", "code", 0.9), ("b", "generate", 0.8), ("c", "code", 0.7), ("d", "code", 0.6))
    claim = decide(SHARES, known)
    assert (claim.stage, claim.capability, claim.score) == ("similar", "code", 0.7)
    assert claim.near == ("a", "b", "c")
    assert "'a', 'b', 'c'" in claim.reason


def test_none_is_a_confident_claim_of_no_capability() -> None:
    claim = decide({"code": 0.1, "none": 0.9}, near(("a", "none", 0.9)))
    assert claim.capability is None
    assert confident(claim)
    assert "nothing here can" in claim.reason


def test_unsure_probabilities_do_not_win() -> None:
    claim = decide({"code": 0.35, "generate": 0.33, "none": 0.32}, near(("a", "code", 0.6)))
    assert not confident(claim)


@pytest.mark.parametrize(("similarity", "expected"), [(0.9, "extract.event"), (0.6, "code")])
def test_later_specialist_is_claimed_only_by_a_near_request(similarity: float, expected: str) -> None:
    claim = decide(SHARES, near(("put it in my calendar", "extract.event", similarity), ("b", "code", 0.5)))
    assert claim.capability == expected


def test_later_specialist_loses_to_a_nearer_request_of_another() -> None:
    assert decide(SHARES, near(("b", "code", 0.95), ("x", "extract.event", 0.9))).capability == "code"


def test_no_known_requests_still_give_a_reason() -> None:
    assert decide(SHARES, []).reason


def test_long_request_is_cut_to_its_ends() -> None:
    page = "The river rises in spring. " * 60
    assert shorten(f"Summarize this. Be brief and keep all numbers.\n{page}\nThanks!").startswith("Summarize this. Be")
    assert shorten(f"{page}\n\nHow high does the river rise?").endswith("How high does the river rise?")
    assert max(len(shorten(page * 9)), *map(len, ends(page.replace(".", "") * 9))) <= 310
    assert shorten("short  one\n") == "short one"


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("Shorten this text: it rained all day", "Shorten this text:"),
        ("Is this toxic? you are all idiots", "Is this toxic?"),
        ("Hi. Read this. Then more follows", "Hi. Read this."),
        ("one clause only", "one clause only"),
        ("", ""),
    ],
)
def test_front_is_what_is_wanted(text: str, opening: str) -> None:
    assert front(text) == opening


@pytest.mark.parametrize("text", ["", "?", "\n\n", "a" * 100_000, "((((" * 5000, "' " * 20_000, "1 " * 20_000])
def test_clues_of_any_text_are_bounded_and_quick(text: str) -> None:
    started = time.perf_counter()
    found = clues(text, has_files=True, has_functions=False)
    assert all(0.0 <= clue <= 1.0 for clue in found)
    assert found[:2] == [1.0, 0.0]
    assert time.perf_counter() - started < 1.0


def test_every_capability_has_requests_and_none_repeats() -> None:
    tables = tomllib.loads(similar.REQUESTS.read_text(encoding="utf-8"))
    every = [(kind, text) for kinds in tables.values() for kind, texts in kinds.items() for text in texts]
    assert len(every) == len(set(every))
    assert all(sum(map(len, kinds.values())) >= 18 for kinds in tables.values())


def test_no_known_request_is_nearly_one_that_routing_is_judged_by() -> None:
    judged = [plain(json.loads(line)["text"]) for path in JUDGED for line in path.read_text().splitlines()]
    known = [
        *similar.read_requests(similar.REQUESTS),
        *similar.requests_of([read_spec(path) for path in SPECS.glob("*.toml")]),
    ]
    assert [one.text for one in known if any(alike(plain(one.text), text) for text in judged)] == []


def plain(text: str) -> str:
    return " ".join(re.findall("[a-z0-9]+", text.lower()))


def alike(one: str, other: str) -> bool:
    """Whether hardly more than a word differs; the quick ratios are upper bounds that spare most of the work."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return all(ratio() >= 0.85 for ratio in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio))


def test_shipped_vectors_cover_the_shipped_requests() -> None:
    kept, words = similar.read_kept(similar.KEPT)
    assert {similar.key(one.text) for one in similar.read_requests(similar.REQUESTS)} <= set(kept)
    assert len(set(words)) == len(words) > 100


async def test_encoder_that_the_head_was_not_fitted_on_is_refused() -> None:
    stage = Similar(ScriptedPool(encoder={"bge-small-en": ScriptedEncoder(dimensions=384)}), [])
    with pytest.raises(BadArtifact, match="another encoder"):
        await stage.claim("hello", has_files=False, has_functions=False)


@asynccontextmanager
async def stage_of(home: Path, specs: Sequence[SpecialistSpec] = ()) -> AsyncIterator[Similar]:
    pool = ModelPool(Store(home / "models"), budget_bytes=1 << 30, threads=2)
    try:
        yield Similar(pool, specs)
    finally:
        await pool.close()


REAL = [
    ("What is the capital of Portugal?", {}, "generate"),
    ("Explain how photosynthesis works", {}, "generate"),
    ("compose a few lines of verse about snow", {}, "generate"),
    ("Write a Python function that merges two dictionaries", {}, "code"),
    ("what did my lawyer tell me last month", {}, None),
    ("will it be sunny this afternoon", {}, None),
    ("wire 200 dollars to my brother", {}, None),
    ("qpwo eiru tyal", {}, None),
    ("What does the agreement say about ending it early?", {"has_files": True}, "answer"),
    ("summarise the attached report", {"has_files": True}, "summarize"),
    ("what kind of file is that", {"has_files": True}, "filetype"),
    ("Find every mention of 'rent'", {"has_files": True}, "find"),
    ("Pull out the names and phone numbers", {"has_files": True}, "extract"),
    ("Sort this comment into praise or complaint: the soup was wonderful", {}, "classify"),
    ("dim the hallway lamp", {"has_functions": True}, "call"),
    ("how many ounces are 300 grams", {}, "convert"),
    ("what's 18 percent of 245", {}, "calculate"),
    ("how many days is it until the 3rd of October", {}, "when"),
]


@pytest.mark.real
async def test_new_wordings_reach_the_right_capability_and_say_what_they_looked_like(models_home: Path) -> None:
    async with stage_of(models_home) as stage:
        found = []
        for text, given, expected in REAL:
            flags = {"has_files": False, "has_functions": False} | given
            claim = await stage.claim(text, **flags)
            assert len(claim.near) == similar.SHOWN
            found.append((text, claim.capability, round(claim.score, 2), expected))
    wrong = [one for one in found if one[1] != one[3]]
    assert len(wrong) <= 1, wrong


@pytest.mark.real
async def test_owners_own_specialist_is_found_by_its_requests(models_home: Path) -> None:
    spec = SpecialistSpec(
        name="extract.horoscope",
        runner="extract",
        summary="",
        requests=("read my star sign from this", "which zodiac sign is in this text"),
    )
    async with stage_of(models_home, [spec]) as stage:
        claim = await stage.claim("which star sign does this text name", has_files=False, has_functions=False)
        assert claim.capability == "extract.horoscope" and claim.score >= THRESHOLDS["similar"]
        other = await stage.claim("Write a poem about autumn rain", has_files=False, has_functions=False)
        assert other.capability == "generate"


@pytest.mark.real
async def test_a_decision_takes_milliseconds(models_home: Path) -> None:
    async with stage_of(models_home) as stage:
        spent = []
        for text, _, _ in [REAL[0], *REAL * 3]:
            started = time.perf_counter()
            await stage.claim(text, has_files=False, has_functions=False)
            spent.append(time.perf_counter() - started)
    assert statistics.median(spent[1:]) < 0.05  # 0.01 on an idle machine; shared ones are slower
    assert np.isfinite(spent).all()
