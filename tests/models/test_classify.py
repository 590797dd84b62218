"""What the classify specialist promises, whichever way it decides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from models.backend import Message
from models.backends.scripted import ScriptedEncoder, ScriptedPool, ScriptedText, words
from models.errors import InputError
from models.heads import head
from models.pool import ModelPool
from models.specialist import Example, SpecialistSpec, build, read_spec
from models.specialists import classify
from models.store import Store
from models.types import PROGRAMS, Json, RefusalCode, Request, Result, Specialist, last
from tests.models.asking import MODEL, SPECS

EXAMPLES: list[Json] = [
    {"text": "my parcel has not arrived", "label": "delivery"},
    {"text": "the parcel arrived too late", "label": "delivery"},
    {"text": "where is the parcel now", "label": "delivery"},
    {"text": "the invoice shows a wrong amount", "label": "billing"},
    {"text": "please send the invoice again", "label": "billing"},
    {"text": "the amount on the invoice was charged twice", "label": "billing"},
]


def over(spec: SpecialistSpec, text: ScriptedText | None = None) -> Specialist:
    encoder = ScriptedEncoder(dimensions=256)
    return build(spec, ScriptedPool({MODEL: text} if text else {}, {"bge-small-en": encoder}))


def shipped() -> SpecialistSpec:
    return read_spec(SPECS / "classify.toml")


async def ask(specialist: Specialist, **given: Json) -> Result:
    return await last(specialist.run(Request("classify", given)))


async def test_model_is_asked_within_the_requests_bounds_and_told_what_is_the_specialists_own() -> None:
    told: list[dict[str, object]] = []

    class Telling(ScriptedText):
        async def score(self, *given: object, **bounds: object) -> list[float]:
            told.append(bounds)
            return [0.5, 0.5]

    request = Request("classify", {"text": "beta", "labels": ["one", "two"]}, deadline_s=9.0, program=True)
    await last(over(shipped(), Telling()).run(request))
    assert told and all(bounds["own_messages"] == 1 and bounds["asker"] == PROGRAMS for bounds in told)
    assert all(isinstance(left := bounds["deadline_s"], float) and 0 < left <= 9 for bounds in told)


async def test_examples_decide_and_every_label_has_a_probability() -> None:
    result = await ask(over(shipped()), text="the parcel has still not arrived", examples=EXAMPLES)
    assert result.output == "delivery"
    assert result.confidence == max(result.signals.scores.values()) > 0.5
    assert set(result.signals.scores) == {"delivery", "billing"}


async def test_text_like_no_example_is_refused_and_the_nearest_is_named() -> None:
    result = await ask(over(shipped()), text="zebras graze on savannah grass", examples=EXAMPLES)
    assert result.refusal is not None and result.refusal.code is RefusalCode.NOT_SURE
    assert result.output is None and result.refusal.found in {"delivery", "billing"}


async def test_label_without_examples_is_known_by_its_name() -> None:
    result = await ask(
        over(shipped()), text="holiday request", examples=EXAMPLES, labels=["delivery", "billing", "holiday request"]
    )
    assert result.output == "holiday request"


async def test_same_examples_are_embedded_once() -> None:
    encoder = ScriptedEncoder(dimensions=256)
    specialist = build(shipped(), ScriptedPool(encoder={"bge-small-en": encoder}))
    for _ in range(3):
        await ask(specialist, text="the parcel", examples=EXAMPLES)
    assert len(encoder.encoded) == len(EXAMPLES) + 3


async def test_labels_alone_are_compared_by_name_and_trusted_less() -> None:
    result = await ask(over(shipped()), text="wrong amount on invoice", labels=["invoice", "parcel"])
    assert result.output == "invoice"
    assert result.confidence <= classify.NAME_TRUST
    assert result.notes == (classify.NAMES_ONLY,)


def asks_for_b(messages: Sequence[Message], labels: Sequence[str], prefill: str) -> list[float]:
    """A model that always prefers the first label, less so when it reads 'beta'."""
    return [0.6, 0.4] if "beta" in words(messages[-1].content) else [0.9, 0.1]


async def test_a_models_love_of_the_first_label_does_not_decide() -> None:
    result = await ask(over(shipped(), ScriptedText(scorer=asks_for_b)), text="beta", labels=["one", "two"])
    assert result.output == "two"
    assert result.model == "scripted" and len(result.artifacts) == 2


async def test_examples_of_the_spec_are_used_without_any_in_the_request() -> None:
    spec = SpecialistSpec(
        name="classify.mail",
        runner="classify",
        summary="",
        examples=tuple(Example(str(e["text"]), str(e["label"])) for e in EXAMPLES if isinstance(e, dict)),
    )
    assert (await ask(over(spec), text="the invoice amount is wrong")).output == "billing"


async def test_floor_turns_a_weak_answer_into_not_sure() -> None:
    spec = SpecialistSpec(name="classify", runner="classify", summary="", labels=("cat", "dog"), floor=0.9)
    result = await ask(over(spec), text="a fish")
    assert result.refusal is not None and result.refusal.code is RefusalCode.NOT_SURE


def small_head(tmp_path: Path, encoder: ScriptedEncoder, *, reject: float) -> None:
    weights = np.zeros((encoder.dimensions, 2), dtype=np.float32)
    weights[:, 0] = 5.0
    bias = np.zeros(2, dtype=np.float32)
    head.save(head.Head("mood", ("up", "down"), weights, bias, 1.0, reject, encoder.artifacts[0]), tmp_path)


@pytest.mark.parametrize(("reject", "refused"), [(0.0, False), (1.01, True)])
async def test_head_named_like_the_capability_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reject: float, refused: bool
) -> None:
    small_head(tmp_path, ScriptedEncoder(dimensions=256), reject=reject)
    monkeypatch.setattr(classify, "HEADS", tmp_path)
    result = await ask(over(SpecialistSpec(name="classify.mood", runner="classify", summary="")), text="sunny")
    assert set(result.signals.scores) == {"up", "down"}
    assert result.abstained is refused


@pytest.mark.parametrize(
    "given",
    [
        {"text": "a"},
        {"text": "  ", "labels": ["a", "b"]},
        {"text": "a", "labels": ["only"]},
        {"text": "a", "labels": [1, 2]},
        {"text": "a", "labels": [f"l{n}" for n in range(classify.MAX_LABELS + 1)]},
        {"text": "a", "labels": ["b", "c" * (classify.MAX_LABEL_CHARS + 1)]},
        {"text": "a", "examples": [{"text": "b", "label": "c" * (classify.MAX_LABEL_CHARS + 1)}]},
        {"text": "a", "examples": [{"text": "b"}]},
        {"text": "a", "examples": "b"},
    ],
)
async def test_wrong_input_is_refused(given: dict[str, Json]) -> None:
    with pytest.raises(InputError):
        await last(over(shipped()).run(Request("classify", given)))


@pytest.mark.real
async def test_real_encoder_labels_by_examples_and_notices_a_stranger(models_home: Path) -> None:
    pool = ModelPool(Store(models_home / "models"), budget_bytes=1 << 30, threads=2)
    specialist = build(SpecialistSpec(name="classify", runner="classify", summary=""), pool)
    try:
        known = await ask(specialist, text="I was billed two times for one order", examples=EXAMPLES)
        stranger = await ask(specialist, text="how tall is the highest volcano on Mars", examples=EXAMPLES)
    finally:
        await pool.close()
    assert known.output == "billing"
    assert stranger.abstained
