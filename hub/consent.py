"""What the owner said about letting things go: standing rules, and the question where none answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Literal

from hub.errors import NoConsent
from hub.files import FOLDER, Kept
from models.types import Label
from peers.policy import Place

FILE = "rules.json"
MAX_RULES = 500
PATIENCE_S = 180.0
"""Seconds that a question waits for the owner: time to read what would go. Silence is no."""

Word = Literal["allow", "never"]
ANY = ""


class Reply(Enum):
    """What the owner answers."""

    ONCE = "once"
    THIS_KIND = "this kind"
    """From now on, for this label, this kind of work and this hub."""
    NO = "no"
    NEVER = "never"
    """Not this kind, from now on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A standing answer."""

    word: Word
    label: Label
    """As the text was before redaction."""
    capability: str
    """Kind of work; empty: every kind."""
    hub: str
    """Name of the hub; empty: every hub."""
    via: str = ""
    """Node id of the paired device that it is behind: another device of the same name is asked about anew."""


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All standing answers, oldest first."""

    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to go, and where."""

    label: Label
    """As the text was before redaction."""
    capability: str
    hub: str
    place: Place
    via: str = ""
    """Node id of the paired device that the hub is behind; empty: it is the owner's own."""


@dataclass(frozen=True, slots=True)
class Question:
    """All that the owner needs to decide."""

    wish: Wish
    before: tuple[str, ...]
    """The texts as they are here."""
    after: tuple[str, ...]
    """The same texts as they would go."""
    body: bytes
    """Exactly what would be sent."""
    cost: float
    """The most that it can cost; 0 where it is free."""
    reason: str
    """Why it is to go at all."""


Asker = Callable[[Question], Awaitable[Reply]]
"""Puts the question to the owner. Raises NoConsent where nobody can be asked."""


def standing(rules: tuple[Rule, ...], wish: Wish) -> Word | None:
    """Return the standing answer to a wish: `never` beats `allow`, whichever was said last; None: ask.

    What is sensitive goes only when the owner says so each time.
    """
    words = {rule.word for rule in rules if _applies(rule, wish)}
    if "never" in words:
        return "never"
    return "allow" if "allow" in words and wish.label < Label.SENSITIVE else None


def permission(rules: tuple[Rule, ...], wish: Wish, ceiling: Label) -> Word | None:
    """Return whether a wish is settled without asking; None: ask.

    A machine of the owner's may be given what it may see (`ceiling`) without a word, as the other devices may.
    """
    word = standing(rules, wish)
    return "allow" if word is None and wish.place is Place.HOME and wish.label <= ceiling else word


def _applies(rule: Rule, wish: Wish) -> bool:
    """A `never` holds for its label and all above, an `allow` for its label and all below.

    What was allowed of every hub is not allowed of those behind other devices.
    """
    never = rule.word == "never"
    fits = wish.label >= rule.label if never else wish.label <= rule.label
    way = rule.via == wish.via or (never and rule.via == ANY and rule.hub == ANY)
    return fits and way and rule.capability in (ANY, wish.capability) and rule.hub in (ANY, wish.hub)


def with_rule(book: RuleBook, rule: Rule) -> RuleBook:
    """Return the book with a rule; one about the same things is replaced."""
    others = [known for known in book.rules if replace(known, word=rule.word) != rule]
    return RuleBook((*others, rule)[-MAX_RULES:])


def without(book: RuleBook, hub: str) -> RuleBook:
    """Return the book without what was said about a hub; one that comes back under its name is asked about anew."""
    return RuleBook(tuple(rule for rule in book.rules if rule.hub != hub or rule.via))


async def nobody(question: Question) -> Reply:
    """Stand in for an owner who can't be asked."""
    raise NoConsent(
        f"{question.wish.hub} may not be used for this without asking you, and there is no terminal to ask on. Allow "
        f"it with `covey hub allow {question.wish.hub}`, or ask in a terminal."
    )


class Rules:
    """The standing answers in their file. Calls block for the disk and raise HubBookError."""

    def __init__(self, home: Path) -> None:
        self._kept: Kept[RuleBook] = Kept(home / FOLDER / FILE, RuleBook, RuleBook)

    def all(self) -> tuple[Rule, ...]:
        return self._kept.read().rules

    def add(self, rule: Rule) -> None:
        """Keep a standing answer."""
        self._kept.change(lambda book: with_rule(book, rule))

    def forget(self, hub: str) -> None:
        """Drop all that was said about a hub."""
        self._kept.change(lambda book: without(book, hub))


def rule_of(reply: Reply, wish: Wish) -> Rule | None:
    """Return the rule that a reply makes; None where it is for once."""
    words: dict[Reply, Word] = {Reply.THIS_KIND: "allow", Reply.NEVER: "never"}
    word = words.get(reply)
    return None if word is None else Rule(word, wish.label, wish.capability, wish.hub, wish.via)
