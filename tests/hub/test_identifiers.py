"""Which numbers and addresses are found, and which ordinary ones are left alone."""

from __future__ import annotations

import pytest

from hub.redact import detect

FOUND = [
    ("Mail marta.l+x@mail.example.co.uk, please.", "EMAIL", "marta.l+x@mail.example.co.uk"),
    ("See https://example.org/a?b=c. Then call.", "LINK", "https://example.org/a?b=c"),
    ("It is on example.org/page now", "LINK", "example.org/page"),
    ("card 4111-1111-1111-1111 expires", "CARD", "4111-1111-1111-1111"),
    ("amex 371449635398431", "CARD", "371449635398431"),
    ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN", "DE89 3704 0044 0532 0130 00"),
    ("iban GB82WEST12345698765432.", "IBAN", "GB82WEST12345698765432"),
    ("my social is 588-46-6702", "ID", "588-46-6702"),
    ("DNI 12345678Z", "ID", "12345678Z"),
    ("codice fiscale RCCMNL83S18D969H", "ID", "RCCMNL83S18D969H"),
    ("passport number: C01X00T47", "ID", "C01X00T47"),
    ("from 192.168.178.20 at night", "IP", "192.168.178.20"),
    ("via 2001:db8::8a2e:370:7334 today", "IP", "2001:db8::8a2e:370:7334"),
    ("device 3c:22:fb:12:ab:9f", "DEVICE", "3c:22:fb:12:ab:9f"),
    ("ring +49 30 901820 now", "PHONE", "+49 30 901820"),
    ("They're not answering at 780-999-2181", "PHONE", "780-999-2181"),
    ("text (020) 7946 0018", "PHONE", "(020) 7946 0018"),
    ("at 52.5200, 13.4050", "SPOT", "52.5200, 13.4050"),
    ("born on 12/3/1990", "DATE", "12/3/1990"),
    ("born 12 March 1990 in", "DATE", "12 March 1990"),
    ("an 85 year old man", "AGE", "85"),
    ("I turned 40.", "AGE", "40"),
    ("Mrs. Lennox left", "TITLE", "Mrs."),
    ("a Danish friend", "GROUP", "Danish"),
    ("zip code 10115", "POSTCODE", "10115"),
    ("in SW1A 1AA", "POSTCODE", "SW1A 1AA"),
]
LEFT = [
    "What is 12 * (3 + 4)?",
    "The war lasted from 1914-1918.",
    "The box weighs 12.5 kg and costs 1,250.00 EUR.",
    "Call me at 10:45 or on Monday.",
    "Version 3.11.7 of the program, chapter 4.2.1",
    "In 1997 there were 250 of them; 12 345 678 people voted.",
    "Mix 250 g flour, 3 eggs and 100 ml milk, 20 minutes at 180 degrees.",
    "Please polish the shoes. I may come in May.",
    "Translate this into French: good morning. How do you say it in Danish?",
    "She is right. I am 5 minutes late. e.g. this one.It works",
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND)
def test_identifier_is_found_whole(text: str, kind: str, value: str) -> None:
    assert (kind, value) in [(span.kind.value, text[span.start : span.end]) for span in detect(text)]


@pytest.mark.parametrize("text", LEFT)
def test_ordinary_numbers_and_words_are_left(text: str) -> None:
    assert [text[span.start : span.end] for span in detect(text)] == []
