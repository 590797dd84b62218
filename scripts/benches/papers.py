"""Letters to extract from and articles to shorten, with names and figures drawn anew for each number."""

from __future__ import annotations

import random
from dataclasses import dataclass

NAMES = ("Marta Lindqvist", "Tomas Berger", "Aisha Rahman", "Paul O'Connor", "Ingrid Solberg", "Luca Moretti")
FIRMS = ("Harbour Tools Ltd", "Nordlicht Elektro GmbH", "Green Valley Seeds", "Atlas Freight Services")
TOWNS = ("Bergen", "Freiburg", "Galway", "Modena", "Utrecht", "Tartu")
STREETS = ("Mill Lane", "Station Road", "Orchard Street", "Quay Street")

INVOICE = """{firm}
{number} {street}, {town}

Invoice no. INV-{year}-{number}{day}
Date: {day} March {year}

Dear {name},

thank you for your order of {day} February. We delivered {count} boxes of galvanised wood screws (article \
WS-{number}) to your workshop in {other_town} and ask you to transfer the total of {total}.{cents} EUR to our account \
at the Cooperative Bank of {town} within 14 days. Please state the invoice number.

With kind regards
{other_name}, accounts department"""
INVOICE_FIELDS = ("vendor", "invoice number", "date", "recipient", "article", "total", "bank", "signed by")

BOOKING = """Subject: Your booking at the guest house on {street}

Dear {name},

we are glad to confirm room {number} with a view of the old harbour for {count} nights from {day} June {year}. \
Breakfast is served between seven and half past ten in the winter garden. The price of {total} EUR includes the local \
tax. Your confirmation code is {town}-{number}{cents}. If you arrive after eight in the evening, please call \
{other_name} at +44 20 7946 0{number} so that somebody lets you in.

See you soon in {town}!"""
BOOKING_FIELDS = ("guest", "room", "nights", "arrival", "price", "confirmation code", "contact person", "phone number")

ARTICLES = (
    """The town council of {town} decided on Tuesday to close the old stone bridge to cars from {day} May {year}. An \
inspection in the winter had found cracks in two of its five arches. {name}, who leads the building department, said \
that repairs would cost about {total},000 euros and take at least {count} months. Cyclists and pedestrians may go on \
using the bridge while the work lasts. Cars and buses are sent over the motorway bridge, which adds about six \
kilometres to the way to the station. Shopkeepers on {street} fear that customers will stay away. {other_name}, who \
runs a bakery there, asked the council for lower rents until the bridge opens again. The council will decide about \
that in its next meeting.""",
    """A small weather station on the roof of the school in {town} has measured rain, wind and temperature for {count} \
years. Pupils built the first version from a kit, and {name}, a physics teacher, has kept it alive ever since. The \
measurements show that the summers have become drier: in {year} only {number} millimetres of rain fell between June \
and August. The wind, however, has not changed much. Farmers around {other_town} now use the figures to decide when to \
water their fields. The university has offered {total} euros for new sensors, because the old ones must be read by \
hand. {other_name}, a pupil in her last year, is writing a program that puts the figures online every ten minutes.""",
    """{firm} will move its repair workshop from {other_town} to {town} next year. The company said that the building \
on {street} had become too small for its {number} employees. In the new hall there is room for {count} trucks at the \
same time, and the roof carries solar panels that produce about a third of the electricity. {name}, who has led the \
company since {year}, said that nobody would lose a job because of the move. The company pays for a shuttle bus for \
those who live far away. The union welcomed the plan but asked for a written promise. {other_name}, its speaker, \
recalled that a similar promise was broken ten years ago.""",
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A text, and what is to be found in it."""

    text: str
    fields: tuple[str, ...]


def letter(number: int) -> Letter:
    pattern, fields = ((INVOICE, INVOICE_FIELDS), (BOOKING, BOOKING_FIELDS))[number % 2]
    return Letter(_filled(pattern, number), fields)


def article(number: int) -> str:
    return _filled(ARTICLES[number % len(ARTICLES)], number)


def _filled(pattern: str, number: int) -> str:
    draw = random.Random(number)
    name, other_name = draw.sample(NAMES, 2)
    town, other_town = draw.sample(TOWNS, 2)
    return pattern.format(
        name=name,
        other_name=other_name,
        town=town,
        other_town=other_town,
        firm=draw.choice(FIRMS),
        street=draw.choice(STREETS),
        number=draw.randint(101, 489),
        count=draw.randint(3, 19),
        day=draw.randint(10, 28),
        year=draw.randint(2019, 2025),
        total=draw.randint(120, 980),
        cents=draw.randint(10, 99),
    )
