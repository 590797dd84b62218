"""Calculate exactly: arithmetic, percentages, roots, lists of numbers, in signs or in words."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from fractions import Fraction

from models.arithmetic import Call, Node, Number, Unreadable, Unworkable, evaluate
from models.errors import InputError
from models.numerals import decimal_text, rounded_text, shown
from models.specialists.exact import Found, given_text, one_result
from models.specialists.phrases import asks_plainly, stripped, understood
from models.specialists.runner import Runner
from models.types import Chunk, Json, Request, Result

_EXACT_FRACTION_DIGITS = 400
"""Longest fraction that is given in `exact`; above it, `exact` is empty."""
_LONGEST_REQUEST = 400
"""Characters; a longer text is not a bare calculation."""
_OTHER_MEANING = re.compile(
    r"\d([-/.])\d+\1\d"  # dates, versions, addresses, telephone numbers
    r"|\b\d{3}-\d{3,4}\b|\+\d{2,}|\b0\d{2,}"  # telephone numbers
    r"|\b(?:19|20)\d\d-(?:19|20)?\d\d\b"  # years
    r"|\b\d+[.:]\d+:\d|\d:\d"  # times and ratios
)
_IDIOMS = frozenset("9/11 24/7 50/50 20/20 4/20 7/11 80/20 60/40 70/30 5/7 9-5 9-11 7-11 4x4 2x4 6x6 8x8 50-50".split())
_TIGHT_PAIR = re.compile(r"(\d+)([-/xX])(\d+)")


class Calculate(Runner):
    """The specialist. `input` is {"expression": str}."""

    def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        return one_result(self.name, lambda: calculated(given_text(request, "expression")))


def calculated(expression: str) -> Found:
    """Return the value of an expression. Raises InputError with the reason when it has none."""
    body, _ = stripped(expression)
    formula = understood(body)
    value = evaluate(formula.tree)
    text, whole = shown(value.number, exact=value.exact)
    fraction = str(value.number) if value.exact else ""
    output: dict[str, Json] = {"value": text, "exact": fraction if len(fraction) <= _EXACT_FRACTION_DIGITS else ""}
    sentence = f"{body} {'=' if whole else '≈'} {_money(formula.currency, text, value.number)}"
    return Found(output, sentence)


def _money(currency: str, text: str, number: Fraction) -> str:
    """Return the amount with its sign, and in cents where the exact amount has more decimals."""
    if not currency:
        return text
    amount = f"-{currency}{text[1:]}" if text.startswith("-") else currency + text
    decimal = decimal_text(number)
    places = len(decimal.partition(".")[2]) if decimal is not None else 3
    if places <= 2:
        return amount + "0" * (places == 1)
    cents = Fraction(round(number * 100), 100)
    return f"{amount} (about {currency}{rounded_text(abs(cents), 20)})" if number >= 0 else amount


def claim(text: str) -> dict[str, Json] | None:
    """Return the input for `calculate` when the whole text is one calculation, else None.

    A calculation without a result (1/0) is claimed too: the sentence that says why is the right answer.
    """
    if len(text) > _LONGEST_REQUEST:
        return None
    body, verb = stripped(text)
    if not body or _means_something_else(body, verb):
        return None
    try:
        formula = understood(body)
        evaluate(formula.tree)
    except Unreadable:
        return None
    except (Unworkable, InputError):
        return {"expression": body}
    return {"expression": body} if _is_work(formula.tree) else None


def _is_work(tree: Node) -> bool:
    """A lone number, sign or percentage asks nothing."""
    if isinstance(tree, Number):
        return False
    if tree.operation in ("negate", "percent"):
        inner = tree.arguments[0]
        return isinstance(inner, Call) and _is_work(inner)
    return True


def _means_something_else(body: str, verb: str) -> bool:
    """Dates, telephone numbers, versions, scores and idioms look like arithmetic but seldom are."""
    if _OTHER_MEANING.search(body):
        return True
    if body.endswith("!") and not re.fullmatch(r"\d{1,3}!", body):
        return True
    tight = _TIGHT_PAIR.fullmatch(body)
    if tight is None:
        return not verb and not re.search(r"\w\s*[+*×÷^²³√%·/!]|\w\s+[-−–]\s|[a-z]{3}|√", body, re.IGNORECASE)
    return _pair_is_doubtful(body, int(tight[1]), tight[2], int(tight[3]), verb)


def _pair_is_doubtful(body: str, left: int, sign: str, right: int, verb: str) -> bool:
    if asks_plainly(verb):
        return False
    if not verb or body.lower() in _IDIOMS:
        return True
    match sign:
        case "-":
            return left < right
        case "/":
            return right != 0 and left % right != 0 and max(left, right) <= 31
        case _:
            return max(left, right) > 99
