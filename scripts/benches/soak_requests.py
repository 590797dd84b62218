"""The requests of the soak: by its number each is of a kind and a size, the same on every run."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from models.backend import Message
from scripts.benches import texts

Kind = Literal["named", "written", "weighed"]
Got = str | tuple[float, ...]
"""A text, or the probabilities of the labels."""
KINDS: tuple[Kind, ...] = ("named", "named", "written", "written", "written", "weighed")
WORDS = (
    "amber badger cedar dolphin ember falcon ginger hazel indigo jasmine kettle lemon magnet nettle oyster pepper "
    "quartz raven saffron tulip"
).split()
SCHEMA: dict[str, Any] = {"enum": WORDS}
SIZES = ((20, 50, 80), (50, 150, 14), (150, 450, 5), (450, 1150, 1))
"""Least and most tokens of a system prompt that nobody shares, and how many of a hundred are of that size."""
SHARED = ((0, 30, 8), (1, 60, 6), (2, 120, 4), (3, 300, 2), (3, 700, 1), (3, 1100, 1))
"""Which text the shared ones are of, their tokens, and how often each is taken. The last three begin alike."""
SHOWN = ("window", "letter")
LENGTHS = (6, 12, 24, 48)
"""Tokens of a free answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    number: int
    kind: Kind
    messages: tuple[Message, ...]
    tokens: int
    """Most of an answer; of labels that are weighed, none."""
    word: str = ""
    """What it must be answered with, quoted; a `written` one is free."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What a `weighed` one chooses from."""
        return tuple(map(quoted, WORDS))


def asked(number: int) -> Asked:
    """Return the request of this number."""
    draw = random.Random(f"soak {number}")
    kind = draw.choice(KINDS)
    system = Message("system", _system(number, draw))
    if kind == "written":
        return Asked(number, kind, (system, Message("user", texts.question(number))), draw.choice(LENGTHS))
    word = draw.choice(WORDS)
    return Asked(number, kind, (system, *_repeating(word)), 16 if kind == "named" else 0, word)


def quoted(word: str) -> str:
    return f'"{word}"'


def chat_of(one: Asked) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in one.messages]


def form_of(one: Asked) -> dict[str, Any]:
    """Return the fields of a body that say what the answer looks like: of a named one, any of the words."""
    if one.kind != "named":
        return {}
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "word", "schema": SCHEMA}}}


def is_right(one: Asked, got: Got) -> bool:
    """Return whether one that names a word was answered with it."""
    said = got if isinstance(got, str) else one.labels[got.index(max(got))]
    return said == quoted(one.word)


def _repeating(word: str) -> tuple[Message, ...]:
    """Return turns that show what is to be done with other words, and then name this one.

    Where the system prompt is shared the word is all that differs, so that an answer which takes over a token
    too many of another's state takes over the other's word.
    """
    turns = [turn for one in SHOWN for turn in (Message("user", f"Repeat: {one}"), Message("assistant", quoted(one)))]
    return (*turns, Message("user", f"Repeat: {word}"))


def _system(number: int, draw: random.Random) -> str:
    """Return a system prompt that others have as well, or one of its own, half of each."""
    if draw.random() < 0.5:
        [(seed, tokens, _)] = draw.choices(SHARED, [often for *_, often in SHARED])
        return texts.system(tokens, seed)
    [(least, most, _)] = draw.choices(SIZES, [share for *_, share in SIZES])
    return texts.system(draw.randrange(least, most), len(SHARED) + number)
