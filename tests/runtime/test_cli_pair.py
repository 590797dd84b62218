"""`covey pair` as it is typed on two devices: two processes, two homes, real TLS on loopback."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from peers import offer
from peers.codes import Address, Invitation, parse_code
from peers.errors import WindowClosed
from peers.served import announced
from runtime.addresses import choose
from runtime.cli.main import main
from runtime.cli.node_state import opened

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def command(home: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    environment = {**os.environ, "COVEY_HOME": str(home), "COVEY_DISCOVERY": "off"}
    return [sys.executable, "-m", "runtime.cli.main", *arguments], environment


@contextmanager
def waiting(home: Path, port: int, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A device that shows a code, and that code."""
    line, environment = command(
        home, "pair", "--host", "127.0.0.1", "--port", str(port), "--name", "laptop", *arguments
    )
    with subprocess.Popen(line, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for said in process.stdout:
                if match := re.search(r"covey pair --code (\d{6}) --at", said):
                    yield process, match[1]
                    return
            raise AssertionError("no code was shown")
        finally:
            process.kill()


def run(home: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    line, environment = command(home, *arguments, "--json")
    done = subprocess.run(
        line,
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, json.loads(done.stdout)


def test_two_devices_are_paired_by_a_code_that_is_typed(tmp_path: Path) -> None:
    port = free_port()
    with waiting(tmp_path / "laptop", port, "--own") as (process, code):
        ended, said = run(
            tmp_path / "kitchen", "pair", "--code", code, "--at", f"127.0.0.1:{port}", "--name", "kitchen"
        )
        assert (ended, said["paired"]["name"]) == (0, "laptop")
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait(10) == 0
        assert "Paired with kitchen: sees personal" in rest
    assert run(tmp_path / "laptop", "peers", "list")[1]["peers"][0]["name"] == "kitchen"
    assert run(tmp_path / "kitchen", "ledger", "verify")[1]["ok"] is True


def test_two_devices_are_paired_by_what_a_phone_reads_from_the_picture(tmp_path: Path) -> None:
    """No address is typed: the text has it."""
    port, at = free_port(), r"^  covey pair --code (COVEY/1/\S+)$"
    line, environment = command(
        tmp_path / "laptop", "pair", "--own", "--qr", "--host", "127.0.0.1", "--port", str(port), "--name", "laptop"
    )
    with subprocess.Popen(line, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            text = next(match[1] for said in process.stdout if (match := re.match(at, said)))
            ended, said = run(tmp_path / "kitchen", "pair", "--code", text, "--name", "kitchen")
            assert (ended, said["paired"]["name"]) == (0, "laptop")
            assert "Paired with kitchen" in process.stdout.read()
        finally:
            process.kill()


def test_a_wrong_code_pairs_nobody_and_says_so(tmp_path: Path) -> None:
    port = free_port()
    with waiting(tmp_path / "laptop", port, "--guest", "2h") as (_, code):
        wrong = f"{(int(code) + 1) % 10**6:06d}"
        ended, said = run(tmp_path / "kitchen", "pair", "--code", wrong, "--at", f"127.0.0.1:{port}")
        assert (ended, said["error"]["code"]) == (1, "pairing_failed")
    assert run(tmp_path / "kitchen", "peers", "list")[1]["peers"] == []


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def one_object(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["pair", *arguments, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_with_a_running_node_json_prints_the_code_and_leaves_the_window_open(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as node:
        port = node.getsockname()[1]
        with announced(opened().folder, Address("127.0.0.1", port)):
            shown = one_object(capsys)
    assert re.fullmatch(r"\d{6}", shown["code"])
    assert shown["expires_s"] == 120
    invitation = parse_code(shown["qr"])
    assert isinstance(invitation, Invitation)
    assert [str(place) for place in invitation.addresses] == shown["addresses"] == [f"127.0.0.1:{port}"]
    state = opened()
    made = offer.load(state.folder)
    assert made is not None
    assert {code.method for code in made.codes} == {"pin", "token"}
    assert made.grant.whose == "own"


def test_without_a_node_json_says_to_start_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = one_object(capsys, "--host", "127.0.0.1", "--port", str(free_port()), code=2)["error"]
    assert "covey up" in error["message"]


def test_a_guests_window_has_a_guests_grant(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as node:
        with announced(opened().folder, Address("127.0.0.1", node.getsockname()[1])):
            one_object(capsys, "--guest", "2h")
    made = offer.load(opened().folder)
    assert made is not None
    assert made.grant.whose == "guest"
    assert made.grant.expires_ns == pytest.approx(made.opened_ns + 7200 * 10**9, abs=10**9)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--code", "12"], "six digits|6 digits"),
        (["--code", "123456"], "--at HOST:PORT"),
        (["--at", "127.0.0.1:1"], "--code"),
        (["--code", "123456", "--at", "nowhere"], "192.168.1.20:4489"),
        (["--own", "--guest", "2h"], "one or the other"),
        (["--guest", "soon"], "30m, 2h or 7d"),
    ],
)
def test_wrong_use_is_a_sentence(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert re.search(words, one_object(capsys, *arguments, code=2)["error"]["message"])


def test_nobody_at_the_address_is_a_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = one_object(capsys, "--code", "123456", "--at", f"127.0.0.1:{free_port()}", code=1)["error"]
    assert error["code"] == "peer_unreachable"


def test_a_window_that_nobody_used_ends_with_a_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime.cli.pair.WINDOW_S", 0.4)
    assert main(["pair", "--host", "127.0.0.1", "--port", str(free_port()), "--own", "--qr"]) == 1
    shown = capsys.readouterr()
    assert "█" in shown.out
    assert WindowClosed.__name__ not in shown.err
    assert "Run `covey pair` again" in shown.err
    assert offer.load(opened().folder) is None


def test_addresses_of_tunnels_containers_and_loopback_are_left_out() -> None:
    inet, inet6 = socket.AF_INET, socket.AF_INET6
    found = choose(
        {
            "lo": [(inet, "127.0.0.1"), (inet6, "::1")],
            "eth0": [(inet6, "fd00::7"), (inet, "192.168.1.20"), (inet6, "fe80::1%eth0"), (17, "aa:bb:cc:dd:ee:ff")],
            "docker0": [(inet, "172.17.0.1")],
            "wg0": [(inet, "10.0.0.2")],
        }
    )
    assert found == ["192.168.1.20", "fd00::7"]
