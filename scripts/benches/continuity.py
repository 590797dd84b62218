"""A device is killed, or falls silent, while it writes: is the answer whole, the same, and how long was the pause?"""

from __future__ import annotations

import random
from collections.abc import Sequence

from scripts.benches.figures import Report, Row, alone
from scripts.benches.losses import Heir, Household, Loss, Round, household
from scripts.benches.setup import Setup, say

ABOUT = "a device is lost at a random token of its answer, and another goes on with it"
PROMPTS = (
    "What is the capital of France?",
    "Write two sentences about the sea.",
    "Write a haiku about autumn.",
    "Explain what a heat pump does in two sentences.",
    "What is a fox?",
)
"""Their answers end by themselves, within some 20 to 140 tokens."""
SEED = 5
BARS_S: dict[Loss, float] = {"killed": 1.0, "silent": 5.0}
"""The longest pause of a reader besides reading: a broken connection is known at once, silence after three seconds."""
LOSSES: dict[Loss, str] = {"killed": "a kill", "silent": "silence"}
HEIRS: dict[Heir, str] = {"this device": "this device goes on", "attic": "a third device goes on"}


async def run(setup: Setup) -> Report:
    kills, silences = setup.count(5, 100), setup.count(2, 10)
    async with household(setup.home, setup.model) as home:
        rounds = await lose_all(home, plan(kills, silences))
    equal = sum(one.equal for one in rounds)
    rows = [
        alone("answers whole and equal to undisturbed ones", f"of {len(rounds)}", [equal], "higher", bar=len(rounds))
    ]
    for loss in LOSSES:
        for heir in HEIRS:
            rows += pauses(loss, heir, [one.beyond_s for one in rounds if (one.loss, one.heir) == (loss, heir)])
    return Report(
        "continuity",
        ABOUT,
        tuple(rows),
        settings={"kills": kills, "silences": silences, "model": setup.model, "reproducible": True, "seed": SEED},
        notes=(
            f"{equal} of {len(rounds)} answers are whole and equal the undisturbed ones, token for token. The token "
            f"at which the device was lost is drawn from all of the answer: {_spread_of(rounds)}.",
            "A pause is the longest that the reader waited for anything after the loss, less the time that this "
            "device needs from the question to its first token alone.",
        ),
    )


def plan(kills: int, silences: int) -> list[tuple[Loss, Heir]]:
    """Return what is lost and who goes on: half of each with this device alone, then half with a third device up."""
    heirs: dict[Heir, dict[Loss, int]] = {
        "this device": {"killed": kills - kills // 2, "silent": silences - silences // 2},
        "attic": {"killed": kills // 2, "silent": silences // 2},
    }
    return [(loss, heir) for heir, counts in heirs.items() for loss, count in counts.items() for _ in range(count)]


async def lose_all(home: Household, losses: Sequence[tuple[Loss, Heir]]) -> list[Round]:
    """Lose the kitchen so many times, each at a token drawn from the whole answer."""
    chance, rounds = random.Random(SEED), []
    for number, (loss, heir) in enumerate(losses):
        prompt = PROMPTS[number % len(PROMPTS)]
        whole = await home.undisturbed(prompt)
        done = await home.lost(prompt, loss, chance.randint(1, max(1, whole.tokens - 1)), heir)
        rounds.append(done)
        how = f"{'equal' if done.equal else 'NOT EQUAL'}, {done.told.pause_s:.2f} s of pause, on {done.told.node}"
        say(f"{number + 1} of {len(losses)}: {loss} after {done.after} of {done.whole.tokens} tokens: {how}")
    return rounds


def pauses(loss: Loss, heir: Heir, seconds: Sequence[float]) -> list[Row]:
    """Return the rows of one kind of loss."""
    if not seconds:
        return []
    what = f"pause after {LOSSES[loss]}, {HEIRS[heir]}"
    return [
        alone(what, "s", seconds, "lower"),
        alone(f"… the longest of {len(seconds)}", "s", [max(seconds)], "lower", bar=BARS_S[loss]),
    ]


def _spread_of(rounds: Sequence[Round]) -> str:
    """Return in which part of their answers the devices were lost."""
    thirds = [0, 0, 0]
    for one in rounds:
        thirds[min(2, 3 * one.after // max(1, one.whole.tokens))] += 1
    return "{} times in its first third, {} in its second, {} in its last".format(*thirds)
