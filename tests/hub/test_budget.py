"""Budgets are checked before sending, per day and per task, and no clock gives them back early."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.budget import DAY_S, Account, Budget, Limits, Spent, settled, taken
from hub.errors import HubBookError, OverBudget

ONE = Spent(money=0.05, tokens=100, bytes=1000, requests=1)


@dataclass
class Clock:
    now_s: float = 20_000.0 * DAY_S

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("unit", ["money", "tokens", "bytes", "requests"])
@pytest.mark.parametrize("span", ["per_day", "per_task"])
def test_each_limit_holds_by_itself(unit: str, span: str) -> None:
    free = Limits()
    tight = Limits(**{unit: getattr(ONE, unit) * 2})
    account = Account(**{"per_day": free, "per_task": free, span: tight})  # type: ignore[arg-type]
    account = taken(taken(account, "t", ONE, 1), "t", ONE, 1)
    with pytest.raises(OverBudget, match=f"--{unit}"):
        taken(account, "t", ONE, 1)


def test_a_task_does_not_use_up_what_another_may() -> None:
    account = Account(per_day=Limits(), per_task=Limits(requests=1))
    account = taken(taken(account, "a", ONE, 1), "b", ONE, 1)
    with pytest.raises(OverBudget, match="for this task"):
        taken(account, "a", ONE, 1)


def test_what_was_not_used_is_given_back_and_what_was_used_more_is_counted() -> None:
    account = taken(Account(), "t", Spent(tokens=100, requests=1), 1)
    assert settled(account, "t", Spent(tokens=100, requests=1), Spent(tokens=30, requests=1)).today == Spent(
        tokens=30, requests=1
    )
    assert settled(account, "t", Spent(tokens=100), Spent(tokens=5000)).today.tokens == 5000


def test_a_new_day_is_a_new_budget_and_an_old_one_does_not_come_back(tmp_path: Path) -> None:
    clock = Clock()
    budget = Budget(tmp_path, clock=clock)
    budget.limit(per_day={"requests": 1}, per_task={})
    budget.take("t", ONE)
    with pytest.raises(OverBudget):
        budget.take("u", ONE)
    clock.now_s -= 10 * DAY_S
    with pytest.raises(OverBudget):
        budget.take("u", ONE)
    clock.now_s += 11 * DAY_S
    budget.take("u", ONE)
    assert budget.account().today == ONE


def test_a_crash_before_it_is_put_right_leaves_too_much_taken_off(tmp_path: Path) -> None:
    Budget(tmp_path).take("t", ONE)
    assert Budget(tmp_path).account().today == ONE
    assert (tmp_path / "hubs" / "budget.json").stat().st_mode & 0o077 == 0


def test_a_damaged_file_stops_spending(tmp_path: Path) -> None:
    Budget(tmp_path).take("t", ONE)
    (tmp_path / "hubs" / "budget.json").write_text('{"today": ')
    with pytest.raises(HubBookError, match="is damaged"):
        Budget(tmp_path).take("t", ONE)
