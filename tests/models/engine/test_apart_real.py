"""In reproducible mode each sequence has its own memory: what one takes over of another is its own from then on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.backend import Sampling
from models.conversations import ConversationFiles
from models.engine.answering import Answer
from models.engine.batch import Batch, BatchSettings
from models.engine.library import ContextSettings, Library, Row
from models.engine.text import TextStream
from models.errors import ModelsError
from models.store import Store

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SEA = "The sea is deep and blue, full of fish and of old ships. Sailors tell of storms and of quiet nights. " * 3
BREAD = "Bread is made of flour, water, salt and yeast. Bakers rise early and heat their ovens with wood. " * 3


@pytest.fixture(scope="module")
def library(models_home: Path) -> Iterator[Library]:
    store = Store(models_home / "models")
    path = store.path(store.get("smollm2-135m"), "model")
    settings = ContextSettings(kv_tokens=512 * 3, sequences=3, threads=2, batch_rows=64, reproducible=True)
    library = Library(str(path), settings)
    yield library
    library.close()


class Talks:
    """A fresh batch of two seats on the library."""

    def __init__(self, library: Library) -> None:
        for sequence in range(3):
            library.cut(sequence, 0)
        self._vocabulary = library.vocabulary
        self._failures: list[ModelsError] = []
        self.batch = Batch(
            library,
            BatchSettings(context_tokens=512, kv_tokens=512 * 3, slots=2, scratch=1, rows=64),
            progressed=lambda answer: None,
            done=lambda job, usage, weights: None,
            failed=lambda job, error: self._failures.append(error),
            conversations=ConversationFiles("model"),
        )

    def ask(self, prompt: str, conversation: Path | None = None) -> Answer:
        vocabulary = self._vocabulary
        text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
        tokens = vocabulary.tokens(text, control=True)
        sampling, stream = Sampling(), TextStream()
        answer = Answer(1, tokens, 16, sampling, vocabulary, stream, conversation=conversation)
        answer.begin(())
        self.batch.submit(answer)
        return answer

    def run(self) -> None:
        while self.batch.busy:
            self.batch.step()
        assert not self._failures

    def told(self, prompt: str, conversation: Path | None = None) -> list[int]:
        answer = self.ask(prompt, conversation)
        self.run()
        return answer.tokens


def test_state_read_from_disk_into_the_place_another_was_taken_over_from_changes_no_answer(
    library: Library, tmp_path: Path
) -> None:
    before = Talks(library)
    before.told(BREAD, tmp_path / "bread")
    before.batch.keep_conversations()
    alone = Talks(library).told(f"{SEA} What lives in it?")
    talks = Talks(library)
    talks.told(f"{SEA} What is told?")
    talks.told("Name a colour.")
    company, talk = talks.ask(f"{SEA} What lives in it?"), talks.ask(f"{BREAD} Who bakes it?", tmp_path / "bread")
    talks.run()
    assert company.cached > 48 and talk.cached > 48
    assert company.tokens == alone


def test_copied_state_is_a_sequences_own_whatever_becomes_of_the_other(library: Library) -> None:
    """llama.cpp itself copies when it next computes, and then what is there by then."""
    for sequence in range(3):
        library.cut(sequence, 0)
    sea, bread = (library.vocabulary.tokens(text, control=False)[:40] for text in (SEA, BREAD))
    for sequence, tokens in enumerate((sea, bread)):
        library.decode([Row(token, place, sequence, False) for place, token in enumerate(tokens)])
    other = library.state(1)
    library.copy(0, 2, 40)
    expected = library.decode([Row(5, 40, 0, True)])[0].copy()
    library.cut(2, 0)
    library.cut(0, 40)

    library.copy(0, 2, 40)
    library.cut(0, 0)
    assert library.restore(0, other)
    assert (library.decode([Row(5, 40, 2, True)])[0] == expected).all()
