"""Unit names resolve without loading pint, conversions are exact, and doubtful units are named."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.specialists.convert import claim, converted, magnitude
from models.units import Unit, everything, named
from tests.models.exact_runs import others_requests, run, spec
from tests.models.ordinary_requests import NOT_FOR_RULES

CLAIMED = [
    ("Convert 72 °F to °C", "72 °F ≈ 22.22 °C"),
    ("72F to C", "72 °F ≈ 22.22 °C"),
    ("what is -40 F in C", "-40 °F = -40 °C"),
    ("20 degrees celsius in fahrenheit", "20 °C = 68 °F"),
    ("350 degrees F to C please", "350 °F ≈ 176.7 °C"),
    ("how many litres in 3 gallons", "3 gal ≈ 11.36 L (US gallon; an imperial gallon is 4.546 L)"),
    ("5 ft 11 in to cm", "5 ft 11 in = 180.34 cm"),
    ("convert 5'11\" to cm", "5 ft 11 in = 180.34 cm"),
    ("how tall is 5'11 in cm", "5 ft 11 in = 180.34 cm"),
    ("10 in in cm", "10 in = 25.4 cm"),
    ("10 in to cm", "10 in = 25.4 cm"),
    ("100 km/h in mph", "100 km/h ≈ 62.14 mph"),
    ("how many seconds are in a day", "1 day = 86400 s"),
    ("how many bits in a byte", "1 B = 8 bit"),
    ("1 cup of water in ml", "1 cup ≈ 236.6 mL (US cup; a metric cup is 250 mL)"),
    ("how many ounces in a pound", "1 lb = 16 oz (avoirdupois ounce, a weight)"),
    ("12 feet is equal to how many inches", "12 ft = 144 in"),
    ("what amount of meters are in 2 km", "2 km = 2000 m"),
    ("half a mile in meters", "0.5 mi = 804.672 m"),
    ("convert two miles to km", "2 mi = 3.218688 km"),
    ("1 h 30 min in minutes", "1 h 30 min = 90 min"),
    ("2½ feet in inches", "2.5 ft = 30 in"),
    ("what's 2,340 km in miles", "2340 km ≈ 1454 mi"),
    ("3 stone 5 lb in kg", "3 st 5 lb ≈ 21.32 kg"),
    ("100 sq ft in m2", "100 ft² = 9.290304 m²"),
    ("180 degrees in radians", "180 ° ≈ 3.142 rad"),
    ("100 mbps in MB/s", "100 Mbit/s = 12.5 MB/s"),
    ("1 light year in km", "1 ly ≈ 9460730472581 km"),
]


@pytest.mark.parametrize(("text", "answer"), CLAIMED)
def test_conversion_in_a_request_is_claimed_and_right(text: str, answer: str) -> None:
    slots = claim(text)
    assert slots is not None
    assert converted(str(slots["quantity"]), str(slots["from"]), str(slots["to"])).text == answer


@pytest.mark.parametrize("text", spec("convert").requests)
def test_requests_of_the_spec_are_claimed(text: str) -> None:
    assert claim(text) is not None


@pytest.mark.parametrize("text", NOT_FOR_RULES)
def test_ordinary_request_is_not_claimed(text: str) -> None:
    assert claim(text) is None


@pytest.mark.parametrize("text", others_requests("convert"))
def test_requests_of_other_specialists_are_not_claimed(text: str) -> None:
    assert claim(text) is None


def test_ounce_is_a_volume_beside_volumes_and_a_weight_beside_weights() -> None:
    assert converted("1", "cup", "ounces").output == {"value": "8", "unit": "fl oz"}
    assert converted("1", "pound", "ounces").output == {"value": "16", "unit": "oz"}


def test_data_sizes_keep_decimal_and_binary_apart() -> None:
    assert converted("1", "GB", "MB").output == {"value": "1000", "unit": "MB"}
    assert converted("1", "GiB", "MiB").output == {"value": "1024", "unit": "MiB"}
    assert converted("1", "MB", "Mb").output == {"value": "8", "unit": "Mbit"}
    assert converted("1", "GB", "MiB").output == {"value": "953.7", "unit": "MiB"}


def test_unit_that_only_pint_knows_is_converted() -> None:
    assert converted("1", "parsec", "km").output == {"value": "30856775814672", "unit": "km"}


@pytest.mark.parametrize(
    ("quantity", "source", "target", "words"),
    [
        ("5", "kg", "m", "measures mass and m length"),
        ("5", "parsec", "kg", "choose units of one kind"),
        ("-300", "C", "F", "below absolute zero"),
        ("many", "m", "km", "not a number"),
        ("5", "blub", "km", "known unit"),
        ("5", "km", "blub", "not a unit known"),
        ("5", "m**99999999", "km", "known unit"),
        ("5", "usd", "eur", "known unit"),
        ("", "km", "m", "needs a text named 'quantity'"),
        ("5", "km" * 200, "m", "short text"),
        ("5", "decibel", "km", "one kind|converted|known unit"),
        ("20 °C 5 °C", "", "°F", "one kind"),
    ],
)
def test_impossible_conversion_is_one_sentence(quantity: str, source: str, target: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run("convert", {"quantity": quantity, "from": source, "to": target})


def test_compound_quantity_runs_without_a_from_unit() -> None:
    result = run("convert", {"quantity": "5 ft 11 in", "from": "", "to": "cm"})
    assert result.output == {"value": "180.34", "unit": "cm"}
    assert result.confidence == 1.0


_KINDS = sorted({unit.kind for unit in everything()} - {"angle"})


@given(st.data(), st.fractions(min_value=0, max_value=10**6, max_denominator=1000))
def test_conversion_there_and_back_returns_the_very_same_number(data: st.DataObject, number: Fraction) -> None:
    kind = data.draw(st.sampled_from(_KINDS))
    units = sorted((unit for unit in everything() if unit.kind == kind), key=lambda unit: unit.name)
    one, other = data.draw(st.sampled_from(units)), data.draw(st.sampled_from(units))
    number += 500 if kind == "temperature" else 0
    assert magnitude(magnitude(number, one, other), other, one) == number


@pytest.mark.parametrize("unit", sorted(everything(), key=lambda unit: unit.name), ids=lambda unit: unit.name)
def test_every_named_unit_converts_to_itself(unit: Unit) -> None:
    assert magnitude(Fraction(300), unit, unit) == 300


def test_unit_names_ignore_case_only_where_it_means_nothing() -> None:
    assert named("Kilometers") == named("km") != ()
    assert named("MW")[0].name == "megawatt"
    assert named("Mb")[0].name == "megabit"
    assert named("dollars") == ()


@given(st.text(max_size=80))
def test_claim_never_fails_on_any_text(text: str) -> None:
    claim(text)


def test_claim_does_not_load_pint() -> None:
    code = (
        "import sys; from models.specialists.convert import claim; "
        "claim('5 km in miles'); sys.exit('pint' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
