"""Arithmetic a second way, for checking: Python's own grammar over fractions, small and bounded.

It shares nothing with the calculator, so that one mistake can't be made twice. What it does not
understand (functions, words it does not know) it declines; it never guesses.
"""

from __future__ import annotations

import ast
import re
from fractions import Fraction

MAX_CHARS = 1000
MAX_EXPONENT = 1000
"""Larger powers grow into millions of digits."""
MAX_DIGITS = 10_000
"""Of a base that is raised to a power."""


class NotArithmetic(Exception):
    """The text is not in a form that can be recomputed."""


_REWRITES = (
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(\d+(?:\.\d+)?)\s*(?:%|percent)\s+of\b", re.IGNORECASE), r"\1/100*"),
    (re.compile(r"\bplus\b", re.IGNORECASE), "+"),
    (re.compile(r"\bminus\b|−|–", re.IGNORECASE), "-"),
    (re.compile(r"\b(?:multiplied\s+by|times)\b|×|·", re.IGNORECASE), "*"),
    (re.compile(r"\b(?:divided\s+by|over)\b|÷", re.IGNORECASE), "/"),
    (re.compile(r"\^"), "**"),
)


def recompute(expression: str) -> Fraction:
    """Return the exact value. Raises NotArithmetic where this second way does not understand the text."""
    if len(expression) > MAX_CHARS:
        raise NotArithmetic("the expression is too long to be computed a second way")
    text = expression.strip()
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, text.strip())
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError) as error:
        raise NotArithmetic("the expression is not in a form that can be computed a second way") from error


def _value(node: ast.expr, text: str) -> Fraction:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return Fraction(ast.get_source_segment(text, node) or "")  # the digits as typed, not the float
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, text)
        case ast.UnaryOp(op=ast.UAdd()):
            return _value(node.operand, text)
        case ast.BinOp():
            return _operate(node.op, _value(node.left, text), _value(node.right, text))
        case _:
            raise NotArithmetic("the expression is not in a form that can be computed a second way")


def _operate(op: ast.operator, left: Fraction, right: Fraction) -> Fraction:
    match op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case ast.Pow() if right.denominator == 1 and abs(right) <= MAX_EXPONENT and _small(left):
            return left ** int(right)
        case _:
            raise NotArithmetic("the expression has an operation that is not computed a second way")


def _small(value: Fraction) -> bool:
    return (abs(value.numerator) + value.denominator).bit_length() < MAX_DIGITS
