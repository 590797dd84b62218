"""What standing answers answer, and what they leave to the owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.consent import Reply, Rule, Rules, Wish, permission, rule_of, standing
from models.types import Label
from peers.policy import Place

WISH = Wish(Label.PERSONAL, "generate", "far", Place.AWAY)


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        (Rule("allow", Label.PERSONAL, "generate", "far"), "allow"),
        (Rule("allow", Label.PERSONAL, "", ""), "allow"),
        (Rule("allow", Label.PUBLIC, "generate", "far"), None),
        (Rule("allow", Label.SENSITIVE, "generate", "far"), "allow"),
        (Rule("allow", Label.PERSONAL, "extract", "far"), None),
        (Rule("allow", Label.PERSONAL, "generate", "near"), None),
        (Rule("never", Label.PUBLIC, "", ""), "never"),
        (Rule("never", Label.SENSITIVE, "", ""), None),
    ],
)
def test_a_rule_holds_for_its_label_its_kind_and_its_hub(rule: Rule, word: str | None) -> None:
    assert standing((rule,), WISH) == word


def test_never_beats_allow_whichever_was_said_last() -> None:
    allow, never = Rule("allow", Label.PERSONAL, "", "far"), Rule("never", Label.PERSONAL, "generate", "")
    assert standing((allow, never), WISH) == standing((never, allow), WISH) == "never"


def test_what_is_sensitive_has_no_standing_yes() -> None:
    wish = Wish(Label.SENSITIVE, "generate", "far", Place.HOME)
    assert standing((Rule("allow", Label.SENSITIVE, "", ""),), wish) is None
    assert standing((Rule("never", Label.SENSITIVE, "", ""),), wish) == "never"


def test_only_this_kind_and_never_make_a_rule() -> None:
    assert rule_of(Reply.ONCE, WISH) is rule_of(Reply.NO, WISH) is None
    assert rule_of(Reply.THIS_KIND, WISH) == Rule("allow", Label.PERSONAL, "generate", "far")
    assert rule_of(Reply.NEVER, WISH) == Rule("never", Label.PERSONAL, "generate", "far")


def test_a_changed_mind_replaces_the_rule_and_a_forgotten_hub_is_asked_about_anew(tmp_path: Path) -> None:
    rules = Rules(tmp_path)
    rules.add(Rule("allow", Label.PERSONAL, "generate", "far"))
    rules.add(Rule("never", Label.PERSONAL, "generate", "far"))
    rules.add(Rule("allow", Label.PERSONAL, "", "near"))
    assert [rule.word for rule in rules.all()] == ["never", "allow"]
    rules.forget("far")
    assert rules.all() == (Rule("allow", Label.PERSONAL, "", "near"),)


def test_a_rule_about_a_lent_hub_is_about_that_device_and_none_about_own_hubs_lets_it_have_anything() -> None:
    lent = Wish(Label.PUBLIC, "generate", "far@kitchen", Place.AWAY, "K")
    assert rule_of(Reply.THIS_KIND, lent) == Rule("allow", Label.PUBLIC, "generate", "far@kitchen", "K")
    for rule, word in (
        (Rule("allow", Label.PERSONAL, "", "far@kitchen", "K"), "allow"),
        (Rule("allow", Label.PERSONAL, "", "far@kitchen", "L"), None),
        (Rule("allow", Label.PERSONAL, "", ""), None),
        (Rule("never", Label.PUBLIC, "", ""), "never"),
        (Rule("never", Label.PUBLIC, "", "far"), None),
    ):
        assert standing((rule,), lent) == word, rule
    assert standing((Rule("allow", Label.PERSONAL, "", "far", "K"),), WISH) is None


def test_a_machine_of_the_owners_needs_no_word_for_what_it_may_see() -> None:
    home = Wish(Label.PERSONAL, "generate", "big-box", Place.HOME)
    assert permission((), home, Label.PERSONAL) == "allow"
    assert permission((), home, Label.PUBLIC) is None
    assert permission((), WISH, Label.SENSITIVE) is None
    assert permission((Rule("never", Label.PUBLIC, "", ""),), home, Label.PERSONAL) == "never"
