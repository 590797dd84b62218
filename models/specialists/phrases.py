"""Requests around a calculation: `What's …?`, `sum of …`, `add 20% to 50`, to the tree they mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from models.arithmetic import Node, Number, Unreadable, call, number
from models.formula import MAX_CHARACTERS, Formula, parse
from models.numerals import GROUPED

_LEAD = re.compile(
    r"^(?:(?:hey|hi|ok|please|(?:can|could|would|will) you|tell me|i (?:need|want) to know)[, ]+)*"
    r"(?P<verb>calculate|compute|evaluate|work out|figure out|solve|find|give me|show me|"
    r"what(?! percent)(?:'s|’s|s| is| are| does| do| would be)?|how much (?:is|are|does|do|would be))?\s*"
    r"(?:(?:the )?(?:result|value|answer|solution) (?:of|to|for) )?(?:an? (?=\d))?",
    re.IGNORECASE,
)
_TRAIL = re.compile(
    r"(?:\s*,?\s*(?:please|thanks|thank you|for me)|\s+(?:equals?(?: to)?|make|come to|is what|be|is)"
    r"|\s*[=?]|\s*[.](?!\d))*\s*$",
    re.IGNORECASE,
)
_STRONG = frozenset({"calculate", "compute", "evaluate", "work out", "figure out", "solve"})
"""Verbs that only a calculation follows."""


def stripped(text: str) -> tuple[str, str]:
    """Return the calculation without the words of asking, and the verb that asked (lower case, or empty)."""
    if len(text) > MAX_CHARACTERS:
        raise Unreadable(f"The calculation is longer than {MAX_CHARACTERS} characters; split it into parts.")
    tidy = re.sub(r"\s+", " ", text).strip()
    match = _LEAD.match(tidy)
    assert match is not None
    return _TRAIL.sub("", tidy[match.end() :]).strip(), (match["verb"] or "").lower()


def asks_plainly(verb: str) -> bool:
    return verb in _STRONG


def understood(text: str) -> Formula:
    """Return the meaning of a calculation in words or signs. Raises Unreadable."""
    for pattern, build in _FORMS:
        match = pattern.fullmatch(text)
        if match:
            currencies = set(re.findall(r"[$€£¥₹]", text))
            return Formula(build(*match.groups()), next(iter(currencies), "") if len(currencies) == 1 else "")
    return parse(text)


def _one(text: str) -> Node:
    """Return a lone number, as a sum of words and signs is unclear inside a phrase."""
    tree = parse(text).tree
    if not (isinstance(tree, Number) or tree.operation in ("negate", "percent")):
        raise Unreadable(f"{text!r} is not a single number; write the calculation with signs.")
    return tree


def _listed(text: str) -> list[Node]:
    """Return the numbers of `1, 2 and 3`. Raises Unreadable where a comma may group digits or separate numbers."""
    if re.search(r"(?:hundred|thousand|million|dozen)\s+and\s", text):
        raise Unreadable("It is unclear where one number ends; write the list in digits, like 205, 5 and 3.")
    parts = re.split(r"\s*,\s+and\s+|\s*,\s+|\s*;\s*|\s+and\s+", text)
    numbers = [_one(piece) for part in parts for piece in _pieces(part)]
    if len(numbers) < 2:
        raise Unreadable("A list needs at least two numbers; separate them with a comma and a space.")
    return numbers


def _pieces(part: str) -> Sequence[str]:
    if re.search(r"\d \d", part):
        raise Unreadable("It is unclear where one number ends; separate the numbers with a comma and a space.")
    if not re.search(r"\d,\d", part):
        return [part]
    bare = part.lstrip("$€£¥₹- ")
    if GROUPED.fullmatch(bare):
        if len(bare.split(",")[0]) == 3 and bare == part:
            raise Unreadable(f"{part!r} could be one number or several; put a space after commas that separate.")
        return [part]
    return part.split(",")


def _fold(operation: str) -> Callable[[str], Node]:
    return lambda text: call(operation, *_listed(text))


def _two(operation: str) -> Callable[[str, str], Node]:
    return lambda left, right: call(operation, _one(left), _one(right))


def _swapped(operation: str) -> Callable[[str, str], Node]:
    return lambda left, right: call(operation, _one(right), _one(left))


def _changed(operation: str, percent: str, base: str) -> Node:
    share = call("percent", _one(percent))
    return call("multiply", _one(base), call(operation, number(1), share))


def _percentage(part: str, whole: str) -> Node:
    return call("multiply", call("divide", _one(part), _one(whole)), number(100))


_P = r"([\w.,-]+(?: [\w.]+)*?)\s*(?:%|percent|per cent)"
_N = r"(.+?)"
_SHAPES: tuple[tuple[str, Callable[..., Node]], ...] = (
    (r"(?:the )?(?:sum|total) of ([\d.,]+ (?:plus|\+) [\d.,]+)", lambda text: parse(text).tree),
    (r"(?:the )?(?:sum|total) of (.+)", _fold("sum")),
    (r"(?:the )?product of (.+)", _fold("product")),
    (r"(?:the )?(?:average|mean|arithmetic mean) of (.+)", _fold("average")),
    (r"(?:the )?median of (.+)", _fold("median")),
    (r"(?:the )?(?:largest|biggest|highest|greatest|maximum|max) of (.+)", _fold("max")),
    (r"(?:the )?(?:smallest|lowest|least|minimum|min) of (.+)", _fold("min")),
    (rf"add {_P} to {_N}", lambda p, n: _changed("add", p, n)),
    (rf"(?:increase|raise) {_N} by {_P}", lambda n, p: _changed("add", p, n)),
    (rf"{_N} increased by {_P}", lambda n, p: _changed("add", p, n)),
    (rf"(?:subtract|deduct|take) {_P} (?:from|off) {_N}", lambda p, n: _changed("subtract", p, n)),
    (rf"(?:decrease|reduce|lower) {_N} by {_P}", lambda n, p: _changed("subtract", p, n)),
    (rf"{_N} (?:decreased|reduced) by {_P}", lambda n, p: _changed("subtract", p, n)),
    (rf"add {_N} (?:to|and) {_N}", _two("add")),
    (r"add (.+,.+)", _fold("sum")),
    (rf"subtract {_N} from {_N}", _swapped("subtract")),
    (rf"multiply {_N} (?:by|with|and) {_N}", _two("multiply")),
    (rf"divide {_N} by {_N}", _two("divide")),
    (rf"what percent(?:age)? of {_N} is {_N}", lambda whole, part: _percentage(part, whole)),
    (rf"{_N} is what percent(?:age)? of {_N}", _percentage),
    (rf"{_N} as a percent(?:age)? of {_N}", _percentage),
    (rf"(?:the )?remainder (?:of|when) {_N} (?:is )?divided by {_N}", _two("modulo")),
    (rf"round {_N} to {_N} (?:decimals?|decimal places?|places?|digits?)", _two("round")),
    (r"([\d.]+ ?/ ?[\d.]+) as a decimal", lambda ratio: parse(ratio).tree),
    (r"([\d.]+ ?/ ?[\d.]+) as a percent(?:age)?", lambda r: call("multiply", parse(r).tree, number(100))),
)
_FORMS = tuple((re.compile(shape, re.IGNORECASE), build) for shape, build in _SHAPES)
"""Whole requests, first match wins; each operand must be a lone number."""
