"""The way of a request to a hub: policy, redaction, consent, budget, ledger entry, release; all of it for each sending.

`Door.prepared` decides and sends nothing. `Door.let_go` asks the owner, takes off what it can cost, and releases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from hub import chat
from hub.book import PLACES, Destination, Price
from hub.briefs import Brief, messages_of
from hub.budget import Budget, Reservation, Spent
from hub.consent import Asker, Question, Reply, Rules, Wish, rule_of, standing
from hub.errors import Blocked, KeptHere, MeaningLost, NoConsent, NoPrice
from hub.meaning import meaning_lost
from hub.redact import NameFinder, Redaction, blocks, detect, redact
from hub.spans import Kind
from hub.vault import Vault
from models.types import Label
from peers import policy
from peers.ledger import Ledger
from peers.policy import Place
from peers.release import Released, Releaser

NameSeeker = Callable[[Sequence[str]], Awaitable[NameFinder]]
"""Looks for names in texts and returns what finds them there again."""

Form = Callable[[Brief, Label], bytes]
"""Returns a brief as the bytes that would go, under the label that they would go with."""

TEMPLATE_TOKENS = 64
"""What a hub's chat template may add; a token of the body has at least one byte."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What would go to one hub: shown to the owner, and sent only after `let_go`."""

    hub: Destination
    brief: Brief
    """As it would go, with placeholders."""
    wish: Wish
    label: Label
    """Under which it would go."""
    before: tuple[str, ...]
    body: bytes
    """Exactly what would be sent."""
    vault: Vault
    hidden: int
    """Pieces that are placeholders now."""
    most: Spent
    """The most that it can cost."""

    @property
    def is_redacted(self) -> bool:
        return self.label < self.wish.label

    @property
    def needs_consent(self) -> bool:
        """Return whether the owner must agree: always, but for what a machine of the owner's may see anyway."""
        return self.is_redacted or self.wish.place is Place.AWAY


@dataclass(frozen=True, slots=True)
class Sealed:
    """A letter that may be sent, once."""

    letter: Letter
    released: Released[bytes]
    reservation: Reservation


class Door:
    """The only way to a hub from this node."""

    def __init__(
        self,
        ledger: Ledger,
        rules: Rules,
        budget: Budget,
        *,
        words: Sequence[str] = (),
        seek: NameSeeker | None = None,
        bytes_kept: bool = True,
    ) -> None:
        """`words`: the owner's own list of what to hide. `seek` looks for people and places in some texts.

        Without `bytes_kept` the ledger has digest and number of what went only: somebody else's words.
        """
        self._ledger = ledger
        self._releaser = Releaser(ledger)
        self._rules = rules
        self._budget = budget
        self._words = words
        self._seek = seek
        self._bytes_kept = bytes_kept

    async def prepared(
        self, hub: Destination, brief: Brief, *, label: Label, capability: str, seed: int = 0, form: Form | None = None
    ) -> Letter:
        """Return what would go. Takes a second for a long text. `form`: other than a request to the hub itself.

        Raises KeptHere in all its kinds, RedactionError, and what looking for names raises.
        """
        names = None
        if self._seek is not None and hub.ceiling < label < Label.SECRET:
            names = await self._seek([text for text in (*brief.texts, brief.frame) if text])
        as_chat = partial(_as_chat, hub.model, seed)
        return await asyncio.to_thread(
            self._prepared, hub, brief, label=label, capability=capability, names=names, form=form or as_chat
        )

    def _prepared(
        self, hub: Destination, brief: Brief, *, label: Label, capability: str, names: NameFinder | None, form: Form
    ) -> Letter:
        wish = Wish(label, capability, hub.name, PLACES[hub.place], hub.via)
        if standing(self._rules.all(), wish) == "never":
            raise NoConsent(f"You said never for this kind with {hub.name}. `covey hub rules` shows and changes that.")
        price, plain = _price(hub), label <= hub.ceiling
        goes_as = label if plain or label is Label.SECRET else Label.PUBLIC
        verdict = policy.decide(goes_as, capability, hub.recipient())
        if isinstance(verdict, policy.Refuse):
            raise KeptHere(f"Nothing was sent to {hub.name}. {verdict.reason}")
        if plain:
            vault, after, hidden = self._as_it_is(wish, brief), brief, 0
        else:
            vault, after, hidden = self._redacted(brief, names)
        body = form(after, goes_as)
        most = _most(price, body, after)
        return Letter(hub, after, wish, goes_as, brief.texts, body, vault, hidden, most)

    async def let_go(self, letter: Letter, *, task: str, reason: str, ask: Asker) -> Sealed:
        """Return the letter as one that may be sent once. Raises NoConsent, OverBudget, ReleaseRefused, RecordError."""
        await asyncio.to_thread(self._budget.check, task, letter.most)  # before the owner is asked in vain
        await self._agreed(letter, reason, ask)
        return await asyncio.to_thread(self._released, letter, task, reason)

    async def _agreed(self, letter: Letter, reason: str, ask: Asker) -> None:
        """Ask the owner where no standing rule answers."""
        rules = await asyncio.to_thread(self._rules.all)
        match standing(rules, letter.wish):
            case "never":
                raise NoConsent(f"You said never for this kind with {letter.hub.name}, so nothing was sent.")
            case "allow":
                return
            case None if not letter.needs_consent:
                return
        question = Question(letter.wish, letter.before, letter.brief.texts, letter.body, letter.most.money, reason)
        reply = await ask(question)
        rule = rule_of(reply, letter.wish)
        if rule is not None:
            await asyncio.to_thread(self._rules.add, rule)
        if reply in (Reply.NO, Reply.NEVER):
            raise NoConsent(f"You said no, so nothing was sent to {letter.hub.name}.")

    def _released(self, letter: Letter, task: str, reason: str) -> Sealed:
        """Take off the cost and write the entries; blocks for the disk."""
        recipient, why = letter.hub.recipient(), reason
        reservation = self._budget.take(task, letter.most)
        if letter.is_redacted:
            pieces = f"{letter.hidden} piece{'' if letter.hidden == 1 else 's'} hidden, and you agreed"
            self._ledger.record_lowered(letter.body, letter.label, recipient=recipient, reason=f"redacted: {pieces}")
        released = self._releaser.release(
            letter.body,
            letter.label,
            capability=letter.wish.capability,
            recipient=recipient,
            reason=why,
            bytes_kept=self._bytes_kept,
        )
        return Sealed(letter, released, reservation)

    def _as_it_is(self, wish: Wish, brief: Brief) -> Vault:
        """Check that a text may go as it is, and return an empty vault. Keys never go; code only to the owner's own."""
        for text in (*brief.texts, brief.frame):
            spans = detect(text, words=(), names=None)
            reasons = blocks(text, spans)
            if wish.place is Place.HOME and not any(span.kind is Kind.SECRET for span in spans):
                continue
            if reasons:
                raise Blocked(f"Nothing was sent to {wish.hub}. {reasons[0]}")
        return Vault()

    def _redacted(self, brief: Brief, names: NameFinder | None) -> tuple[Vault, Brief, int]:
        vault = Vault()
        found = [redact(text, words=self._words, names=names, vault=vault) for text in brief.texts]
        for redaction in found:
            if redaction.blocked:
                raise Blocked(f"Nothing was sent. {redaction.blocked[0]}")
            _check_meaning(brief.question, redaction)
        if brief.frame and (detect(brief.frame, words=self._words, names=names) or blocks(brief.frame, ())):
            raise Blocked("Nothing was sent. The labels or fields that you gave hold something to hide; rename them.")
        return vault, brief.with_texts([redaction.text for redaction in found]), len(vault)


def _check_meaning(question: str, redaction: Redaction) -> None:
    lost = meaning_lost(question, redaction)
    if lost is not None:
        raise MeaningLost(f"Nothing was sent. {lost}")


def _as_chat(model: str, seed: int, brief: Brief, label: Label) -> bytes:
    """Return a brief as a hub reads it; nothing in it says under which label it goes."""
    return chat.body(model, messages_of(brief), max_tokens=brief.max_tokens, schema=brief.schema, seed=seed)


def _price(hub: Destination) -> Price:
    if hub.price is None:
        raise NoPrice(
            f"What {hub.model!r} costs at {hub.name} is not known, so it is not used. Say it with "
            f"`covey hub add {hub.name} ... --price-in P --price-out P` (0 where it is free)."
        )
    return hub.price


def _most(price: Price, body: bytes, brief: Brief) -> Spent:
    tokens_in = len(body) + TEMPLATE_TOKENS
    money = price.cost(tokens_in, brief.max_tokens)
    return Spent(money, tokens_in + brief.max_tokens, len(body), 1)
