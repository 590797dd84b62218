"""How much may be spent on hubs, per day and per task: money, tokens, bytes, requests. Checked before sending.

What a request could cost at most is taken off first and put right afterwards, so an overrun can't happen;
a crash in between leaves too much taken off, never too little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, TypedDict

from hub.errors import OverBudget
from hub.files import FOLDER, Kept

FILE = "budget.json"
DAY_S = 24 * 3600
MAX_TASKS = 1000
"""Tasks of one day whose spending is remembered."""

Unit = Literal["money", "tokens", "bytes", "requests"]
UNITS: tuple[Unit, ...] = ("money", "tokens", "bytes", "requests")


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used up, or may be."""

    money: float = 0.0
    """In the owner's currency, whatever it is: the price table has the same."""
    tokens: int = 0
    bytes: int = 0
    """That left this device."""
    requests: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.money + other.money,
            self.tokens + other.tokens,
            self.bytes + other.bytes,
            self.requests + other.requests,
        )

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            max(0.0, self.money - other.money),
            max(0, self.tokens - other.tokens),
            max(0, self.bytes - other.bytes),
            max(0, self.requests - other.requests),
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that may be used up; None sets no bound."""

    money: float | None = None
    tokens: int | None = None
    bytes: int | None = None
    requests: int | None = None


class Change(TypedDict, total=False):
    """New limits; those that are not named stay."""

    money: float | None
    tokens: int | None
    bytes: int | None
    requests: int | None


PER_DAY = Limits(money=1.0, tokens=200_000, bytes=2_000_000, requests=200)
PER_TASK = Limits(money=0.10, tokens=20_000, bytes=200_000, requests=6)
"""Until the owner says otherwise: enough to be useful, too little to hurt."""


@dataclass(frozen=True, slots=True)
class Account:
    """Limits, and what was used up today."""

    per_day: Limits = PER_DAY
    per_task: Limits = PER_TASK
    day: int = 0
    """Days since 1970; never goes back, so a clock that is set back gives no second budget."""
    today: Spent = Spent()
    tasks: Mapping[str, Spent] = field(default_factory=dict)


def taken(account: Account, task: str, most: Spent, day: int) -> Account:
    """Return the account after the most that a request can cost was taken off. Raises OverBudget."""
    now = on_day(account, day)
    of_task = now.tasks.get(task, Spent())
    _check(now.per_task, of_task + most, "this task", "--task")
    _check(now.per_day, now.today + most, "today", "--day")
    kept = dict(list(now.tasks.items())[-MAX_TASKS + 1 :])
    return replace(now, today=now.today + most, tasks={**kept, task: of_task + most})


def settled(account: Account, task: str, most: Spent, real: Spent) -> Account:
    """Return the account after a request took less than the most that was taken off for it; more counts as well."""
    of_task = account.tasks.get(task, Spent()) - most + real
    return replace(account, today=account.today - most + real, tasks={**account.tasks, task: of_task})


def on_day(account: Account, day: int) -> Account:
    """Return the account as it is on a day: a new day starts empty."""
    return replace(account, day=day, today=Spent(), tasks={}) if day > account.day else account


def _check(limits: Limits, would_be: Spent, what: str, option: str) -> None:
    for unit in UNITS:
        limit, value = getattr(limits, unit), getattr(would_be, unit)
        if limit is not None and value > limit + 1e-9:
            raise OverBudget(
                f"With this, up to {shown(unit, value)} would be used for {what}, and {shown(unit, limit)} is the "
                f"limit, so nothing was sent. Change it with `covey budget {option} --{unit} N`, or ask on this device."
            )


def shown(unit: Unit, value: float) -> str:
    """Return an amount in words.

    >>> shown("money", 0.5), shown("tokens", 12000)
    ('0.50', '12,000 tokens')
    """
    return f"{value:.4f}".rstrip("0").ljust(4, "0") if unit == "money" else f"{value:,.0f} {unit}"


class Budget:
    """The account in its file. Calls block for the disk and raise HubBookError."""

    def __init__(self, home: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._kept: Kept[Account] = Kept(home / FOLDER / FILE, Account, Account)
        self._clock = clock

    def account(self) -> Account:
        """Return limits and spending as they are now."""
        return on_day(self._kept.read(), self._day())

    def limit(self, *, per_day: Change, per_task: Change) -> Account:
        """Change limits and return the account."""
        return self._kept.change(
            lambda account: replace(
                on_day(account, self._day()),
                per_day=replace(account.per_day, **per_day),
                per_task=replace(account.per_task, **per_task),
            )
        )

    def check(self, task: str, most: Spent) -> None:
        """Raise OverBudget when a request can't be afforded; nothing is taken off."""
        taken(self._kept.read(), task, most, self._day())

    def take(self, task: str, most: Spent) -> Reservation:
        """Take off the most that a request can cost. Raises OverBudget."""
        self._kept.change(lambda account: taken(account, task, most, self._day()))
        return Reservation(self, task, most)

    def settle(self, task: str, most: Spent, real: Spent) -> None:
        """Put right what was taken off."""
        self._kept.change(lambda account: settled(account, task, most, real))

    def _day(self) -> int:
        return int(self._clock() // DAY_S)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was taken off for one request."""

    budget: Budget
    task: str
    most: Spent

    def settle(self, real: Spent) -> None:
        """Put it right; blocks for the disk."""
        self.budget.settle(self.task, self.most, real)


assert {f.name for f in fields(Spent)} == set(UNITS) == {f.name for f in fields(Limits)}
