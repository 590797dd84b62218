"""Hides what tells who and where in a text before it leaves, so that the answer can be put right again.

Detectors run over the same text and their findings are joined; each piece becomes a placeholder
that is the same wherever the piece stands. Code and secrets are not hidden but block the text: it
stays here. Nothing in this module sends, reads a file or remembers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from hub.code import holds_code
from hub.details import details, languages, listed
from hub.errors import TextTooLong
from hub.identifiers import identifiers
from hub.keys import keys
from hub.placeholders import lookalikes
from hub.spans import Kind, Span, joined
from hub.vault import MAX_VALUES, Vault

MAX_CHARS = 200_000
"""Of one text, about a second of search. Least context goes to a hub; more than this is not that."""


class NameFinder(Protocol):
    """Finds names of people, places, addresses and organisations."""

    def find(self, text: str) -> Sequence[Span]: ...


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text that may be shown to the owner and then sent, unless something blocks it."""

    text: str
    """With placeholders; empty when the text is blocked, so that a careless caller sends nothing."""
    spans: tuple[Span, ...]
    """What was found, in places of the text as it came in."""
    vault: Vault
    blocked: tuple[str, ...]
    """Sentences that say why the text must stay here; none of them quotes it."""

    @property
    def sendable(self) -> bool:
        return not self.blocked


def redact(
    text: str, *, words: Sequence[str] = (), names: NameFinder | None = None, vault: Vault | None = None
) -> Redaction:
    """Return the text with everything personal replaced; `vault.restore` undoes it letter by letter.

    Give the vault of the request's other texts, and the same person has the same placeholder in all
    of them. Raises TextTooLong.
    """
    if len(text) > MAX_CHARS:
        raise TextTooLong(
            f"A text of {len(text)} characters is too long to check (at most {MAX_CHARS}); send less of it."
        )
    kept = Vault() if vault is None else vault
    spans = detect(text, words=words, names=names)
    if len(kept) + len(spans) > MAX_VALUES:
        raise TextTooLong(f"The text has {len(spans)} things to hide (at most {MAX_VALUES}); send less of it.")
    blocked = blocks(text, spans)
    return Redaction("" if blocked else hidden(text, spans, kept), spans, kept, blocked)


def detect(text: str, *, words: Sequence[str] = (), names: NameFinder | None = None) -> tuple[Span, ...]:
    """Return every piece of the text that must not leave, in order and apart from each other."""
    guessed = [*details(text), *(names.find(text) if names is not None else ())]
    plain = {(span.start, span.end) for span in languages(text)}
    kept = [span for span in guessed if span.sure or (span.start, span.end) not in plain]
    found = [*keys(text), *identifiers(text), *kept, *listed(text, words)]
    return trimmed(text, joined([*found, *lookalikes(text)]))


def blocks(text: str, spans: Sequence[Span]) -> tuple[str, ...]:
    """Return why the text must stay here: it holds a secret, or code."""
    reasons = []
    secrets = sum(span.kind is Kind.SECRET for span in spans)
    if secrets:
        what = "a key, token or password" if secrets == 1 else f"{secrets} keys, tokens or passwords"
        reasons.append(f"The text holds {what}; take it out, or ask on this device.")
    if holds_code(text):
        reasons.append("The text holds program code; take it out, or ask on this device.")
    return tuple(reasons)


def hidden(text: str, spans: Sequence[Span], vault: Vault) -> str:
    """Return the text with each span as a placeholder of the vault."""
    out: list[str] = []
    at = 0
    for span in spans:
        out += [text[at : span.start], vault.hide(span.kind, text[span.start : span.end])]
        at = span.end
    return "".join([*out, text[at:]])


def trimmed(text: str, spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return the spans without white space at their ends, so that a value is the same wherever it stands."""
    out = []
    for span in spans:
        piece = text[span.start : span.end]
        start = span.start + len(piece) - len(piece.lstrip())
        end = span.end - len(piece) + len(piece.rstrip())
        if start < end:
            out.append(replace(span, start=start, end=end))
    return tuple(out)
