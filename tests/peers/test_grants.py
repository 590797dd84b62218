"""What a grant allows, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.types import Label
from peers.grants import TEMPORARY, Ask, Grant, Limits, Now, QuietHours, What, allows, guest_device, own_device
from peers.policy import Place

NOON = Now(time_ns=1000, minute=12 * 60)
RUN = Ask(What.RUN, "extract", Label.PERSONAL, tokens=100)
OWN = own_device()


def test_the_owners_own_device_may_work_with_personal_things() -> None:
    assert allows(OWN, RUN, NOON).allowed
    assert allows(OWN, Ask(What.COPY_MODEL), NOON).allowed


def test_a_guest_gets_public_things_only_and_little_of_them() -> None:
    guest = guest_device(expires_ns=2000)
    assert allows(guest, replace(RUN, label=Label.PUBLIC), NOON).allowed
    assert allows(guest, RUN, NOON).rule == "label"
    assert allows(guest, Ask(What.COPY_MODEL), NOON).rule == "copy_model"
    assert guest.limits.at_once == 1


def test_what_is_given_to_a_guest_leaves_the_home() -> None:
    assert (own_device().place, guest_device(None).place) == (Place.HOME, Place.AWAY)


@pytest.mark.parametrize(
    ("grant", "ask", "now", "rule"),
    [
        (replace(OWN, expires_ns=1000), RUN, NOON, "expired"),
        (replace(OWN, expires_ns=1001), RUN, NOON, ""),
        (OWN, replace(RUN, label=Label.SENSITIVE), NOON, "label"),
        (replace(OWN, label=Label.SENSITIVE), replace(RUN, label=Label.SENSITIVE), NOON, ""),
        (replace(OWN, label=Label.SECRET), replace(RUN, label=Label.SECRET), NOON, "label"),
        (replace(OWN, capabilities=frozenset({"embed"})), RUN, NOON, "capability"),
        (replace(OWN, capabilities=frozenset({"extract"})), replace(RUN, capability="extract.event"), NOON, ""),
        (replace(OWN, capabilities=frozenset()), RUN, NOON, "capability"),
        (replace(OWN, tasks=3), RUN, replace(NOON, tasks_done=2), ""),
        (replace(OWN, tasks=3), RUN, replace(NOON, tasks_done=3), "tasks"),
        (replace(OWN, limits=Limits(tokens_per_task=99)), RUN, NOON, "tokens"),
        (replace(OWN, limits=Limits(at_once=2)), RUN, replace(NOON, running=1), ""),
        (replace(OWN, limits=Limits(at_once=2)), RUN, replace(NOON, running=2), "at_once"),
        (replace(OWN, copy_models=False), Ask(What.COPY_MODEL), NOON, "copy_model"),
        (OWN, Ask(What.RELAY), NOON, "relay"),
        (replace(OWN, relay=True), Ask(What.RELAY), NOON, ""),
        (OWN, Ask(What.ADMIN), NOON, "admin"),
        (replace(OWN, admin=True), Ask(What.ADMIN), NOON, ""),
        (replace(OWN, admin=True, expires_ns=1), Ask(What.ADMIN), NOON, "expired"),
    ],
)
def test_a_rule_refuses_exactly_what_was_not_granted(grant: Grant, ask: Ask, now: Now, rule: str) -> None:
    verdict = allows(grant, ask, now)
    assert (verdict.allowed, verdict.rule) == (not rule, rule)
    assert verdict.allowed or verdict.reason.endswith(".")


@pytest.mark.parametrize(
    ("start", "end", "minute", "quiet"),
    [
        (22 * 60, 7 * 60, 23 * 60, True),
        (22 * 60, 7 * 60, 0, True),
        (22 * 60, 7 * 60, 7 * 60 - 1, True),
        (22 * 60, 7 * 60, 7 * 60, False),
        (22 * 60, 7 * 60, 12 * 60, False),
        (60, 120, 60, True),
        (60, 120, 120, False),
        (60, 60, 60, False),
    ],
)
def test_quiet_hours_may_span_midnight(start: int, end: int, minute: int, quiet: bool) -> None:
    verdict = allows(replace(OWN, quiet=QuietHours(start, end)), RUN, Now(0, minute))
    assert verdict.allowed is not quiet
    assert quiet is (verdict.rule == "quiet")


def test_a_refusal_that_time_cures_is_marked_so() -> None:
    quiet = allows(replace(OWN, quiet=QuietHours(0, 1439)), RUN, NOON)
    assert quiet.rule in TEMPORARY
    assert "until 23:59" in quiet.reason
    assert allows(OWN, Ask(What.ADMIN), NOON).rule not in TEMPORARY


def test_a_grant_can_not_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        OWN.admin = True  # type: ignore[misc]
