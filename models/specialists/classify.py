"""Names the label that fits a text: by a model made for it, a fitted head, examples, or the labels' own names.

Whichever way, the answer carries a probability for each label, and "none of them" is an outcome.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import heads
from models.backend import Encoder, Loaded, Message
from models.errors import BadArtifact, InputError, OutOfMemory
from models.specialist import Pool, SpecialistSpec
from models.specialists.runner import Runner
from models.specialists.turn import Turn, between, text_in
from models.types import Chunk, Digest, Refusal, RefusalCode, Request, Result, Signals, Usage

if TYPE_CHECKING:
    from models.heads.few import FewShot

HEADS = Path(heads.__file__).parent
ENCODERS = ("bge-small-en",)
MAX_LABELS = 200
MAX_LABEL_CHARS = 200
"""Of one label: it is a name, and a language model computes each of them."""
MAX_EXAMPLES = 2000
"""Fitting solves a system of this many equations: about two seconds, the longest a request may take for it."""
KEPT = 8
"""Few-shot fits and priors kept, so that many texts with the same examples or labels pay for them once."""
SHOWN_SCORES = 10
NAME_TEMPERATURE = 0.03
"""Of similarities between a text and the labels' names; best log-likelihood over 1,500 texts and 150 intents."""
NAMES_ONLY = "Compared with the labels' names only; examples would make this surer."
MODEL_WEIGHT = 0.5
"""Of a small language model's opinion beside the names: it is the weaker of the two where labels are topics."""
LEAST = 1e-4
"""Probabilities below this are noise; a ratio of two of them must not decide."""
STRANGE = 0.51
"""Probability of 'none of them' for a text that a fitted head does not know: rather strange than not."""
NAME_TRUST = 0.7
"""Names alone say little about labels such as `urgent`, so what they say counts for less."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one of the ways found."""

    scores: Mapping[str, float]
    """Probability of each label."""
    none: float
    """Probability that none of them fits."""
    reject: float
    """A best probability below this is not given as an answer."""
    note: str
    model: str
    artifacts: tuple[Digest, ...]
    model_seconds: float


class Classify(Runner):
    """Input `{"text", "labels"?, "examples"?: [{"text", "label"}]}`, output the label."""

    def __init__(self, spec: SpecialistSpec, pool: Pool) -> None:
        super().__init__(spec, pool)
        self._fits: dict[tuple[object, ...], FewShot] = {}
        self._priors: dict[tuple[str, ...], list[float]] = {}

    async def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        started = time.perf_counter()
        text = text_in(request, "text")
        verdict = await self._judge(Turn(self._spec, request), text)
        yield self._result(verdict, time.perf_counter() - started)

    async def _judge(self, turn: Turn, text: str) -> Verdict:
        """Choose the way: what the request brings comes before what the specialist has."""
        request = turn.request
        labels, examples = labels_in(request), examples_in(request)
        fitted = head_name(self._spec)
        own = self._pool.installed(self._spec.models, "classifier")
        if not labels and not examples and own:
            return await self._by_classifier(text, own)
        if not labels and not examples and fitted:
            return await self._by_head(text, fitted)
        labels = labels or list(self._spec.labels)
        examples = examples or [(example.input, example.output) for example in self._spec.examples]
        if examples:
            return await self._by_examples(text, labels, examples)
        if not labels:
            raise InputError(
                f'{request.capability} needs to know what to choose from: ask "Is this spam or not spam: ...", '
                "or give it `labels` or `examples`."
            )
        if len(labels) == 1:
            raise InputError(f"{request.capability} needs at least two labels to choose between; add another one.")
        return await self._by_labels(text, labels, turn)

    async def _by_classifier(self, text: str, models: Sequence[str]) -> Verdict:
        async with self._pool.classifier(models) as model:
            begun = time.perf_counter()
            shares = (await model.probabilities([text]))[0]
            scores = {label: float(share) for label, share in zip(model.labels, shares, strict=True)}
            return _verdict(scores, 0.0, 0.0, "", model, begun)

    async def _by_head(self, text: str, fitted: str) -> Verdict:
        from models.heads import head  # numpy: heavy, first use only

        file = HEADS / f"{fitted}.npz"  # an owner's head comes with its whole path, which stays as it is
        known = head.load(file.stem, file.parent)
        async with self._pool.encoder(ENCODERS) as encoder:
            known.require(encoder)
            begun = time.perf_counter()
            vectors = await encoder.encode([text])
            inputs = known.inputs(vectors, [text])
            none = 0.0 if known.knows(inputs)[0] else STRANGE
            shares = known.probabilities(inputs)[0] * (1.0 - none)
            scores = {label: float(share) for label, share in zip(known.labels, shares, strict=True)}
            return _verdict(scores, none, known.reject, "", encoder, begun)

    async def _by_examples(self, text: str, labels: Sequence[str], examples: Sequence[tuple[str, str]]) -> Verdict:
        seen = {label for _, label in examples}
        rows = [*examples, *((label, label) for label in labels if label not in seen)]
        async with self._pool.encoder(ENCODERS) as encoder:
            begun = time.perf_counter()
            fitted = await self._fit(encoder, rows)
            shares, none = fitted.probabilities((await encoder.encode([text]))[0])
            scores = {label: float(share) for label, share in zip(fitted.labels, shares, strict=True)}
            return _verdict(scores, none, 0.0, f"Decided by {len(examples)} examples.", encoder, begun)

    async def _fit(self, encoder: Encoder, rows: Sequence[tuple[str, str]]) -> FewShot:
        key = (encoder.artifacts, *rows)
        if key not in self._fits:
            from models.heads import few  # numpy: heavy, first use only

            vectors = await encoder.encode([text for text, _ in rows])
            self._fits[key] = few.fit(vectors, [label for _, label in rows])
            _trim(self._fits)
        return self._fits[key]

    async def _by_labels(self, text: str, labels: Sequence[str], turn: Turn) -> Verdict:
        """Compare the text with the labels' names; a language model's opinion is added where one is installed."""
        from models.heads.head import softmax  # numpy: heavy, first use only

        async with self._pool.encoder(ENCODERS) as encoder:
            begun = time.perf_counter()
            vectors = await encoder.encode([text, *(label.replace("_", " ") for label in labels)])
            logits = vectors[1:] @ vectors[0] / NAME_TEMPERATURE
            named = _verdict({}, 0.0, 0.0, NAMES_ONLY, encoder, begun)
        opinion = await self._opinion(text, labels, turn)
        if opinion is None:
            shares = softmax(logits) * NAME_TRUST
            return replace(named, scores=dict(zip(labels, map(float, shares), strict=True)))
        shares = softmax(logits + [MODEL_WEIGHT * math.log(opinion.scores[label]) for label in labels])
        return replace(
            opinion,
            scores=dict(zip(labels, map(float, shares), strict=True)),
            artifacts=(*opinion.artifacts, *named.artifacts),
            model_seconds=opinion.model_seconds + named.model_seconds,
        )

    async def _opinion(self, text: str, labels: Sequence[str], turn: Turn) -> Verdict | None:
        """Return how much likelier a language model finds each label with the text than without any.

        Small models prefer a label for its place in the list or its wording; dividing by what they
        say to an empty text takes that away. None when no such model can be had here.
        """
        if not self._pool.installed(self._spec.models, "text"):
            return None
        try:
            async with self._pool.text(self._spec.models) as model:
                begun = time.perf_counter()
                key = (model.id, *labels)
                if key not in self._priors:
                    self._priors[key] = await turn.weigh(model, self._question("", labels), labels)
                    _trim(self._priors)
                given = await turn.weigh(model, self._question(text, labels), labels)
                ratios = [max(p, LEAST) / max(q, LEAST) for p, q in zip(given, self._priors[key], strict=True)]
                scores = {label: ratio / sum(ratios) for label, ratio in zip(labels, ratios, strict=True)}
                return Verdict(scores, 0.0, 0.0, "", model.id, model.artifacts, time.perf_counter() - begun)
        except (OutOfMemory, BadArtifact):
            return None  # the labels' names can still be compared

    def _question(self, text: str, labels: Sequence[str]) -> list[Message]:
        asked = f"Labels: {', '.join(labels)}\n\n{between(text)}\n\nWhich label fits the text?"
        return [*([Message("system", self._spec.system)] if self._spec.system else []), Message("user", asked)]

    def _result(self, verdict: Verdict, seconds: float) -> Result:
        best = max(verdict.scores, key=lambda label: verdict.scores[label])
        top = verdict.scores[best]
        reason = ""
        if verdict.none > top:
            reason = "This text does not look like any of the labels; add a label or an example that fits it."
        elif top < max(verdict.reject, self._spec.floor):
            reason = f"I am not sure enough which label fits; {best!r} is the likeliest ({top:.0%})."
        shown = sorted(verdict.scores.items(), key=lambda item: -item[1])[:SHOWN_SCORES]
        return Result(
            output=None if reason else best,
            refusal=Refusal(RefusalCode.NOT_SURE, reason, best) if reason else None,
            text=reason or best,
            confidence=max(top, verdict.none),
            signals=Signals(scores=dict(shown)),
            usage=Usage(seconds=seconds, model_seconds=verdict.model_seconds),
            specialist=self.name,
            model=verdict.model,
            artifacts=verdict.artifacts,
            notes=(verdict.note,) if verdict.note else (),
        )


def head_name(spec: SpecialistSpec) -> str:
    """Return the head that a spec names, or that is there for its capability: `classify.injection` has `injection`."""
    if spec.head:
        return spec.head
    named = (spec.capability or spec.name).removeprefix("classify").removeprefix(".")
    return named if named and (HEADS / f"{named}.npz").is_file() else ""


def labels_in(request: Request) -> list[str]:
    """Return the labels of the input, each once. Raises InputError."""
    given = request.input.get("labels") or []
    if not isinstance(given, list) or not all(isinstance(label, str) and label.strip() for label in given):
        raise InputError(f"`labels` of {request.capability} must be a list of names.")
    labels = list(dict.fromkeys(str(label).strip() for label in given))
    if len(labels) > MAX_LABELS:
        raise InputError(f"{request.capability} takes at most {MAX_LABELS} labels, not {len(labels)}; group them.")
    _check_length(request, labels)
    return labels


def _check_length(request: Request, labels: Sequence[str]) -> None:
    longest = max(map(len, labels), default=0)
    if longest > MAX_LABEL_CHARS:
        raise InputError(
            f"A label of {request.capability} may have {MAX_LABEL_CHARS} characters, not {longest}; shorten it."
        )


def examples_in(request: Request) -> list[tuple[str, str]]:
    """Return the examples of the input as (text, label). Raises InputError."""
    given = request.input.get("examples") or []
    if not isinstance(given, list) or len(given) > MAX_EXAMPLES:
        raise InputError(f"`examples` of {request.capability} must be a list of at most {MAX_EXAMPLES} examples.")
    rows: list[tuple[str, str]] = []
    for example in given:
        match example:
            case {"text": str(text), "label": str(label)}:
                rows.append((text, label))
            case _:
                raise InputError(f"Each of the `examples` of {request.capability} needs a `text` and a `label`.")
    _check_length(request, [label for _, label in rows])
    return rows


def _trim(kept: dict[Any, Any]) -> None:
    """Drop the oldest beyond the bound."""
    while len(kept) > KEPT:
        del kept[next(iter(kept))]


def _verdict(
    scores: Mapping[str, float], none: float, reject: float, note: str, model: Loaded, begun: float
) -> Verdict:
    seconds = time.perf_counter() - begun
    return Verdict(scores, none, reject, note, model.id, model.artifacts, seconds)
