"""From a constraint to token masks: JSON Schema, regular expression, choice of strings, Lark grammar.

White space in JSON is fixed, so that no model can stall in it. llguidance computes the masks.
"""

from __future__ import annotations

import json
from typing import Any

import llguidance
import numpy as np
from llguidance.llamacpp import lltokenizer_from_vocab
from numpy.typing import NDArray

from models.backend import Constraint
from models.errors import ConstraintError
from models.references import refuse_circles

MAX_GRAMMAR_CHARS = 1_000_000
"""Characters of schema or grammar; more is refused before it is compiled."""

_JSON_OPTIONS: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Constrainer:
    """Compiles constraints for one vocabulary. Building it takes 0.2 to 1.2 s: made once, when first needed."""

    def __init__(self, vocabulary_pointer: Any, size: int, end_token: int) -> None:
        self._tokenizer = lltokenizer_from_vocab(vocabulary_pointer, eos_token=end_token)
        self._size = size

    def matcher(self, constraint: Constraint) -> Matcher:
        """Return a fresh matcher. Raises ConstraintError."""
        grammar = to_grammar(constraint)
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise ConstraintError(
                f"This output can't be enforced: {_first_line(matcher.get_error())}. Correct the schema and ask again."
            )
        return Matcher(matcher, self._size)


def to_grammar(constraint: Constraint) -> str:
    """Return the constraint in llguidance's own form. Raises ConstraintError."""
    value = constraint.value
    try:
        match constraint.kind:
            case "json_schema":
                if not isinstance(value, dict | bool):
                    raise ConstraintError("A JSON Schema must be an object. Correct the schema and ask again.")
                _bounded(json.dumps(value))
                if value is False:
                    raise ConstraintError("No output can satisfy this schema. Correct the schema and ask again.")
                schema = {} if value is True else value
                refuse_circles(schema)
                mine = {**schema, "x-guidance": _JSON_OPTIONS}  # options that a schema brings would go before ours
                return str(llguidance.LLMatcher.grammar_from_json_schema(json.dumps(mine)))
            case "regex":
                return str(llguidance.LLMatcher.grammar_from_regex(_bounded(str(value))))
            case "choice":
                if not isinstance(value, list) or not value:
                    raise ConstraintError("A choice needs at least one string. Add one and ask again.")
                options = " | ".join(json.dumps(str(option)) for option in value)
                return str(llguidance.LLMatcher.grammar_from_lark(_bounded(f"start: {options}\n")))
            case "grammar":
                return str(llguidance.LLMatcher.grammar_from_lark(_bounded(str(value))))
    except (ValueError, RecursionError) as error:
        raise ConstraintError(f"This output can't be enforced: {error}. Correct the schema and ask again.") from error


def _bounded(text: str) -> str:
    if len(text) > MAX_GRAMMAR_CHARS:
        raise ConstraintError(f"The schema has {len(text)} characters, more than {MAX_GRAMMAR_CHARS}. Make it smaller.")
    return text


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:300] if text.strip() else "no reason given"


class Matcher:
    """Where one answer stands inside its constraint."""

    def __init__(self, matcher: llguidance.LLMatcher, size: int) -> None:
        self._matcher = matcher
        self._size = size
        self._words = np.zeros((size + 31) // 32, dtype=np.int32)

    def allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next, shape (vocabulary,). Raises ConstraintError when none may."""
        self._matcher.unsafe_compute_mask_ptr(self._words.ctypes.data, self._words.nbytes)
        self._check()
        bits = np.unpackbits(self._words.view(np.uint8), bitorder="little")[: self._size].view(np.bool_)
        if not bits.any():
            raise ConstraintError("No output can satisfy this schema. Correct the schema and ask again.")
        return bits

    def consume(self, token: int) -> None:
        self._matcher.consume_token(token)
        self._check()

    def forced(self) -> list[int]:
        """Return the tokens that must come next, whatever the model says; they are not yet consumed."""
        return list(self._matcher.compute_ff_tokens())

    def accepted(self, tokens: list[int]) -> int:
        """Return how many of these tokens could follow, one after the other; none is consumed."""
        return int(self._matcher.validate_tokens(tokens))

    @property
    def finished(self) -> bool:
        """True when nothing but the end may follow."""
        return bool(self._matcher.is_stopped())

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ConstraintError(
                f"The output left its schema: {_first_line(self._matcher.get_error())}. Simplify it and ask again."
            )
