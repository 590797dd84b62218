"""The same request asked here and of a hub: both answers are kept, then judged, with how Covey would have marked it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from models.heads import hard
from models.heads.head import FOLDER
from models.types import Json, RefusalCode, Request, Result
from runtime.evals.fingerprint import code_digest
from runtime.evals.metrics.outcome import Outcome
from runtime.evals.metrics.share import ANSWERED, HARD, LENGTH, LOOKS, MARKED, STRONG_OPTION, UNSURE, WEAK_OPTION
from runtime.evals.metrics.table import metric
from runtime.evals.subject import Subject
from runtime.evals.suite import QUALITY, Suite
from runtime.evals.wrap import READERS
from runtime.marking import Look, doubt, mark
from runtime.stronger import QUESTIONS

HERE, HUB = "here", "hub"

Hardness = Callable[[str], Awaitable[float | None]]
"""How hard a request looks, 0..1; None where nothing here can tell."""


class LiveSubject:
    """Answers with what was said here and at the hub, and what marking would have seen. It judges nothing."""

    def __init__(self, here: Subject, hub: Subject, hardness: Hardness) -> None:
        self._here = here
        self._hub = hub
        self._hardness = hardness

    async def run(self, request: Request) -> Result:
        tried = await self._here.run(request)
        if tried.refusal is not None and tried.refusal.code is RefusalCode.MODEL_MISSING:
            return tried
        asked, question = await self._hub.run(request), question_of(request)
        kept: Json = {
            HERE: _said(tried),
            HUB: _said(asked),
            "capability": request.capability,
            "words": len(question.split()),
            "hardness": await self._hardness(question),
        }
        return replace(tried, output=kept, text="", refusal=None, usage=tried.usage + asked.usage)

    def fingerprint(self, capability: str) -> str:
        code = code_digest(["runtime.hardness", "models.heads.hard"])
        digest = hashlib.sha256(code.encode() + (FOLDER / f"{hard.HEAD}.npz").read_bytes())
        for subject in (self._here, self._hub):
            digest.update(subject.fingerprint(capability).encode())
        return digest.hexdigest()


def question_of(request: Request) -> str:
    """Return the input that says what is asked."""
    return next((given for name in QUESTIONS if isinstance(given := request.input.get(name), str)), "")


def graded(outcomes: Sequence[Outcome], suite: Suite) -> list[Outcome]:
    """Return the outcomes with both answers judged, and with the scores by which a row may be handed over.

    A row that failed has no answers and takes no part.
    """
    return [_judged(one, one.answer, suite) if isinstance(one.answer, dict) else one for one in outcomes]


def hub_models(outcomes: Sequence[Outcome]) -> set[str]:
    """Return which models the hub answered with."""
    kept = [one.answer[HUB] for one in outcomes if isinstance(one.answer, dict)]
    return {str(said["model"]) for said in kept if isinstance(said, dict) and said["model"]}


def _judged(one: Outcome, kept: Mapping[str, Any], suite: Suite) -> Outcome:
    here, hub = kept[HERE], kept[HUB]
    look = _look(kept)
    judged = {"wanted": one.expected, WEAK_OPTION: _good(one, here, suite), STRONG_OPTION: _good(one, hub, suite)}
    scores = {
        HARD: doubt(look),
        LENGTH: float(kept["words"]),
        UNSURE: 1 - look.confidence,
        LOOKS: look.hardness or 0.0,
        MARKED: float(mark(look).hard),
        ANSWERED: float(hub["refused"] is None),
    }
    return replace(one, expected=judged, scores=scores)


def _look(kept: Mapping[str, Any]) -> Look:
    """Return what marking sees of a row: one request alone, so nothing of how its kind has gone lately."""
    here = kept[HERE]
    refusal = RefusalCode(here["refused"]) if here["refused"] else None
    return Look(
        kept["capability"],
        refusal is None,
        "",
        model=here["model"],
        refusal=refusal,
        confidence=here["confidence"],
        calibrated=here["calibrated"],
        hardness=kept["hardness"],
    )


def _good(one: Outcome, said: Mapping[str, Any], suite: Suite) -> float | None:
    """Return how good one answer is by the suite's metric of this row alone; None where it is not about such rows."""
    answer = None if said["refused"] else READERS[suite.reader](said["output"])
    quality = metric(str(suite.options[QUALITY]))
    found = quality.fold(quality.rows([replace(one, answer=answer, refused=said["refused"])], suite.options))
    return None if found != found else found  # NaN is not equal to itself


def _said(result: Result) -> Json:
    return {
        "output": result.output,
        "refused": result.refusal.code.value if result.refusal else None,
        "model": result.model,
        "confidence": result.confidence,
        "calibrated": result.calibrated,
    }
