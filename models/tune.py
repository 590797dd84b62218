"""Decides how a model runs best on this device: which settings are tried, and which of the measured ones is kept.

Pure: measuring is in models/tuner.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.tuned import Speed, Trial, Tuned

DEFAULT_BOUND = 0.02
"""Share by which perplexity may grow: what the fastest harmless layout costs; the next ones cost 20 % and more."""
LARGEST_BOUND = 1.0

PROMPT_TOKENS = 300
ANSWER_TOKENS = 60
"""Tokens of a usual request: an instruction with a paragraph or two, and a few sentences for an answer. Half of these
are taken to be written alone, half beside seven other answers."""
WORTHWHILE = 0.03
"""Share of a request's time that a change must save: less is within what measurements differ by."""

ROWS = (512, 256, 128)
"""Steps of a prompt that are tried, the default first."""

LAYOUTS: Mapping[str, float] = {
    "bf16": 16.1,
    "f16": 16.1,
    "q8_0": 8.5,
    "q6_k": 6.6,
    "q4_k_m": 4.9,
    "iq4_nl": 4.6,
    "q4_0": 4.6,
}
"""Layouts that are tried, with the bits that a weight takes (all tensors together, roughly). Those of 16 bits lose
next to nothing of any file; a processor that multiplies them by itself need not unpack them for every row of a step."""
_SAME_AS: Mapping[str, str] = {"q4_k": "q4_k_m"}
"""Tensor type, as a file names it, to the layout that is mostly of it."""

SIZE_MARGIN = 1.5
"""A made file may be larger than its bits say: the vocabulary's table keeps more of them."""


def layouts_to_try(tensor_types: Mapping[str, int]) -> tuple[str, ...]:
    """Return the layouts worth trying for weights of these types (type to number of tensors)."""
    weights = {name.lower(): count for name, count in tensor_types.items() if name != "f32"}  # f32: the norms
    most = max(weights, key=lambda name: weights[name], default="")
    return tuple(layout for layout in LAYOUTS if layout != _SAME_AS.get(most, most))


def size_bound(layout: str, parameters: int) -> int:
    """Return the most bytes that the layout takes."""
    return int(parameters * min(LAYOUTS[layout] * SIZE_MARGIN, max(LAYOUTS.values())) / 8)


def thread_counts(most: int) -> tuple[int, ...]:
    """Return the numbers of threads to try: all that may be used, one less, and half of them."""
    return tuple(sorted({most, max(1, most - 1), max(1, most // 2)}, reverse=True))


def seconds(speed: Speed) -> float:
    """Return what a usual request takes."""
    alone_s = 1 / speed.decode_tokens_s
    beside_s = 1 / speed.together_tokens_s if speed.together_tokens_s else alone_s
    return PROMPT_TOKENS / speed.prompt_tokens_s + ANSWER_TOKENS * (alone_s + beside_s) / 2


def fastest(speeds: Sequence[Speed]) -> Speed:
    """Return the best settings; the first ones stay unless others save a worthwhile part."""
    best = speeds[0]
    for speed in speeds[1:]:
        if seconds(speed) < seconds(best) * (1 - WORTHWHILE):
            best = speed
    return best


def growth(trial: Trial, shipped: Trial) -> float | None:
    """Return the share by which perplexity grew; None where the trial failed."""
    if trial.perplexity is None or not shipped.perplexity:
        return None
    return trial.perplexity / shipped.perplexity - 1


def allowed(trial: Trial, shipped: Trial, bound: float) -> bool:
    """Return whether a layout is as good as it must be."""
    grown = growth(trial, shipped)
    return grown is not None and grown <= bound


def choose(trials: Sequence[Trial], bound: float) -> Trial:
    """Return the fastest layout within the bound; the first trial is that of the weights as shipped."""
    best, shipped = trials[0], trials[0]
    for trial in trials[1:]:
        if trial.speed is None or best.speed is None or not allowed(trial, shipped, bound):
            continue
        if seconds(trial.speed) < seconds(best.speed) * (1 - WORTHWHILE):
            best = trial
    return best


def confirmed(trial: Trial, shipped_again: Speed) -> bool:
    """Return whether a layout is still faster than the weights as shipped, measured once more at the end.

    On a device that was busy at the start and idle later, any later layout would look faster; and where other
    programs come and go, it must win before that measurement and after it.
    """
    return trial.speed is not None and seconds(trial.speed) < seconds(shipped_again) * (1 - WORTHWHILE)


def settings_said(tuned: Tuned) -> str:
    """Return what a tuning chose, in words: `q6_k, 2 threads, steps of 512 tokens`."""
    return f"{tuned.layout}, {tuned.threads} thread{'s' * (tuned.threads > 1)}, steps of {tuned.rows} tokens"


def verdict(trial: Trial, tuned: Tuned) -> str:
    """Return in a few words what became of a layout."""
    if trial.failure:
        return trial.failure
    if trial.layout == tuned.layout:
        return "kept"
    if not allowed(trial, tuned.before, tuned.bound):
        return "costs too much quality"
    kept = next((other.speed for other in tuned.trials if other.layout == tuned.layout), None)
    if trial.speed is None or kept is None or seconds(trial.speed) >= seconds(kept):
        return "slower than the one kept"
    return "hardly faster" if seconds(trial.speed) >= seconds(kept) * (1 - WORTHWHILE) else "gain not confirmed"
