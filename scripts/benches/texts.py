"""Prompts of a wanted size, made of common words by a seeded draw: the same on every run, cached by nobody."""

from __future__ import annotations

import random

WORDS = (
    "the river table quiet morning copper garden seven letter window answer yellow market doctor simple bridge "
    "water number family winter kitchen paper little train school evening music orange silver friend island "
    "summer history village corner engine blanket mountain record travel second circle picture modern weather"
).split()
TOKENS_PER_WORD = 1.15
"""Of this list with its punctuation, in the vocabularies at hand."""
ASKS = (
    "Describe what a lighthouse is for.",
    "Explain why leaves change their colour.",
    "Tell me how bread is baked.",
    "Describe a day at the sea.",
    "Explain how a bicycle stays upright.",
    "Tell me what a library offers.",
    "Describe how rain is made.",
    "Explain what a compass does.",
)

SUBJECTS = ("lighthouse", "travelling doctor", "silver engine", "mountain village", "lost letter", "copper bridge")


def filler(tokens: int, seed: int) -> str:
    """Return sentences of about so many tokens."""
    draw = random.Random(seed)
    words = [draw.choice(WORDS) for _ in range(int(tokens / TOKENS_PER_WORD))]
    return " ".join(word.capitalize() + "." if n % 12 == 11 else word for n, word in enumerate(words))


def question(number: int) -> str:
    """Return a short request, different for each number."""
    return f"{ASKS[number % len(ASKS)]} Mention the number {number}."


def story(number: int) -> str:
    """Return a request for a long answer, different for each number; small models end short ones early."""
    return f"Write a very long story about a {SUBJECTS[number % len(SUBJECTS)]}. It begins in the year {1000 + number}."


def system(tokens: int, seed: int) -> str:
    return f"You are assistant {seed}. You answer in plain sentences. Keep in mind: {filler(tokens - 20, seed)}"
