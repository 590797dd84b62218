"""What paired devices are told of this one's hubs, and that a brief comes through as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.book import Hub, Price
from hub.briefs import CAPABILITIES, Repair, brief_of, input_of, messages_of, repair_of
from hub.consent import Rule
from hub.lending import cards
from models.types import Label
from peers.grants import guest_device, own_device
from peers.tidings import lent

HOME = Hub("big-box", "https://10.0.0.7/v1", "large", "home", "file", Label.PERSONAL)
AWAY = Hub("far", "https://hub.example/v1", "big", "away", "keyring", Label.PUBLIC, {"big": Price(1.0, 4.0)})
YES = Rule("allow", Label.PERSONAL, "", "far")
GRANT = replace(own_device(), relay=True)


def test_a_card_says_name_place_label_and_price_and_nothing_of_address_or_key() -> None:
    (card,) = cards([AWAY], (YES,))
    assert (card.name, card.place, card.label, card.model) == ("far", "away", "public", "big")
    assert (card.price_in, card.price_out, set(card.capabilities)) == (1.0, 4.0, CAPABILITIES)
    assert not any(word in card.pack() for word in (b"hub.example", b"keyring"))


@pytest.mark.parametrize(
    ("hub", "rules", "told"),
    [
        (HOME, (), {"personal": 7}),
        (replace(HOME, ceiling=Label.SENSITIVE), (), {"sensitive": 7}),
        (AWAY, (), {}),
        (AWAY, (Rule("allow", Label.PUBLIC, "answer", "far"),), {"public": 1}),
        (replace(AWAY, ceiling=Label.SENSITIVE), (YES,), {"personal": 7}),
        (replace(AWAY, prices={}), (YES,), {}),
        (HOME, (Rule("never", Label.PERSONAL, "", ""),), {"public": 7}),
        (HOME, (Rule("never", Label.PERSONAL, "code", "big-box"),), {"public": 1, "personal": 6}),
        (HOME, (Rule("never", Label.PUBLIC, "", "big-box"),), {}),
        (AWAY, (YES, Rule("never", Label.PUBLIC, "generate", "")), {"public": 6}),
    ],
)
def test_only_what_needs_no_question_is_told_of(hub: Hub, rules: tuple[Rule, ...], told: dict[str, int]) -> None:
    assert {card.label: len(card.capabilities) for card in cards([hub], rules)} == told


def test_a_device_is_told_of_hubs_only_as_far_as_its_grant_goes() -> None:
    known = cards([HOME, AWAY], (YES,))
    assert lent(known, own_device()) == []
    assert lent(known, GRANT) == known
    guest = replace(guest_device(None), relay=True, capabilities=frozenset({"answer"}))
    assert [(card.label, card.capabilities) for card in lent(known, guest)] == [("public", ["answer"])] * 2
    assert lent(known, replace(GRANT, capabilities=frozenset({"calculate"}))) == []


GIVEN: list[tuple[str, dict[str, Any]]] = [
    ("generate", {"prompt": "Why?", "history": [{"role": "user", "content": "I feel ill"}]}),
    (
        "answer",
        {"question": "Who?", "documents": [{"name": "will.txt", "text": "Ada."}, {"name": "", "text": "Bo."}]},
    ),
    ("extract", {"text": "noon", "fields": ["when"], "instruction": "Say when."}),
    ("extract.event", {"text": "noon", "schema": {"type": "object"}}),
    ("classify", {"text": "great!", "labels": ["good", "bad"]}),
    ("call", {"prompt": "light on", "functions": [{"name": "light", "parameters": {}}]}),
    ("summarize", {"documents": [{"name": "a", "text": "Long."}], "sentences": 2}),
    ("code", {"prompt": "a loop", "language": "python"}),
]


@pytest.mark.parametrize("repair", [None, Repair("Ada.", "the check names failed")])
@pytest.mark.parametrize(("capability", "given"), GIVEN, ids=[capability for capability, _ in GIVEN])
def test_another_device_makes_the_same_brief_from_what_it_is_sent(
    capability: str, given: dict[str, Any], repair: Repair | None
) -> None:
    brief = brief_of(capability, given, repair=repair)
    sent = input_of(brief, given)
    there = brief_of(capability, sent, repair=repair_of(sent))
    assert there == brief and messages_of(there) == messages_of(brief)
    assert "history" not in sent and "will.txt" not in str(sent)


def test_a_text_with_placeholders_of_somebody_else_is_sent_with_the_word_for_it() -> None:
    plain, hidden = (messages_of(brief_of("generate", {"prompt": text})) for text in ("Ask her.", "Ask [PERSON_1]."))
    assert "placeholders" not in plain[0].content and "never invent one" in hidden[0].content


def test_a_fault_that_quotes_the_text_is_looked_at_like_the_text() -> None:
    brief = brief_of("generate", {"prompt": "Write."}, repair=Repair("To Ada.", "'Ada' is not in the text"))
    assert brief.texts == ("Write.", "To Ada.", "'Ada' is not in the text")
    again = brief.with_texts(("Write.", "To [PERSON_1].", "'[PERSON_1]' is not in the text"))
    assert again.repair == Repair("To [PERSON_1].", "'[PERSON_1]' is not in the text")
