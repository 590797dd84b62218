"""What the embed specialist promises."""

from __future__ import annotations

import pytest

from models.backends.scripted import ScriptedEncoder, ScriptedPool
from models.errors import InputError, NotInstalled
from models.specialist import SpecialistSpec, build, read_spec
from models.specialists.embed import MAX_TEXTS
from models.types import Json, Request, Specialist, last
from tests.models.asking import SPECS


def embedder() -> Specialist:
    return build(read_spec(SPECS / "embed.toml"), ScriptedPool(encoder={"bge-small-en": ScriptedEncoder()}))


async def test_each_text_gets_one_unit_vector_in_order() -> None:
    result = await last(embedder().run(Request("embed", {"texts": ["red car", "blue boat", "red car"]})))
    rows = result.output
    assert isinstance(rows, list) and len(rows) == 3
    assert rows[0] == rows[2] != rows[1]
    assert sum(float(x) ** 2 for x in rows[0]) == pytest.approx(1.0, abs=1e-4)  # type: ignore[union-attr, arg-type]
    assert result.model == "scripted-encoder" and result.artifacts


async def test_no_texts_give_no_vectors() -> None:
    assert (await last(embedder().run(Request("embed", {"texts": []})))).output == []


@pytest.mark.parametrize("given", [{}, {"texts": "one"}, {"texts": [1]}, {"texts": ["a"] * (MAX_TEXTS + 1)}])
async def test_wrong_input_is_refused_naming_the_field(given: dict[str, Json]) -> None:
    with pytest.raises(InputError, match="texts"):
        await last(embedder().run(Request("embed", given)))


async def test_missing_model_says_how_to_get_it() -> None:
    spec = SpecialistSpec(name="embed", runner="embed", summary="", models=("bge-small-en",))
    with pytest.raises(NotInstalled, match="covey models pull"):
        await last(build(spec, ScriptedPool()).run(Request("embed", {"texts": ["a"]})))
