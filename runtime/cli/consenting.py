"""Puts the question whether something may leave to the owner at the terminal: before, after, the exact bytes."""

from __future__ import annotations

import asyncio
import sys

from hub.consent import PATIENCE_S, Asker, Question, Reply
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
NOBODY = "Nobody answered, so nothing was sent."


def asker() -> Asker | None:
    """Return what puts questions to the owner here, one after the other; None where there is no terminal."""
    if sys.stdin is None or not sys.stdin.isatty() or not sys.stderr.isatty():
        return None
    turn = asyncio.Lock()

    async def ask(question: Question) -> Reply:
        async with turn:
            return await at_terminal(question)

    return ask


async def at_terminal(question: Question, within_s: float = PATIENCE_S) -> Reply:
    """Show what would leave and return what the owner answers; anything unclear is no.

    Raises NoConsent where nobody answers in time.
    """
    for line in described(question):
        _say(line)
    try:
        async with asyncio.timeout(within_s):
            return await _reply(question)
    except TimeoutError as error:
        _say("")
        raise NoConsent(NOBODY) from error


async def _reply(question: Question) -> Reply:
    for _ in range(TRIES):
        print(ASKS, end="", file=sys.stderr, flush=True)
        typed = await _line()
        if not typed:
            raise NoConsent(NOBODY)
        said = typed.strip().casefold()
        if said == "b":
            _say(as_sent(question.body))
        elif said in ANSWERS:
            return ANSWERS[said]
    return Reply.NO


async def _line() -> str:
    """Return the next line that is typed; empty at the end of the input.

    Whoever stops waiting (Ctrl-C, the deadline) leaves no reader behind that would swallow the next line.
    """
    loop, typed = asyncio.get_running_loop(), asyncio.Event()
    try:
        handle = sys.stdin.fileno()
        loop.add_reader(handle, typed.set)
    except (OSError, ValueError, NotImplementedError):  # Windows, or no terminal but a file
        return await asyncio.to_thread(sys.stdin.readline)
    try:
        await typed.wait()
    finally:
        loop.remove_reader(handle)
    return sys.stdin.readline()  # a terminal gives whole lines, so this does not wait


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
