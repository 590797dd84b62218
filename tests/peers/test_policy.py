"""The table of who may be given what, row by row."""

from __future__ import annotations

import pytest

from models.types import Label
from peers.policy import CEILINGS, Allow, Recipient, RecipientKind, Refuse, covers, decide
from tests.peers.nodes import recipient

KINDS = list(RecipientKind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_goes_to_nobody_whatever_the_owner_allowed(kind: RecipientKind) -> None:
    verdict = decide(Label.SECRET, "extract", recipient(kind, ceiling=Label.SECRET))
    assert isinstance(verdict, Refuse)
    assert verdict.rule == "secret"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ceiling", list(Label))
@pytest.mark.parametrize("label", [Label.PUBLIC, Label.PERSONAL, Label.SENSITIVE])
def test_a_value_goes_no_higher_than_kind_and_ceiling(kind: RecipientKind, ceiling: Label, label: Label) -> None:
    verdict = decide(label, "extract", recipient(kind, ceiling=ceiling))
    assert isinstance(verdict, Allow) == (label <= min(ceiling, CEILINGS[kind]))


def test_every_kind_has_a_ceiling() -> None:
    assert set(CEILINGS) == set(RecipientKind)
    assert CEILINGS[RecipientKind.UNPAIRED] is Label.PUBLIC


@pytest.mark.parametrize(
    ("capabilities", "capability", "covered"),
    [
        (None, "extract", True),
        (frozenset({"extract"}), "extract", True),
        (frozenset({"extract"}), "extract.event", True),
        (frozenset({"extract.event"}), "extract", False),
        (frozenset({"extract.event"}), "extract.person", False),
        (frozenset({"extract"}), "extraction", False),
        (frozenset({""}), "extract", False),
        (frozenset[str](), "extract", False),
    ],
)
def test_a_capability_covers_those_below_it(
    capabilities: frozenset[str] | None, capability: str, covered: bool
) -> None:
    assert covers(capabilities, capability) is covered
    verdict = decide(Label.PUBLIC, capability, recipient(capabilities=capabilities))
    assert isinstance(verdict, Allow) is covered


@pytest.mark.parametrize(
    ("label", "to", "words"),
    [
        (Label.SECRET, recipient(), "secret"),
        (Label.SENSITIVE, recipient(), "kitchen may see personal at most"),
        (Label.SENSITIVE, recipient(RecipientKind.AGENT), "an agent is never given more than personal"),
        (Label.PUBLIC, recipient(capabilities=frozenset({"embed"})), "not to be given 'extract'"),
    ],
)
def test_a_refusal_is_a_sentence_with_a_next_step(label: Label, to: Recipient, words: str) -> None:
    verdict = decide(label, "extract", to)
    assert isinstance(verdict, Refuse)
    assert words in verdict.reason
    assert any(step in verdict.reason for step in ("Ask ", "Change that with `covey"))
