"""Compiles constraints in a thread of its own: the first one and a large one take up to a second, and answers go on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from models.backend import Constraint
from models.engine.answering import Answer
from models.engine.constrain import Matcher

Resumed = tuple[int, ...]


class Compiling:
    """Requests whose constraint is being compiled, one after the other."""

    def __init__(self, matcher: Callable[[Constraint], Matcher], ready: Callable[[int], None]) -> None:
        """`matcher` is called in that thread, and so is `ready`, with a request's id, whatever came of it."""
        self._matcher = matcher
        self._ready = ready
        self._thread = ThreadPoolExecutor(1, "constraints")
        self._left: dict[int, tuple[Answer, Resumed, Future[Matcher]]] = {}

    def begin(self, answer: Answer, resumed: Resumed, constraint: Constraint) -> None:
        future = self._thread.submit(self._matcher, constraint)
        self._left[answer.id] = (answer, resumed, future)
        future.add_done_callback(lambda _: self._ready(answer.id))

    def cancel(self, number: int) -> None:
        if (found := self._left.pop(number, None)) is not None:
            found[-1].cancel()

    def take(self, number: int) -> Answer | None:
        """Return an answer that is ready to be written; None where it was cancelled. Raises ConstraintError."""
        if (found := self._left.pop(number, None)) is None:
            return None
        answer, resumed, future = found
        answer.matcher = future.result()
        answer.begin(resumed)
        return answer

    def close(self) -> None:
        """Wait for what is being compiled, and begin nothing more."""
        self._thread.shutdown(cancel_futures=True)
