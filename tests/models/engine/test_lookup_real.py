"""With the real model in reproducible mode, an answer is the same token for token with and without proposals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.backend import Constraint, Sampling
from models.engine.answering import Answer
from models.engine.batch import Batch, BatchSettings
from models.engine.constrain import Constrainer
from models.engine.library import ContextSettings, Library
from models.engine.lookup import MOST_PROPOSED, Lookup
from models.engine.pace import Pace
from models.engine.text import TextStream
from models.errors import ModelsError
from models.grammar import constraint
from models.store import Store

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:llama_token_get_attr:DeprecationWarning"),  # called by llguidance
]

LETTER = """Dear Marta Lindqvist, we delivered 14 boxes of galvanised wood screws (article WS-256) to your workshop in \
Bergen and ask you to transfer the total of 343.74 EUR to our account at the Cooperative Bank of Galway."""
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string", "x-substring-of-input": True} for name in ("customer", "goods", "bank")},
    "required": ["customer", "goods", "bank"],
    "additionalProperties": False,
}


class Eager(Pace):
    """Says that further rows cost nothing, so that all that is found is proposed."""

    def seconds(self, rows: int) -> float | None:
        return 1 + rows / 1000


@pytest.fixture(scope="module")
def library(models_home: Path) -> Iterator[Library]:
    store = Store(models_home / "models")
    path = store.path(store.get("smollm2-135m"), "model")
    settings = ContextSettings(
        kv_tokens=512 * 3, sequences=3, threads=2, batch_rows=32, outputs=MOST_PROPOSED, reproducible=True
    )
    library = Library(str(path), settings)
    yield library
    library.close()


def answer(library: Library, prompt: str, most: int, *, lookup: Lookup | None, **more: object) -> tuple[Answer, int]:
    """Return the answer, and how many of its tokens were proposed ones."""
    vocabulary = library.vocabulary
    wanted = more.pop("constraint", None)
    matcher = None
    if isinstance(wanted, Constraint):
        matcher = Constrainer(vocabulary.pointer, vocabulary.size, vocabulary.eos).matcher(wanted)
    text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
    made = Answer(
        id=1,
        prompt=vocabulary.tokens(text, control=True),
        max_tokens=most,
        vocabulary=vocabulary,
        text=TextStream(),
        matcher=matcher,
        lookup=lookup,
        **{"sampling": Sampling(), **more},  # type: ignore[arg-type]
    )
    made.begin(())
    failures: list[ModelsError] = []
    steps: list[Answer] = []
    batch = Batch(
        library,
        BatchSettings(context_tokens=512, kv_tokens=512 * 3, slots=2, scratch=1, rows=32),
        progressed=steps.append,
        done=lambda job, usage, weights: None,
        failed=lambda job, error: failures.append(error),
    )
    batch._pace = Eager()
    batch.submit(made)
    while batch.busy:
        batch.step()
    for sequence in range(3):
        library.cut(sequence, 0)
    assert not failures
    return made, len(made.tokens) - len(steps)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0.7, 0.95, 3)])
def test_a_text_is_the_same_with_and_without_proposals(library: Library, sampling: Sampling) -> None:
    prompt = f"{LETTER}\n\nRepeat this letter word by word."
    plain, _ = answer(library, prompt, 40, lookup=None, sampling=sampling)
    quick, saved = answer(library, prompt, 40, lookup=Lookup(), sampling=sampling)
    assert quick.tokens == plain.tokens
    assert quick.signals.signals() == plain.signals.signals()
    assert saved > 5


def test_a_record_under_a_schema_is_the_same_with_and_without_proposals(library: Library) -> None:
    prompt = f"{LETTER}\n\nFill in customer, goods and bank as JSON."
    wanted = constraint(SCHEMA, LETTER)
    plain, forced = answer(library, prompt, 60, lookup=None, constraint=wanted)
    quick, saved = answer(library, prompt, 60, lookup=Lookup(), constraint=wanted)
    assert plain.ending == quick.ending == "stop"
    assert quick.tokens == plain.tokens
    assert quick.signals.signals() == plain.signals.signals()
    assert saved > forced
