"""Texts with names marked, for fitting the finder of names: tagged sets, and templates filled with names from them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scripts.heads.sources import Sources

TEMPLATES = Path(__file__).parent / "name_templates.txt"
"""Written by hand; a line is a text, `{person}` and the like are filled in, `\\n` is a new line. Some have no name."""
KINDS = {
    "PERSON": "person",
    "GPE": "place",
    "STREET_ADDRESS": "address",
    "ORGANIZATION": "organization",
    "NRP": "nationality",
    "person": "person",
    "location": "place",
    "group": "organization",
    "corporation": "organization",
    "city": "place",
    "state": "place",
    "country": "place",
    "geographic_poi": "place",
    "artist": "person",
}
"""What the sets call a kind, and what it is here."""
PEOPLES = (
    "German French Spanish Italian Dutch Polish Danish Swedish Norwegian Finnish Greek Turkish Russian Chinese "
    "Japanese Korean Indian Brazilian Mexican Canadian American British English Irish Scottish Welsh Australian "
    "Egyptian Nigerian Kenyan Moroccan Syrian Iranian Iraqi Israeli Palestinian Lebanese Ukrainian Romanian "
    "Hungarian Czech Austrian Swiss Portuguese Belgian Croatian Serbian Bulgarian Vietnamese Thai Indonesian "
    "Pakistani Afghan Argentine Chilean Peruvian Cuban Germans Italians Poles Danes Swedes Turks Russians "
    "Americans Canadians Jewish Muslim Christian Hindu Catholic Buddhist Asian African European Arab Kurdish "
    "Latino Scandinavian"
).split()
FILLS = 5
"""Texts made from each template with names in it."""
OTHER_WEIGHT = 0.3
"""Of texts that are tagged by other rules, against one of the set that the figures are of."""
WNUT, SNIPS, NAMELESS = 600, 300, 150
"""Texts taken from each such set, and from sets without names."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text with the names in it."""

    text: str
    spans: tuple[tuple[int, int, str], ...]
    group: str
    """Texts of one template share it."""
    weight: float = 1.0


def presidio(row: dict[str, Any]) -> Tagged:
    marked = tuple((s["start"], s["end"], KINDS[s["type"]]) for s in row["spans"] if s["type"] in KINDS)
    return Tagged(str(row["text"]), marked, f"template {row['template_id']}")


def texts(sources: Sources, draw: random.Random) -> list[Tagged]:
    """Return all texts to fit on; those of templates in the set's tuning half come first."""
    rows = sources.tuning("pii_presidio")
    known = [presidio(row) for row in rows]
    others = tagged_otherwise(sources, draw)
    values = names_in([*known, *others])
    swapped = [_swapped(row, values, draw) for row in rows]
    lowered = [_lower(one) for one in draw.sample(known, len(known) // 3)]
    return [*known, *swapped, *lowered, *others, *filled(values, draw), *nameless(sources, draw)]


def tagged_otherwise(sources: Sources, draw: random.Random) -> list[Tagged]:
    """Return tagged short texts of other kinds, most in lower case as people type them."""
    found = [_of_tags(row["tokens"], row["tags"]) for row in draw.sample(sources.train("wnut17"), WNUT)]
    return found + [_of_slots(row) for row in draw.sample(sources.train("snips"), SNIPS)]


def nameless(sources: Sources, draw: random.Random) -> list[Tagged]:
    """Return requests in which nobody is named."""
    rows = [row for name in ("banking77", "clinc150") for row in draw.sample(sources.train(name), NAMELESS)]
    return [Tagged(row["text"], (), "nameless", OTHER_WEIGHT) for row in rows]


def names_in(tagged: Sequence[Tagged]) -> dict[str, list[str]]:
    """Return kind to the names of that kind in the texts."""
    found: dict[str, set[str]] = {kind: set() for kind in KINDS.values()}
    for one in tagged:
        for start, end, kind in one.spans:
            name = one.text[start:end]
            if len(name) > 2 and not re.search(r"[@#]|http", name):
                found[kind].add(name)
    return {kind: sorted(names) for kind, names in found.items()} | {"nationality": PEOPLES}


def filled(values: dict[str, list[str]], draw: random.Random) -> list[Tagged]:
    """Return texts made from the templates that were written by hand."""
    lines = TEMPLATES.read_text(encoding="utf-8").splitlines()
    templates = [line.replace("\\n", "\n") for line in lines for _ in range(FILLS if "{" in line else 2)]
    return [_cased(_filled(template, values, draw), draw) for template in templates]


def _filled(template: str, values: dict[str, list[str]], draw: random.Random) -> Tagged:
    text, spans = "", []
    for part in re.split(r"(\{\w+\})", template):
        kind = part[1:-1] if part.startswith("{") else ""
        piece = _name(kind, values, draw) if kind else part
        if kind:
            spans.append((len(text), len(text) + len(piece), kind))
        text += piece
    return Tagged(text, tuple(spans), f"own {template}")


def _name(kind: str, values: dict[str, list[str]], draw: random.Random) -> str:
    name = draw.choice(values[kind])
    if name.islower() and draw.random() < 0.8:
        name = name.title()
    if kind == "person" and draw.random() < 0.25:
        name = draw.choice([name.split()[0], name.split()[-1]])
    return name.upper() if kind == "place" and draw.random() < 0.15 else name


def _cased(one: Tagged, draw: random.Random) -> Tagged:
    """Return the text as it is, or now and then in lower case or in capitals."""
    chance = draw.random()
    if chance < 0.12:
        return _lower(one)
    raised = one.text.upper()
    return replace(one, text=raised) if chance < 0.16 and len(raised) == len(one.text) else one


def _swapped(row: dict[str, Any], values: dict[str, list[str]], draw: random.Random) -> Tagged:
    """Return the text with other names in it, so that the place of a name is learned and not the name."""
    text, spans, at = "", [], 0
    for span in sorted(row["spans"], key=lambda one: int(one["start"])):
        text += row["text"][at : span["start"]]
        at = span["end"]
        kind = KINDS.get(span["type"], "")
        piece = span["value"] if kind in ("", "address") else _name(kind, values, draw)
        if kind:
            spans.append((len(text), len(text) + len(piece), kind))
        text += piece
    return Tagged(text + row["text"][at:], tuple(spans), f"template {row['template_id']}")


def _of_slots(row: dict[str, Any]) -> Tagged:
    spans = tuple((s["start"], s["end"], KINDS[s["slot"]]) for s in row["slots"] if s["slot"] in KINDS)
    return Tagged(row["text"], spans, "snips", OTHER_WEIGHT)


def _of_tags(tokens: Sequence[str], tags: Sequence[str]) -> Tagged:
    text = ""
    spans: list[tuple[int, int, str]] = []
    for token, tag in zip(tokens, tags, strict=True):
        start = len(text) + bool(text)
        text = f"{text} {token}".strip()
        begins, _, name = tag.partition("-")
        kind = KINDS.get(name, "")
        if kind and begins == "I" and spans and spans[-1][1] == start - 1:
            spans[-1] = (spans[-1][0], len(text), kind)
        elif kind:
            spans.append((start, len(text), kind))
    return Tagged(text, tuple(spans), "wnut17", OTHER_WEIGHT)


def _lower(one: Tagged) -> Tagged:
    lowered = one.text.lower()
    return replace(one, text=lowered) if len(lowered) == len(one.text) else one
