"""A calculation written as a person writes it, to a tree: `17.5% of 2,340 plus 12`.

No eval and no ast: a precedence-climbing parser with bounds. Whatever is not understood word for
word is `Unreadable`, so that no request is half understood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from models.arithmetic import Call, Node, Number, Unreadable, Value, call, number
from models.lexer import Lexer, Token

MAX_CHARACTERS = 1000
"""Longest formula; bounds the work before any is done."""
_MAX_TOKENS = 300
"""Most tokens; keeps the tree shallow enough to walk by recursion."""
_MAX_DEPTH = 40
"""Deepest nesting of parentheses, signs and functions."""
_BINARY = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "mod": "modulo"}
_POSTFIX = {"!": "factorial", "squared": "squared", "cubed": "cubed"}


@dataclass(frozen=True, slots=True)
class Formula:
    tree: Node
    currency: str = ""
    """The one currency sign that its numbers carry, or empty."""


def parse(text: str) -> Formula:
    """Return the tree of a formula. Raises Unreadable with the part that was not understood."""
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"The calculation is longer than {MAX_CHARACTERS} characters; split it into parts.")
    lexer = Lexer(text)
    tokens = lexer.tokens()
    if len(tokens) > _MAX_TOKENS:
        raise Unreadable("The calculation has too many parts; split it and calculate the parts one by one.")
    if len(lexer.currencies) > 1:
        raise Unreadable("The amounts are in different currencies; convert them to one and try again.")
    return Formula(_Parser(tokens).whole(), next(iter(lexer.currencies), ""))


class _Parser:
    """Precedence climbing: sum < product < sign < of < power < postfix < atom."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        tree = self._sum()
        if self._peek().kind != "end":
            raise Unreadable(f"{self._peek().text!r} does not fit where it stands; write the calculation with signs.")
        return tree

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _accept(self, *symbols: str) -> str:
        token = self._peek()
        if token.kind == "symbol" and token.text in symbols:
            self._at += 1
            return token.text
        return ""

    def _sum(self) -> Node:
        left = self._product()
        while symbol := self._accept("+", "-"):
            right = self._product()
            if _is_percent(right) and not _is_percent(left):
                raise Unreadable("It is unclear what the percentage is of; write for example 'add 20% to 50'.")
            left = call(_BINARY[symbol], left, right)
        return left

    def _product(self) -> Node:
        left = self._signed()
        while True:
            if symbol := self._accept("*", "/", "mod"):
                left = call(_BINARY[symbol], left, self._signed())
            elif self._peek().text == "%" and self._operand_follows():
                self._next()
                left = call("modulo", left, self._signed())
            elif self._peek().text == "of" and _is_ratio(left):
                self._next()
                left = call("multiply", left, self._signed())
            else:
                return left

    def _signed(self) -> Node:
        symbol = self._accept("-", "+")
        if not symbol:
            return self._share()
        with_sign = self._deeper(self._signed)
        return call("negate", with_sign) if symbol == "-" else with_sign

    def _share(self) -> Node:
        """`17.5% of 2340`, `10% off 80`, `half of 9`: binds tighter than times, so that what follows stays outside."""
        fraction = self._peek().kind == "part"
        left = self._power()
        if not (fraction and isinstance(left, Number)) and not _is_percent(left):
            return left
        if self._accept("of"):
            return call("multiply", left, self._deeper(self._signed))
        if _is_percent(left) and self._accept("off"):
            return call("multiply", call("subtract", number(1), left), self._deeper(self._signed))
        return left

    def _power(self) -> Node:
        base = self._postfix()
        if self._accept("^"):
            return call("power", base, self._deeper(self._signed))
        return base

    def _postfix(self) -> Node:
        node = self._atom()
        while True:
            if symbol := self._accept(*_POSTFIX):
                name = _POSTFIX[symbol]
                squares = {"squared": 2, "cubed": 3}
                node = call("power", node, number(squares[name])) if name in squares else call(name, node)
            elif self._peek().text == "%" and not self._operand_follows():
                self._next()
                node = call("percent", node)
            else:
                return node

    def _atom(self) -> Node:
        token = self._next()
        if token.kind in ("number", "part"):
            return Number(Value(token.value, exact=token.text != "pi"))
        if token.kind == "multiple":
            self._accept("of")
            return call("multiply", number(token.value), self._deeper(self._postfix))
        if token.kind == "function":
            return self._function(token.text)
        if token.text == "(" and token.kind == "symbol":
            inner = self._deeper(self._sum)
            self._close()
            return inner
        raise Unreadable(f"A number is missing before {token.text!r}; complete the calculation.")

    def _function(self, name: str) -> Node:
        if name.startswith("root "):
            return self._root(name.removeprefix("root "))
        self._next()
        arguments = [self._deeper(self._sum)]
        while self._accept(","):
            arguments.append(self._deeper(self._sum))
        self._close()
        return call(name, *arguments)

    def _root(self, name: str) -> Node:
        """A root in words ends with its number: `square root of 16 plus 9` could mean two things."""
        bracketed = self._peek().text == "("
        inner = self._deeper(self._postfix)
        if not bracketed and self._peek().text not in (")", ",", "the end"):
            raise Unreadable("It is unclear where the root ends; write for example sqrt(16) + 9.")
        return call(name, inner)

    def _close(self) -> None:
        if not self._accept(")"):
            raise Unreadable("A closing parenthesis is missing; add it.")

    def _operand_follows(self) -> bool:
        token = self._tokens[self._at + 1]
        return token.kind not in ("symbol", "end") or token.text == "("

    def _deeper(self, rule: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise Unreadable(f"The calculation is nested deeper than {_MAX_DEPTH} levels; split it into parts.")
        node = rule()
        self._depth -= 1
        return node


def _is_percent(node: Node) -> bool:
    return isinstance(node, Call) and node.operation == "percent"


def _is_ratio(node: Node) -> bool:
    """`3/4` in `3/4 of 20`."""
    return (
        isinstance(node, Call)
        and node.operation == "divide"
        and all(isinstance(argument, Number) for argument in node.arguments)
    )
