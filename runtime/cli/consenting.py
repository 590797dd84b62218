"""Puts the question whether something may leave to the owner at the terminal: before, after, the exact bytes."""

from __future__ import annotations

import asyncio
import sys

from hub.consent import Asker, Question, Reply
from hub.errors import NoConsent
from hub.showing import as_sent, differences
from runtime.cli import render

ANSWERS = {
    "y": Reply.ONCE,
    "yes": Reply.ONCE,
    "k": Reply.THIS_KIND,
    "n": Reply.NO,
    "no": Reply.NO,
    "": Reply.NO,
    "never": Reply.NEVER,
}
ASKS = "Send it?  y this once · k this kind from now on · n no · never this kind · b show the exact bytes  [n] "
TRIES = 5


def asker() -> Asker | None:
    """Return what puts questions to the owner here; None where there is no terminal."""
    return at_terminal if sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() else None


async def at_terminal(question: Question) -> Reply:
    """Show what would leave and return what the owner answers; silence and anything unclear is no."""
    return await asyncio.to_thread(_asked, question)


def _asked(question: Question) -> Reply:
    for line in described(question):
        _say(line)
    for _ in range(TRIES):
        print(ASKS, end="", file=sys.stderr, flush=True)
        try:
            said = input().strip().casefold()
        except EOFError as error:
            raise NoConsent("Nobody answered, so nothing was sent.") from error
        if said == "b":
            _say(as_sent(question.body))
        elif said in ANSWERS:
            return ANSWERS[said]
    return Reply.NO


def described(question: Question) -> list[str]:
    """Return the question, line by line."""
    wish = question.wish
    cost = f", at most {question.cost:.4f} of your money" if question.cost else ""
    return [
        "",
        f"{wish.hub} would be given this ({wish.label.name.lower()}, for {wish.capability}): {question.reason}.",
        f"{len(question.body)} bytes{cost}; it {wish.place.words.replace('left', 'leaves')}.",
        "",
        *differences(question),
        "",
    ]


def _say(line: str) -> None:
    print(render.harmless(line), file=sys.stderr, flush=True)
