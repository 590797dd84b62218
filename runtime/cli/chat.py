"""`covey chat`: several turns. Ctrl-C stops the answer and not the program; Ctrl-D or `exit` leaves.

Piped input works too: each line is a turn.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Annotated

import typer

from models.errors import ModelsError, NotInstalled
from models.types import Json
from runtime import paths
from runtime.asker import asked_by
from runtime.asking import Answer, Ask
from runtime.cli import given, render
from runtime.cli.owner import owner_here
from runtime.cli.paper import aside, streamed
from runtime.cli.running import run_in
from runtime.cli.starter import Starter
from runtime.errors import CoveyError
from runtime.history import Turn, fit
from runtime.node import Node
from runtime.running import RunningNode, nearest_node

HISTORY_TOKENS = 1200
"""Of the starter model's 2,048 tokens of context; the rest is for the new question and the answer."""
HELP = (
    "Write what you want. /clear forgets the conversation, /trace says where the last answer's trace is, exit leaves."
)
LEAVE = frozenset({"exit", "quit", "/exit", "/quit"})

app = typer.Typer()


@app.command()
def chat(
    label: given.LabelName = "",
    tier: given.TierName = "home",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with all turns at the end, and nothing else.")
    ] = False,
) -> int:
    """Talk in several turns; Ctrl-C stops an answer, Ctrl-D or exit leaves."""
    pattern = Ask("", label=given.label_of(label), ceiling=given.tier_of(tier), conversation=True)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        talk: Conversation | None = None
        try:
            node, starter = run_in(runner, _open(stack))
            talk = Conversation(node, starter, pattern, silent=as_json)
            if sys.stdin.isatty() and not as_json:
                aside(HELP)
            _converse(runner, talk)
        finally:
            if talk is not None:
                run_in(runner, talk.forget_state())
            run_in(runner, stack.aclose())
    if as_json:
        print(json.dumps({"turns": talk.spoken}))
    return 0


async def _open(stack: AsyncExitStack) -> tuple[Node | RunningNode, Starter]:
    home = paths.ensure_home(paths.home())
    starter = Starter(home)
    node = await stack.enter_async_context(nearest_node(home))
    if not (starter.would_fetch and await node.elsewhere(Ask("Hello.", conversation=True))):
        await starter.ensure(computed=False)
    return node, starter


def _converse(runner: asyncio.Runner, talk: Conversation) -> None:
    """Take turns until the input ends."""
    for line in _lines():
        if line.lower() in LEAVE:
            return
        if line.startswith("/"):
            run_in(runner, talk.command(line))
            continue
        try:
            run_in(runner, talk.turn(line))
        except KeyboardInterrupt:
            aside("", "(stopped)")
        except (CoveyError, ModelsError) as error:
            talk.failed(line, error)


def _lines() -> Iterator[str]:
    """Yield what is typed, without empty lines."""
    prompt = "> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = given.read_line(prompt).strip()
        except EOFError:
            if prompt:
                aside("")
            return
        except KeyboardInterrupt:
            aside("", "Ctrl-D or exit leaves.")
            continue
        if line:
            yield line


class Conversation:
    """The turns so far, and where they are answered."""

    def __init__(self, node: Node | RunningNode, starter: Starter, pattern: Ask, *, silent: bool) -> None:
        """`pattern` is what every turn has in common."""
        self.history: tuple[Turn, ...] = ()
        self.spoken: list[Json] = []
        """What `--json` prints: one object a turn."""
        self._node = node
        self._starter = starter
        self._pattern = pattern
        self._silent = silent
        self._id = _new_id()
        self._last: Answer | None = None

    async def turn(self, text: str) -> None:
        """Answer one turn. What was stopped or failed leaves no trace in the history."""
        history = fit(self.history, HISTORY_TOKENS)
        asked = replace(self._pattern, text=text, history=history, conversation_id=self._id)
        try:
            with asked_by(owner_here(paths.home())):
                answer = await (self._node.ask(asked) if self._silent else streamed(self._node, asked))
        except NotInstalled as error:
            raise self._starter.missing_models(error) from error
        self._last = answer
        said = answer.result.text or (answer.result.refusal.found if answer.result.refusal else "")
        if said:
            self.history = (*self.history, Turn("user", text), Turn("assistant", said))
        self.spoken.append({"text": text, **render.answer_object(answer)})
        if not self._silent and sys.stderr.isatty():
            aside(*answer.notes, render.byline(answer))

    def failed(self, text: str, error: CoveyError | ModelsError) -> None:
        """Say what went wrong; the conversation goes on."""
        self.spoken.append({"text": text, "error": {"code": error.code, "message": str(error)}, "status": "failed"})
        if not self._silent:
            aside(str(error))

    async def forget_state(self) -> None:
        """Remove what models kept of this conversation between its turns."""
        with suppress(CoveyError, OSError):  # a node that is gone, or older, keeps nothing
            await self._node.forget(self._id)

    async def command(self, line: str) -> None:
        match line.split()[0].lower():
            case "/help":
                aside(HELP)
            case "/clear":
                await self._clear()
            case "/trace":
                aside(f"covey traces show {self._last.task_id}" if self._last else "There is no answer yet.")
            case _:
                aside(f"There is no such command. {HELP}")

    async def _clear(self) -> None:
        self.history = ()
        await self.forget_state()
        self._id = _new_id()
        aside("The conversation is forgotten; the next turn begins a new one.")


def _new_id() -> str:
    return secrets.token_hex(16)
