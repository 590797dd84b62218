"""What holds for every test: nothing leaves the machine, state is the test's own, `async def` runs."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from peers.release import live_recipients
from tests.socket_guard import SocketGuard

GUARD = SocketGuard(live=lambda: bool(live_recipients()))
GRACE_S = 1.0
"""How long tasks may take to end after their test has returned."""


def pytest_configure(config: pytest.Config) -> None:
    GUARD.install()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # run in the background, where commands could not be stopped
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Run an `async def` test on a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(_to_the_end(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})), debug=False)
    return True


async def _to_the_end(test: Coroutine[Any, Any, None]) -> None:
    """Run the test, then insist that every task it started has ended: each has a parent that waits for it."""
    await test
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE_S)
    if left:
        pytest.fail(f"left running: {', '.join(sorted(task.get_name() for task in left))}")


@pytest.fixture
def socket_guard() -> SocketGuard:
    """Where a test registers the addresses that a live release may send to."""
    return GUARD


@pytest.fixture(autouse=True)
def _nothing_leaves() -> Iterator[None]:
    GUARD.take()
    yield
    attempts = GUARD.take()
    if attempts:
        pytest.fail(f"tried to send off this machine: {'; '.join(attempts)}")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("COVEY_") and name != "COVEY_TEST_HOME"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COVEY_DISCOVERY", "off")


@pytest.fixture(scope="session")
def models_home() -> Path:
    """A COVEY_HOME whose store holds the models; `scripts/test` pulls them there."""
    chosen = os.environ.get("COVEY_TEST_HOME", "")
    if not chosen:
        pytest.skip("needs models: run scripts/test, or set COVEY_TEST_HOME to a Covey folder that has them")
    home = Path(chosen)
    if not (home / "models").is_dir():
        pytest.skip(f"{home} holds no models: run scripts/test, which pulls them")
    return home
