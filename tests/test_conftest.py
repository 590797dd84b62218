"""The guards of the suite do bite: a made-up test file breaks each promise, in a pytest of its own."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.socket_guard import ForbiddenSend, SocketGuard, is_local

ROOT = Path(__file__).parents[1]
ELSEWHERE = ("192.0.2.1", 9)
"""An address that is reserved for documentation; nothing answers there."""

BREAKERS = f"""
import asyncio, os, socket

def test_connect():
    socket.socket().connect({ELSEWHERE})

def test_sendto():
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", {ELSEWHERE})

def test_sendmsg():
    socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, {ELSEWHERE})

def test_lookup():
    socket.getaddrinfo("example.invalid", 443)

def test_swallowed():
    try:
        socket.socket().connect({ELSEWHERE})
    except BaseException:
        pass

async def test_async():
    await asyncio.sleep(0)
    assert False, "it was run"

async def test_forgotten_task():
    global task
    task = asyncio.create_task(asyncio.sleep(30), name="forgotten")

def test_home(tmp_path):
    assert not os.environ["COVEY_HOME"].startswith(str(tmp_path)), "home is its own"

def test_real(models_home):
    pass
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says about the breakers under this suite's conftest, one summary line each."""
    file = tmp_path_factory.mktemp("breakers") / "test_breakers.py"
    file.write_text(BREAKERS)
    options = ["-q", "-rA", "-p", "tests.conftest", "-p", "no:cacheprovider", "-c", "/dev/null"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(file)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        timeout=50,
        check=False,
    )
    return run.stdout


@pytest.mark.parametrize("name", ["test_connect", "test_sendto", "test_sendmsg", "test_lookup"])
def test_a_send_off_the_machine_fails_the_test(printed: str, name: str) -> None:
    assert any(f"::{name} - tests.socket_guard.ForbiddenSend" in line for line in printed.splitlines()), printed


def test_a_send_that_the_code_swallows_still_fails_the_test(printed: str) -> None:
    assert "::test_swallowed - Failed: tried to send off this machine" in printed


def test_an_async_test_can_fail(printed: str) -> None:
    assert "::test_async - AssertionError: it was run" in printed


def test_a_task_left_running_fails_the_test(printed: str) -> None:
    assert "::test_forgotten_task - Failed: left running: forgotten" in printed


def test_each_test_has_a_home_of_its_own(printed: str) -> None:
    assert "::test_home - AssertionError: home is its own" in printed


def test_real_tests_say_why_they_are_skipped(printed: str) -> None:
    assert "needs models: run scripts/test" in printed


def test_loopback_and_unix_sockets_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
    near, far = socket.socketpair()
    with near, far:
        near.send(b"x")


def test_a_released_address_passes_only_while_released() -> None:
    guard = SocketGuard()
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        with guard.released(ELSEWHERE):
            guard.watch("socket.connect", (sender, ELSEWHERE))
        with pytest.raises(ForbiddenSend):
            guard.watch("socket.connect", (sender, ELSEWHERE))
    assert guard.take() == ["socket.connect '192.0.2.1'"]


def test_multicast_that_stays_on_loopback_passes_and_no_other() -> None:
    guard, group = SocketGuard(), ("224.0.0.251", 5353)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inside:
        inside.bind(("127.0.0.1", 0))
        guard.watch("socket.sendto", (inside, group))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anywhere, pytest.raises(ForbiddenSend):
        guard.watch("socket.sendto", (anywhere, group))


def test_another_device_on_loopback_is_sent_to_only_while_a_release_is_live() -> None:
    live = False
    guard = SocketGuard(live=lambda: live)
    here = ("127.0.0.1", 9)
    with socket.socket() as sender, guard.elsewhere(here):
        with pytest.raises(ForbiddenSend, match="no release stands behind"):
            guard.watch("socket.connect", (sender, here))
        live = True
        guard.watch("socket.connect", (sender, here))
    assert guard.take() == ["socket.connect ('127.0.0.1', 9)"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "", None, b"127.0.0.1"])
def test_loopback_is_local(host: object) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["192.168.1.2", "224.0.0.251", "fe80::1%eth0", "example.invalid", b"\xff"])
def test_all_else_is_not(host: object) -> None:
    assert not is_local(host)


async def test_async_tests_are_run() -> None:
    assert asyncio.get_running_loop().is_running()
