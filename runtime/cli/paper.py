"""Writes an answer to stdout while it is made, and what stands beside it to stderr."""

from __future__ import annotations

import sys
from contextlib import aclosing

from models.types import Chunk
from runtime.asking import Answer, Ask, Restarted
from runtime.cli import render
from runtime.node import Node
from runtime.running import RunningNode


async def streamed(node: Node | RunningNode, asked: Ask) -> Answer:
    """Print an answer and return it: on a terminal as it comes. Raises CoveyError, ModelsError, BrokenPipeError."""
    paper = Paper(live=sys.stdout.isatty())
    async with aclosing(node.stream(asked)) as items:
        async for item in items:
            match item:
                case Chunk():
                    paper.write(item.text)
                case Restarted():
                    paper.void(item.reason)
                case Answer():
                    paper.end(item)
                    return item
    raise AssertionError("a task's stream ended without an answer")


def aside(*lines: str) -> None:
    """Write lines to stderr, dim on a terminal: they are beside the answer, not in it."""
    for line in filter(None, lines):
        text = render.harmless(line)
        print(f"\x1b[2m{text}\x1b[0m" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


class Paper:
    """Standard output, and what stands on it. What is not a terminal gets the answer alone, never one that was void."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._text = ""

    def write(self, text: str) -> None:
        if self._live:
            text = render.harmless(text)
            self._text += text
            print(text, end="", flush=True)

    def void(self, reason: str) -> None:
        self._new_line()
        self._text = ""
        aside(f"That was void and begins again: {reason}")

    def end(self, answer: Answer) -> None:
        """Complete what was streamed: all of it, nothing yet, the beginning of what is not sure, or another try's."""
        self._new_line()
        said = render.spoken(answer.result, self._text)
        if said.strip() != self._text.strip():
            print(said, flush=True)

    def _new_line(self) -> None:
        if self._text and not self._text.endswith("\n"):
            print(flush=True)
