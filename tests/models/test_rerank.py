"""What the rerank specialist promises."""

from __future__ import annotations

import pytest

from models.backends.scripted import ScriptedPool, ScriptedReranker
from models.errors import InputError
from models.specialist import build, read_spec
from models.types import Json, Request, Specialist, last
from tests.models.asking import SPECS


def reranker() -> Specialist:
    return build(read_spec(SPECS / "rerank.toml"), ScriptedPool(reranker={"reranker-en": ScriptedReranker()}))


async def test_best_passage_comes_first_with_its_place_in_the_input() -> None:
    passages = ["The cat slept.", "The ferry leaves at noon.", "Noon is a time of day."]
    given: dict[str, Json] = {"query": "when does the ferry leave, noon?", "passages": list(passages)}
    result = await last(reranker().run(Request("rerank", given)))
    assert isinstance(result.output, list)
    assert [row["index"] for row in result.output] == [1, 2, 0]  # type: ignore[index, call-overload]
    assert result.confidence == result.output[0]["score"]  # type: ignore[index, call-overload]
    assert result.text.splitlines()[0].endswith(passages[1])


async def test_equal_passages_keep_their_order() -> None:
    result = await last(reranker().run(Request("rerank", {"query": "ferry", "passages": ["x", "x", "x"]})))
    assert [row["index"] for row in result.output] == [0, 1, 2]  # type: ignore[index, call-overload, union-attr]


async def test_no_passages_give_an_empty_order() -> None:
    result = await last(reranker().run(Request("rerank", {"query": "ferry", "passages": []})))
    assert result.output == [] and result.confidence == 0.0


@pytest.mark.parametrize("given", [{}, {"query": " ", "passages": []}, {"query": "a", "passages": "b"}])
async def test_wrong_input_is_refused(given: dict[str, Json]) -> None:
    with pytest.raises(InputError, match="give it one"):
        await last(reranker().run(Request("rerank", given)))
