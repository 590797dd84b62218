"""A scripted library for the batch, and a batch on it.

The next token is a function of all tokens that the sequence's state holds, so an answer is right only
if its state was right at every step.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.backend import Sampling
from models.conversations import ConversationFiles
from models.engine.answering import Answer, Scoring
from models.engine.batch import Batch, BatchSettings
from models.engine.library import Interrupted, NoRoom, Row, Vocabulary
from models.engine.prefixes import PrefixFiles
from models.engine.seats import Job
from models.engine.text import TextStream
from models.errors import ModelsError
from models.types import Usage

VOCABULARY = 64
END = 63


class Words(Vocabulary):
    """One character a token; token 63 ends a turn."""

    def __init__(self) -> None:
        self.size = VOCABULARY

    def piece(self, token: int) -> bytes:
        return chr(65 + token).encode()

    def ends(self, token: int) -> bool:
        return token == END


def following(tokens: list[int]) -> int:
    """The token that comes after these; never the end token."""
    return zlib.crc32(bytes(t % 256 for t in tokens)) % (VOCABULARY - 1)


Following = Callable[[list[int]], int]
"""The token that a scripted model says after these."""


class ScriptedLibrary:
    """Keeps the state that llama.cpp would keep, and fails where llama.cpp would."""

    def __init__(self, capacity: int, sequences: int, following: Following, *, batch_rows: int) -> None:
        self.capacity = capacity
        self._following = following
        self._batch_rows = batch_rows
        self._outputs = np.zeros((batch_rows, VOCABULARY), dtype=np.float32)
        self.states: list[list[int]] = [[] for _ in range(sequences)]
        self.calls: list[int] = []
        self.rows = 0
        self.asks_at = 8
        """Row of a step before which it is asked whether anybody wants it still."""
        self.lies = 0
        """How many times NoRoom is raised although there is room."""
        self.holds_all = True
        """False where it has let go of old tokens of every sequence."""
        self.factor = 1.0
        """Of all its logits."""

    def decode(self, rows: list[Row], given_up: Callable[[], bool] | None = None) -> list[NDArray[np.float32]]:
        """Return views of one buffer, which the next call overwrites."""
        assert len(rows) <= self._batch_rows, "more rows than llama.cpp has been told to expect"
        if self.lies:
            self.lies -= 1
            raise NoRoom("scripted")
        self.calls.append(len(rows))
        self.rows += len(rows)
        logits: list[NDArray[np.float32]] = []
        for n, row in enumerate(rows):
            if n == self.asks_at and given_up is not None and given_up():
                self.rows -= len(rows) - n
                raise Interrupted("scripted")
            state = self.states[row.sequence]
            assert row.position == len(state), "a token was computed at the wrong place"
            state.append(row.token)
            if row.wants_logits:
                values = self._outputs[len(logits)]
                values[:] = 0.0
                values[self._following(state)] = 9.0
                values *= self.factor
                logits.append(values)
        distinct = {tuple(state[: i + 1]) for state in self.states for i in range(len(state))}
        assert len(distinct) <= self.capacity, "more state than there is room for"
        return logits

    def goes_on(self, sequence: int, length: int) -> bool:
        return self.holds_all and len(self.states[sequence]) >= length

    def copy(self, source: int, target: int, length: int) -> None:
        assert not self.states[target]
        self.states[target] = self.states[source][:length]

    def cut(self, sequence: int, length: int) -> None:
        del self.states[sequence][length:]

    def state(self, sequence: int) -> bytes:
        return bytes(self.states[sequence])

    def restore(self, sequence: int, state: bytes) -> bool:
        assert not self.states[sequence]
        self.states[sequence] = list(state)
        return True


class Bench:
    """A batch on a scripted library, and what came out of it."""

    def __init__(
        self,
        *,
        kv: int = 256,
        slots: int = 4,
        rows: int = 64,
        context: int | None = None,
        folder: Path | None = None,
        talks: ConversationFiles | None = None,
        says: Following = following,
        shelf: int | None = None,
        cancelled: Collection[int] = (),
        show_s: float = 0.1,
    ) -> None:
        """`shelf`: tokens kept beside the context; None means as many as in it."""
        self.library = ScriptedLibrary(kv, slots + 2, says, batch_rows=rows)
        self.done: dict[int, tuple[Job, Usage, list[float]]] = {}
        self.failed: dict[int, ModelsError] = {}
        self.asked: dict[int, Job] = {}
        self.progress: list[int] = []
        self.batch = Batch(
            self.library,
            BatchSettings(
                context or kv, kv, slots, 2, rows, shelf_tokens=kv if shelf is None else shelf, show_s=show_s
            ),
            progressed=lambda answer: (answer.take_owed(), self.progress.append(answer.id))[1],
            done=lambda job, usage, weights: self.done.__setitem__(job.id, (job, usage, weights)),
            failed=lambda job, error: self.failed.__setitem__(job.id, error),
            conversations=talks,
            prefixes=None if folder is None else PrefixFiles(folder, "scripted"),
            cancelled=cancelled.__contains__,
        )

    def ask(self, number: int, prompt: list[int], most: int, resumed: tuple[int, ...] = (), **more: Any) -> Answer:
        given: dict[str, Any] = {"sampling": Sampling(), "vocabulary": Words(), "text": TextStream()} | more
        answer = Answer(number, prompt, most, **given)
        answer.begin(resumed)
        self.asked[number] = answer
        self.batch.submit(answer)
        return answer

    def weigh(self, number: int, prompt: list[int], labels: list[list[int]], **more: Any) -> Scoring:
        scoring = Scoring(number, prompt, labels, END, **more)
        scoring.begin()
        self.asked[number] = scoring
        self.batch.submit(scoring)
        return scoring

    def run(self) -> None:
        for _ in range(5000):
            if not self.batch.busy:
                return
            self.batch.step()
        pytest.fail("the batch never came to rest")

    def weights(self, number: int) -> list[float]:
        return self.done[number][2]

    def answer(self, number: int) -> list[int]:
        job = self.done[number][0]
        assert isinstance(job, Answer)
        return job.tokens


def expected(prompt: list[int], most: int, says: Following = following) -> list[int]:
    tokens = list(prompt)
    for _ in range(most):
        tokens.append(says(tokens))
    return tokens[len(prompt) :]


def weighed(prompt: list[int], labels: list[list[int]], says: Following = following) -> list[float]:
    """The probabilities of labels when nothing else runs."""
    bench = Bench(kv=256, says=says)
    bench.weigh(1, prompt, labels)
    bench.run()
    return bench.weights(1)
