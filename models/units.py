"""Units as people call them: names to one unit, its kind, and which of several was taken.

Holds names only; the factors are pint's, which `models/specialists/convert.py` loads on first use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Unit:
    name: str
    """The unit's name in pint."""
    symbol: str
    kind: str
    """Units of one kind convert into each other."""
    note: str = ""
    """Which unit was taken where the name has several meanings."""

    def symbol_for(self, number: Fraction) -> str:
        """Return the symbol as it reads after a number: `1 day`, `2 days`."""
        if number != 1 or len(self.symbol) < 4 or not self.symbol.endswith("s"):
            return self.symbol
        return self.symbol[:-3] + "y" if self.symbol.endswith("ies") else self.symbol[:-1]


_TABLE = """
length | millimeter | mm | mm, millimeter, millimetre
length | centimeter | cm | cm, centimeter, centimetre
length | meter | m | m, meter, metre
length | kilometer | km | km, kms, kilometer, kilometre
length | inch | in | in, inch, inches, "
length | foot | ft | ft, foot, feet, '
length | yard | yd | yd, yds, yard
length | mile | mi | mi, mile
length | nautical_mile | nmi | nmi, nautical mile
length | micrometer | µm | µm, um, micron, micrometer, micrometre
length | nanometer | nm | nm, nanometer, nanometre
length | light_year | ly | ly, light year, lightyear, light-year
mass | milligram | mg | mg, milligram
mass | gram | g | g, gr, gram, gramme
mass | kilogram | kg | kg, kgs, kilo, kilogram, kilogramme
mass | pound | lb | lb, lbs, pound
mass | ounce | oz | oz, ounce
mass | stone | st | st, stone
mass | metric_ton | t | tonne, metric ton
mass | ton | short tons | ton, short ton, us ton
mass | long_ton | long tons | long ton, imperial ton, uk ton
mass | carat | ct | carat
volume | milliliter | mL | ml, milliliter, millilitre, cc
volume | centiliter | cL | cl, centiliter, centilitre
volume | deciliter | dL | dl, deciliter, decilitre
volume | liter | L | l, liter, litre, ltr
volume | cup | cups | cup, us cup
volume | gallon | gal | gal, gallon, us gallon
volume | quart | qt | qt, quart, us quart
volume | pint | pt | pt, pint, us pint
volume | fluid_ounce | fl oz | fl oz, floz, fluid ounce, us fluid ounce, oz, ounce
volume | tablespoon | tbsp | tbsp, tablespoon
volume | teaspoon | tsp | tsp, teaspoon
volume | imperial_gallon | imp gal | imperial gallon, uk gallon, british gallon
volume | imperial_pint | imp pt | imperial pint, uk pint, british pint
volume | imperial_quart | imp qt | imperial quart, uk quart
volume | imperial_fluid_ounce | imp fl oz | imperial fluid ounce, uk fluid ounce, imperial fl oz, uk fl oz
volume | meter ** 3 | m³ | m3, m³, m^3, cubic meter, cubic metre
volume | centimeter ** 3 | cm³ | cm3, cm³, cm^3, cubic centimeter, cubic centimetre
volume | foot ** 3 | ft³ | ft3, ft³, ft^3, cubic foot, cubic feet
volume | inch ** 3 | in³ | in3, in³, in^3, cubic inch, cubic inches
area | meter ** 2 | m² | m2, m², m^2, sqm, sq m, square meter, square metre
area | centimeter ** 2 | cm² | cm2, cm², cm^2, sq cm, square centimeter, square centimetre
area | kilometer ** 2 | km² | km2, km², km^2, sq km, square kilometer, square kilometre
area | foot ** 2 | ft² | ft2, ft², ft^2, sq ft, sqft, square foot, square feet
area | inch ** 2 | in² | in2, in², in^2, sq in, square inch, square inches
area | yard ** 2 | yd² | yd2, yd², sq yd, square yard
area | mile ** 2 | mi² | mi2, mi², sq mi, square mile
area | acre | acres | acre
area | hectare | ha | ha, hectare
time | millisecond | ms | ms, millisecond
time | second | s | s, sec, secs, second
time | minute | min | min, mins, minute
time | hour | h | h, hr, hrs, hour
time | day | days | day
time | week | weeks | wk, wks, week
time | fortnight | fortnights | fortnight
time | month | months | month
time | common_year | years | yr, yrs, year
time | century | centuries | century, centuries
temperature | degree_Celsius | °C | °c, c, celsius, centigrade, deg c, degc, degree c, degree celsius, degree centigrade
temperature | degree_Fahrenheit | °F | °f, f, fahrenheit, deg f, degf, degree f, degree fahrenheit
temperature | kelvin | K | K, kelvin, degree kelvin
speed | kilometer / hour | km/h | km/h, kmh, kph, kmph, km per hour, kilometer per hour, kilometre per hour
speed | mile / hour | mph | mph, mi/h, mile per hour
speed | meter / second | m/s | m/s, mps, meter per second, metre per second
speed | foot / second | ft/s | ft/s, fps, foot per second, feet per second
speed | knot | kn | kn, knot, kt
data | bit | bit | bit
data | byte | B | B, byte
data | kilobyte | kB | kB, KB, kb, kilobyte
data | megabyte | MB | MB, mb, megabyte
data | gigabyte | GB | GB, gb, gigabyte, gig
data | terabyte | TB | TB, tb, terabyte
data | petabyte | PB | PB, pb, petabyte
data | kibibyte | KiB | KiB, kib, kibibyte
data | mebibyte | MiB | MiB, mib, mebibyte
data | gibibyte | GiB | GiB, gib, gibibyte
data | tebibyte | TiB | TiB, tib, tebibyte
data | kilobit | kbit | kbit, kilobit
data | megabit | Mbit | Mb, Mbit, mbit, megabit
data | gigabit | Gbit | Gb, Gbit, gbit, gigabit
rate | kilobit / second | kbit/s | kbps, kbit/s
rate | megabit / second | Mbit/s | Mbps, mbps, Mbit/s, Mb/s, megabit per second
rate | gigabit / second | Gbit/s | Gbps, gbps, Gbit/s, gigabit per second
rate | megabyte / second | MB/s | MB/s, MBps, megabyte per second
rate | gigabyte / second | GB/s | GB/s, GBps, gigabyte per second
angle | degree | ° | °, deg, degree
angle | radian | rad | rad, radian
energy | joule | J | J, joule
energy | kilojoule | kJ | kJ, kj, kilojoule
energy | megajoule | MJ | MJ, megajoule
energy | calorie | cal | cal, calorie
energy | kilocalorie | kcal | kcal, kilocalorie, food calorie
energy | watt_hour | Wh | Wh, wh, watt hour, watt-hour
energy | kilowatt_hour | kWh | kWh, kwh, kilowatt hour, kilowatt-hour
energy | british_thermal_unit | BTU | BTU, btu
power | watt | W | W, watt
power | kilowatt | kW | kW, kw, kilowatt
power | megawatt | MW | MW, megawatt
power | horsepower | hp | hp, horsepower
power | metric_horsepower | PS | PS, metric horsepower
pressure | pascal | Pa | Pa, pascal
pressure | hectopascal | hPa | hPa, hpa, hectopascal
pressure | kilopascal | kPa | kPa, kpa, kilopascal
pressure | bar | bar | bar
pressure | millibar | mbar | mbar, millibar
pressure | psi | psi | psi, pound per square inch
pressure | standard_atmosphere | atm | atm, atmosphere
pressure | millimeter_Hg | mmHg | mmHg, mmhg
"""
_NOTES = {
    "ounce": "avoirdupois ounce, a weight",
    "ton": "US short ton of 2,000 lb; a tonne is 1,000 kg",
    "cup": "US cup; a metric cup is 250 mL",
    "gallon": "US gallon; an imperial gallon is 4.546 L",
    "quart": "US liquid quart",
    "pint": "US liquid pint; an imperial pint is 568 mL",
    "fluid_ounce": "US fluid ounce",
    "tablespoon": "US tablespoon",
    "teaspoon": "US teaspoon",
    "month": "an average month of 30.4375 days",
    "common_year": "a common year of 365 days",
    "calorie": "small calorie; a food calorie is 1 kcal",
    "horsepower": "mechanical horsepower",
    "kilobyte": "decimal, 1 kB = 1,000 bytes",
    "megabyte": "decimal, 1 MB = 1,000 kB",
    "gigabyte": "decimal, 1 GB = 1,000 MB",
    "terabyte": "decimal, 1 TB = 1,000 GB",
}
_MAX_WORDS = 4


def _units() -> dict[str, tuple[Unit, ...]]:
    named: dict[str, tuple[Unit, ...]] = {}
    for row in _TABLE.strip().splitlines():
        kind, name, symbol, aliases = (cell.strip() for cell in row.split(" | "))
        unit = Unit(name, symbol, kind, _NOTES.get(name, ""))
        for alias in aliases.split(", "):
            named[alias] = (*named.get(alias, ()), unit)
    return named


_UNITS = _units()


def everything() -> set[Unit]:
    return {unit for units in _UNITS.values() for unit in units}


def named(text: str) -> tuple[Unit, ...]:
    """Return the units that a name may mean, likeliest first; empty when it is none: `oz` is a weight or a volume."""
    name = re.sub(r"\s+", " ", text.strip().rstrip("."))
    for candidate in (name, name.lower()):
        for form in _singulars(candidate):
            if form in _UNITS:
                return _UNITS[form]
    return ()


def _singulars(name: str) -> tuple[str, ...]:
    first, space, rest = name.partition(" ")
    plain = [name]
    if len(name) > 3 and name.endswith("s"):
        plain.append(name[:-1])
    if space and len(first) > 3 and first.endswith("s"):
        plain.append(f"{first[:-1]} {rest}")
    return tuple(plain)


def unit_at(text: str, start: int) -> tuple[tuple[Unit, ...], int] | None:
    """Return the longest unit name that begins at `start`, what it may mean, and where it ends."""
    for pattern in (r"[^\s\d,]+[23]?(?!\w)", r"[^\s\d,]+"):
        words = list(re.finditer(pattern, text[start : start + 60]))[:_MAX_WORDS]
        for count in range(len(words), 0, -1):
            run = text[start + words[0].start() : start + words[count - 1].end()]
            if words[0].start() > 1 or re.search(r"\d\s", run):
                continue
            units = named(run)
            if units:
                return units, start + words[count - 1].end()
    return None
