"""From the messages of a request to the tokens of its prompt, by the model's own template."""

from __future__ import annotations

import contextlib
from typing import Any

from models.backend import Message
from models.engine.cells import common_prefix
from models.engine.counting import about
from models.engine.library import Vocabulary
from models.engine.template import FALLBACK, ChatTemplate
from models.errors import ContextOverflow, TemplateError

SURE_CHARS = 16
"""A prompt of so many characters for each token of the context is far too long, unless most of it is white space."""

Frame = dict[str, Any]


class Prompts:
    """The prompts of one model, of at most `limit` tokens. Raises TemplateError, also where a template is hostile."""

    def __init__(self, vocabulary: Vocabulary, template: str | None, *, limit: int) -> None:
        self._vocabulary = vocabulary
        self._limit = limit
        bos = vocabulary.bos
        self._template = ChatTemplate(
            template or FALLBACK,
            bos=vocabulary.name(bos) if bos is not None else "",
            eos=vocabulary.name(vocabulary.eos),
        )
        self._template.render([Message("user", "probe")])  # a hostile one fails here, not in a request
        self.end = self._end_of_turn()
        """The token that stands behind an answer."""

    def count(self, text: str) -> int:
        """Return the number of tokens of a plain text."""
        return len(self._vocabulary.tokens(text, control=False))

    def made(self, message: Frame) -> tuple[list[int], int]:
        """Return the prompt of a request, and how many tokens it begins with that come from the specialist.

        Raises ContextOverflow, without reading all of it, where it is far too long: that would keep others waiting.
        """
        self._refuse_overlong("\n".join([*(text for _, text in message["messages"]), str(message["prefill"])]))
        prompt = self._tokens(message)
        own = int(message["own_messages"])
        if not own:
            return prompt, 0
        other = {"messages": [*message["messages"][:own], ["user", "\x00"]]}  # whatever the user writes
        return prompt, common_prefix(prompt, self._tokens(other))

    def _refuse_overlong(self, text: str) -> None:
        if len(text) <= SURE_CHARS * self._limit:
            return
        tokens = about(text, self.count, enough=2 * self._limit)
        if tokens > 2 * self._limit:
            raise ContextOverflow(
                f"The prompt has about {tokens} tokens, more than the context of {self._limit} tokens. "
                "Shorten the text."
            )

    def _tokens(self, message: Frame) -> list[int]:
        tokens: list[int] = []
        for part in self._template.render([Message(role, text) for role, text in message["messages"]]):
            tokens += self._vocabulary.tokens(part.text, control=part.control)
        if message.get("prefill"):
            tokens += self._vocabulary.tokens(str(message["prefill"]), control=False)
        bos = self._vocabulary.bos
        if bos is not None and tokens[:1] != [bos]:
            tokens.insert(0, bos)
        return tokens

    def _end_of_turn(self) -> int:
        """In some models a text as a whole ends with another token than an answer."""
        written: list[int] = []
        with contextlib.suppress(TemplateError):  # it takes no conversation that ends with an answer
            written = self._tokens({"messages": [["user", "probe"], ["assistant", "probe"]]})
        return next(filter(self._vocabulary.ends, reversed(written)), self._vocabulary.eos)
