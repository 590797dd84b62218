"""What the specialist that finds names promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.backends.scripted import ScriptedEncoder, ScriptedPool
from models.errors import BadArtifact, InputError
from models.pool import ModelPool
from models.specialist import build, read_spec
from models.store import Store
from models.types import Json, Request, last
from tests.models.asking import SPECS


@pytest.mark.parametrize("given", [{}, {"text": " "}, {"text": ["a"]}])
async def test_wrong_input_is_refused_naming_the_field(given: dict[str, Json]) -> None:
    pool = ScriptedPool(encoder={"bge-small-en": ScriptedEncoder()})
    with pytest.raises(InputError, match="text"):
        await last(build(read_spec(SPECS / "names.toml"), pool).run(Request("names", given)))


async def test_other_encoder_than_the_fitted_one_is_refused() -> None:
    pool = ScriptedPool(encoder={"bge-small-en": ScriptedEncoder()})
    with pytest.raises(BadArtifact, match="fitted on another encoder"):
        await last(build(read_spec(SPECS / "names.toml"), pool).run(Request("names", {"text": "I am Ada."})))


@pytest.mark.real
async def test_names_are_told_with_their_place_and_kind(models_home: Path) -> None:
    text = "Please remind Priya Raman that the flight to Oslo leaves at nine."
    pool = ModelPool(Store(models_home / "models"), budget_bytes=1 << 30, threads=2)
    try:
        result = await last(build(read_spec(SPECS / "names.toml"), pool).run(Request("names", {"text": text})))
    finally:
        await pool.close()
    assert isinstance(result.output, list)
    found = {(one["type"], one["text"]) for one in result.output if isinstance(one, dict)}
    assert found == {("person", "Priya Raman"), ("place", "Oslo")}
    assert all(text[one["start"] : one["end"]] == one["text"] for one in result.output)  # type: ignore[index,call-overload]
