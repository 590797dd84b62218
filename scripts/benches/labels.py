"""Twenty labels: weighed by their token trie, against writing one of them under a constraint."""

from __future__ import annotations

import time

from models.backend import Constraint, GenerateCall, Message, whole
from scripts.benches import texts
from scripts.benches.figures import Report, alone, compared
from scripts.benches.setup import Setup, say

ABOUT = "20 labels: probabilities of all by trie, against one of them written greedily"
SIDES = ("by trie", "written")
LABELS = (
    "weather forecast, train ticket, restaurant booking, bank transfer, lost card, exchange rate, alarm clock, "
    "shopping list, to-do list, play music, stop music, set timer, light on, light off, room temperature, "
    "translate text, spell a word, tell a joke, travel alert, flight status"
).split(", ")


async def run(setup: Setup) -> Report:
    rounds = setup.count(10, 100)
    trie: list[float] = []
    written: list[float] = []
    agree = 0
    async with setup.loaded() as model:
        for number in range(rounds):
            asked = f"Request: {texts.filler(24, number)}\nWhich of these is it? {', '.join(LABELS)}"
            messages = (Message("user", asked),)
            warmer = GenerateCall(messages, 1)
            await whole(model.generate(warmer))  # both find the prompt's state ready
            began = time.perf_counter()
            weights = await model.score(messages, LABELS)
            trie.append(time.perf_counter() - began)
            began = time.perf_counter()
            call = GenerateCall(messages, 16, constraint=Constraint("choice", list(LABELS)))
            said = (await whole(model.generate(call))).text
            written.append(time.perf_counter() - began)
            agree += LABELS[max(range(len(LABELS)), key=weights.__getitem__)] == said
    say(f"the best label is the written one in {agree} of {rounds}")
    rows = (
        compared("one text", "s", (trie, written), "lower"),
        alone("the same label", "share", [agree / rounds]),
    )
    note = "The trie gives a probability for every label; writing gives one label and no measure for the others."
    return Report("labels", ABOUT, rows, SIDES, {"labels": len(LABELS), "rounds": rounds}, (note,))
