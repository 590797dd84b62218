"""The worker process of a model whose answers are led: each goes along another answer, token by token, and notes what
it would have chosen itself. The steps are those of any answers: prompts in chunks, then a row of each a step.

python -m scripts.benches.led_worker
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from models.backend import Sampling
from models.engine.answering import Answer
from models.engine.sampling import Row, choose
from models.engine.seats import Job
from models.engine.text import TextStream
from models.engine.worker import Worker, main
from models.types import Usage


@dataclass(slots=True)
class Led(Answer):
    """An answer that goes along another one."""

    along: tuple[int, ...] = ()
    noted: list[tuple[int | None, float]] = field(default_factory=list)
    """At each place, and behind the last one: the token it would have chosen, None for the end, and its lead."""

    def feed(self, row: Row) -> None:
        """Note the choice, and take the other answer's token."""
        token, signal = choose(row, self.sampling, self.tokens)
        self.noted.append((None if self.vocabulary.ends(token) else token, signal.margin))
        if len(self.tokens) < len(self.along):
            self._take(self.along[len(self.tokens)])
        else:
            self.ending = "stop"


class LedWorker(Worker):
    """Leads each answer along the `resume_tokens` of its call, and tells as its text what was noted."""

    def _generate(self, number: int, message: dict[str, Any]) -> None:
        led = Led(
            id=number,
            prompt=self._prompts.made(message)[0],
            max_tokens=int(message["max_tokens"]),
            sampling=Sampling(*message["sampling"]),
            vocabulary=self._vocabulary,
            text=TextStream(),
            along=tuple(message["resume_tokens"]),
        )
        led.begin(())
        self._batch.submit(led)

    def _done(self, job: Job, usage: Usage, probabilities: list[float]) -> None:
        assert isinstance(job, Led)
        end = {"reason": job.ending, "tokens": job.tokens, "signals": [], "usage": []}
        self._send({"op": "finish", "id": job.id, "text": json.dumps(job.noted), **end})


if __name__ == "__main__":
    main(LedWorker)
