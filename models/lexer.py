"""The words and signs of a calculation, as tokens.

English words for numbers and operations; a word that is not one of them is Unreadable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from models.arithmetic import PI, Unreadable
from models.numerals import GROUPED, literal_at, part_at, plain_at, scaled, words_at

Kind = Literal["number", "part", "symbol", "function", "multiple", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    value: Fraction = Fraction(0)


_SYMBOLS = {
    "**": "^", "^": "^", "+": "+", "-": "-", "−": "-", "–": "-", "*": "*", "×": "*", "·": "*", "⋅": "*", "/": "/",
    "÷": "/", "%": "%", "!": "!", "(": "(", ")": ")", ",": ",", ";": ",", "²": "squared", "³": "cubed",
}  # fmt: skip
_PHRASES = {
    "plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "x": "*", "divided by": "/", "over": "/",
    "to the power of": "^", "raised to the power of": "^", "squared": "squared", "cubed": "cubed", "mod": "mod",
    "modulo": "mod", "percent": "%", "per cent": "%", "of": "of", "off": "off", "off of": "off",
    "tip on": "of", "tip for": "of",
    "gratuity on": "of", "tax on": "of", "vat on": "of", "factorial": "!",
}  # fmt: skip
_FUNCTIONS = {
    "sqrt": "sqrt", "cbrt": "cbrt", "abs": "abs", "round": "round", "min": "min", "max": "max", "floor": "floor",
    "ceil": "ceil", "sum": "sum", "avg": "average", "average": "average", "mean": "average", "median": "median",
    "factorial": "factorial", "product": "product",
}  # fmt: skip
_ROOTS = {"square root of": "sqrt", "the square root of": "sqrt", "cube root of": "cbrt", "the cube root of": "cbrt"}
_MULTIPLES = {"double": 2, "twice": 2, "triple": 3}
_GLYPHS = {"½": Fraction(1, 2), "¼": Fraction(1, 4), "¾": Fraction(3, 4), "⅓": Fraction(1, 3), "⅔": Fraction(2, 3)}
_CURRENCIES = "$€£¥₹"
_CURRENCY_WORDS = {"dollars": "$", "dollar": "$", "euros": "€", "euro": "€"}
_WORD = re.compile(r"[a-zA-Z]+")


class Lexer:
    """Text to tokens. Inside the parentheses of a function a comma separates; elsewhere it groups digits."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._out: list[Token] = []
        self._inside: list[bool] = []
        self.currencies: set[str] = set()

    def tokens(self) -> list[Token]:
        while self._at < len(self._text):
            if not (self._space() or self._currency() or self._number() or self._word() or self._symbol()):
                raise Unreadable(f"{self._text[self._at :][:20]!r} is not part of a calculation; leave it out.")
        return [*self._out, Token("end", "the end")]

    def _take(self, kind: Kind, text: str, end: int, value: Fraction = Fraction(0)) -> bool:
        self._out.append(Token(kind, text, value))
        self._at = end
        return True

    def _space(self) -> bool:
        if not self._text[self._at].isspace():
            return False
        self._at += 1
        return True

    def _currency(self) -> bool:
        if self._text[self._at] not in _CURRENCIES:
            return False
        before = bool(re.match(r"\s?[\d.]", self._text[self._at + 1 :]))
        if not before and not (self._out and self._out[-1].kind == "number"):
            return False
        self.currencies.add(self._text[self._at])
        self._at += 1
        return True

    def _number(self) -> bool:
        character = self._text[self._at]
        if character in _GLYPHS and not (self._out and self._out[-1].kind == "number"):
            return self._take("part", character, self._at + 1, _GLYPHS[character])
        if not (character in "0123456789" or character == "."):
            return False
        argument = bool(self._inside and self._inside[-1])
        if argument and GROUPED.match(self._text, self._at):
            raise Unreadable("A comma between digits could group or separate them; put a space or ; between numbers.")
        found = plain_at(self._text, self._at) if argument else literal_at(self._text, self._at)
        if found is None:
            unclear = self._text[self._at :].split()[0]
            raise Unreadable(f"The number {unclear!r} is unclear; write it like 1234.5.")
        value, end = found
        hexadecimal = self._text[self._at : end] == "0" and self._text[end : end + 1] in ("x", "X")
        if hexadecimal or re.match(r"[a-wyzA-WYZ_]|[xX](?![\s\d(])", self._text[end:]):
            raise Unreadable(f"{self._text[self._at :].split()[0]!r} is not a plain number; leave out the unit.")
        value, end = scaled(self._text, value, end)
        return self._take("number", self._text[self._at : end], end, value)

    def _word(self) -> bool:
        run = _words_from(self._text, self._at)
        if not run:
            return False
        words = [word for word, _ in run]
        return (
            self._number_words(words, run)
            or self._phrase(words, run)
            or self._call(words[0], run[0][1])
            or self._ending(words[0], run[0][1])
        )

    def _number_words(self, words: list[str], run: list[tuple[str, int]]) -> bool:
        part = part_at(words)
        if part and (part[1] == len(words) or words[part[1] : part[1] + 2] != ["a", "dozen"]):
            value, used = part
            return self._take("part", " ".join(words[:used]), run[used - 1][1], value)
        whole = words_at(words)
        if whole is None:
            return False
        value, used = whole
        return self._take("number", " ".join(words[:used]), run[used - 1][1], value)

    def _phrase(self, words: list[str], run: list[tuple[str, int]]) -> bool:
        for length in range(min(5, len(words)), 0, -1):
            phrase, end = " ".join(words[:length]), run[length - 1][1]
            follows = self._text[end:].lstrip()
            if phrase in _ROOTS:
                return self._take("function", f"root {_ROOTS[phrase]}", end)
            if phrase == "factorial of":
                return self._take("function", "root factorial", end)
            if phrase in _PHRASES and not (phrase == "factorial" and follows.startswith("(")):
                return self._take("symbol", _PHRASES[phrase], end)
        return False

    def _call(self, word: str, end: int) -> bool:
        if word in _MULTIPLES:
            return self._take("multiple", word, end, Fraction(_MULTIPLES[word]))
        if word in _FUNCTIONS and self._text[end:].lstrip().startswith("("):
            return self._take("function", _FUNCTIONS[word], end)
        return False

    def _ending(self, word: str, end: int) -> bool:
        if word == "pi":
            return self._take("number", "pi", end, PI)
        if word in _CURRENCY_WORDS and self._out and self._out[-1].kind == "number":
            self.currencies.add(_CURRENCY_WORDS[word])
            self._at = end
            return True
        return False

    def _symbol(self) -> bool:
        character = self._text[self._at]
        if character == "π":
            return self._take("number", "pi", self._at + 1, PI)
        if character == "√":
            return self._take("function", "root sqrt", self._at + 1)
        for length in (2, 1):
            symbol = self._text[self._at : self._at + length]
            if symbol in _SYMBOLS:
                self._track(_SYMBOLS[symbol])
                return self._take("symbol", _SYMBOLS[symbol], self._at + length)
        return False

    def _track(self, symbol: str) -> None:
        if symbol == "(":
            self._inside.append(bool(self._out) and self._out[-1].kind == "function" and " " not in self._out[-1].text)
        elif symbol == ")" and self._inside:
            self._inside.pop()


def _words_from(text: str, start: int) -> list[tuple[str, int]]:
    """Return the words that follow one another from `start`, lower case, each with its end; at most a dozen."""
    run: list[tuple[str, int]] = []
    at = start
    while len(run) < 12:
        match = _WORD.match(text, at)
        if match is None:
            break
        run.append((match.group().lower(), match.end()))
        gap = re.match(r"\s+|-(?=[a-zA-Z])", text[match.end() :])
        if gap is None:
            break
        at = match.end() + gap.end()
    return run
