"""The parser agrees with exact fractions, refuses what it does not understand, and keeps its bounds."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.arithmetic import Unreadable, Unworkable, evaluate
from models.formula import parse
from models.numerals import decimal_text, rounded_text, shown


def value(text: str) -> Fraction:
    return evaluate(parse(text).tree).number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("0.1 + 0.2", "3/10"),
        ("-2^2", "-4"),
        ("(-2)^2", "4"),
        ("2**3**2", "512"),
        ("2^-1", "1/2"),
        ("17 % 5", "2"),
        ("17 mod 5", "2"),
        ("100 - 20 % 7", "94"),
        ("17.5% of 2,340 plus 12", "843/2"),
        ("10% off 80", "72"),
        ("20% of 20% of 50", "2"),
        ("3/4 of 20", "15"),
        ("half of 10 plus 4", "9"),
        ("two thirds of 90", "60"),
        ("1.234,5 * 2", "2469"),
        ("2 340 + 1", "2341"),
        ("12,34,567 + 0", "1234567"),
        ("1e3 * 2", "2000"),
        ("two hundred and five times three", "615"),
        ("one million two hundred thousand and one minus 1", "1200000"),
        ("two and a half times 4", "10"),
        ("one point two five times 4", "5"),
        ("a dozen plus half a dozen", "18"),
        ("five squared plus 3", "28"),
        ("double 3 plus 4", "10"),
        ("7 multiplied by 6 divided by 2", "21"),
        ("sqrt(144)", "12"),
        ("the square root of 2.25", "3/2"),
        ("27^(1/3)", "3"),
        ("cbrt(-8)", "-2"),
        ("abs(-3) + floor(2.7) + ceil(2.1)", "8"),
        ("round(2.5)", "3"),
        ("round(-2.345, 2)", "-47/20"),
        ("max(1,5) - min(4; 2, 3)", "3"),
        ("average(1, 2, 6)", "3"),
        ("median(4, 1, 3, 2)", "5/2"),
        ("5! / 4!", "5"),
        ("$12.50 × 2", "25"),
        ("½ + ¼", "3/4"),
    ],
)
def test_formula_has_its_exact_value(text: str, expected: str) -> None:
    assert value(text) == Fraction(expected)


@pytest.mark.parametrize(
    "text",
    [
        "", "+", "2 +", "* 3", "(1 + 2", "1 + 2)", "2(3)", "2 3", "1,5 + 2", "1.2.3", "1.234.567 + 1", "12,34 + 1",
        "max(2,340)", "foo(2)", "sqrt 4 4", "seven eleven", "5 apples", "3 times better", "50 + 20%", "50 - 20%",
        "10 of 20", "square root of 16 plus 9", "sqrt(1, 2)", "max()", "two hundred and", "5 km", "1_000 + 1",
        "__import__('os')", "lambda: 1", "x + 1", "$5 + €3", "2 ^", "0x10 + 1", "٣ + ٤",
    ],
)  # fmt: skip
def test_text_that_is_not_wholly_understood_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("9**9**9", "more than 1000 digits"),
        ("10^1000", "more than 1000 digits"),
        ("2^-99999999999", "more than 1000 digits"),
        ("9^9^9^9^9", "more than 1000 digits"),
        ("451!", "more than 1000 digits"),
        ("5!!!", "more than 1000 digits"),
        ("1/0", "divides by zero"),
        ("5 mod 0", "divides by zero"),
        ("0^-1", "divides by zero"),
        ("sqrt(-4)", "negative"),
        ("(-8)^0.5", "negative"),
        ("2.5!", "whole number"),
        ("(-3)!", "not negative"),
    ],
)
def test_calculation_without_a_value_says_why(text: str, words: str) -> None:
    with pytest.raises(Unworkable, match=words):
        value(text)


@pytest.mark.parametrize(
    "text",
    ["(" * 500 + "1" + ")" * 500, "-" * 400 + "1", "1+" * 400 + "1", "1" * 1001, "2^" * 200 + "1", "√" * 200 + "2"],
)
def test_bounds_refuse_long_and_deep_formulas_without_recursion_errors(text: str) -> None:
    with pytest.raises(Unreadable):
        parse(text)


def test_longest_allowed_formula_is_still_evaluated() -> None:
    assert value("+".join(["1"] * 149)) == 149
    assert value("3" + "!" * 1 + "-1" * 140) == 6 - 140


def test_one_to_any_power_and_large_exponents_of_it_stay_cheap() -> None:
    assert value("1^99999999999999999999") == 1
    assert value("(-1)^99999999999999999999") == -1


@pytest.mark.parametrize("text", ["sqrt(2)", "2^0.5", "pi * 2", "cbrt(2)"])
def test_inexact_results_are_marked(text: str) -> None:
    result = evaluate(parse(text).tree)
    assert not result.exact
    assert shown(result.number, exact=result.exact)[1] is False


def test_display_is_exact_when_short_and_rounded_otherwise() -> None:
    assert shown(Fraction(843, 2)) == ("421.5", True)
    assert shown(Fraction(-1, 8)) == ("-0.125", True)
    assert shown(Fraction(10, 3)) == ("3.33333333333", False)
    assert shown(Fraction(2**100)) == (str(2**100), True)
    assert shown(Fraction(10) ** 400) == ("1e400", False)
    assert rounded_text(Fraction(1, 3 * 10**20)) == "3.33333333333e-21"


_LEAVES = st.one_of(
    st.integers(0, 10**6).map(lambda n: (str(n), Fraction(n))),
    st.decimals(0, 1000, places=3, allow_nan=False).map(lambda d: (f"{d:f}", Fraction(d))),
    st.integers(1000, 10**9).map(lambda n: (f"{n:,}", Fraction(n))),
)


def _combine(children: st.SearchStrategy[tuple[str, Fraction]]) -> st.SearchStrategy[tuple[str, Fraction]]:
    def join(left: tuple[str, Fraction], sign: str, right: tuple[str, Fraction]) -> tuple[str, Fraction]:
        a, b = left[1], right[1]
        results = {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b if b else a}
        text = f"({left[0]}) {sign} ({right[0]})" if not (sign == "/" and b == 0) else left[0]
        return text, results[sign]()

    def negated(one: tuple[str, Fraction]) -> tuple[str, Fraction]:
        return f"-({one[0]})", -one[1]

    return st.builds(join, children, st.sampled_from("+-*/"), children) | children.map(negated)


@given(st.recursive(_LEAVES, _combine, max_leaves=12))
def test_parser_agrees_with_fraction_arithmetic_on_any_tree(tree: tuple[str, Fraction]) -> None:
    text, expected = tree
    assert value(text) == expected


@given(st.lists(st.tuples(st.sampled_from("+-*"), st.integers(0, 999)), min_size=1, max_size=12))
def test_precedence_without_parentheses_agrees_with_python(terms: list[tuple[str, int]]) -> None:
    text = "1" + "".join(f" {sign} {number}" for sign, number in terms)
    assert value(text) == eval(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_our_error(text: str) -> None:
    try:
        evaluate(parse(text).tree)
    except (Unreadable, Unworkable) as error:
        assert str(error)


@given(st.text(alphabet="0123456789+-*/^%!().,πe² ofandplus", max_size=40))
def test_any_text_of_formula_signs_is_read_or_refused(text: str) -> None:
    try:
        evaluate(parse(text).tree)
    except (Unreadable, Unworkable) as error:
        assert str(error)


@given(st.integers(-(10**12), 10**12), st.integers(0, 12))
def test_exact_decimal_text_reads_back(number: int, places: int) -> None:
    exact = Fraction(number, 10**places)
    text = decimal_text(exact)
    assert text is not None
    assert Fraction(text) == exact
