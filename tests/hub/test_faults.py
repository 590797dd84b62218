"""What a hub may do wrong, and the one sentence that becomes of it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from hub.errors import (
    HubBusy,
    HubCut,
    HubEndless,
    HubFailed,
    HubMoved,
    HubNonsense,
    HubResting,
    HubSilent,
    HubUnreachable,
    HubUntrusted,
    HubUnusable,
    KeyRefused,
    WrongModel,
)
from models.types import last
from tests.hub.fake_hub import Fault, running
from tests.hub.household import MAIL, household, request
from tests.peers.nodes import new_identity

FAULTS: list[tuple[Fault, type[HubUnusable]]] = [
    (Fault.SLOW, HubSilent),
    (Fault.SLOW_MIDDLE, HubSilent),
    (Fault.BUSY, HubBusy),
    (Fault.FAILS, HubFailed),
    (Fault.KEY, KeyRefused),
    (Fault.MOVED, HubMoved),
    (Fault.GARBAGE, HubCut),
    (Fault.HALF, HubCut),
    (Fault.CUT, HubCut),
    (Fault.ENDLESS, HubEndless),
    (Fault.LONG_LINE, HubNonsense),
    (Fault.WRONG_MODEL, WrongModel),
    (Fault.INVENTS, HubNonsense),
    (Fault.ERROR_INSIDE, HubNonsense),
    (Fault.FILTERED, HubCut),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS, ids=lambda value: getattr(value, "name", ""))
async def test_whatever_a_hub_does_becomes_one_sentence_and_never_a_hang(
    tmp_path: Path, fault: Fault, error: type[HubUnusable]
) -> None:
    async with running(fault) as hub, household(tmp_path) as home, asyncio.timeout(15):
        home.add(hub.as_hub())
        with pytest.raises(error) as raised:
            await last(
                home.specialist(capability="summarize").run(replace(request("one two three"), capability="summarize"))
            )
        assert str(raised.value).endswith(".") and "stack trace" not in str(raised.value)
        assert hub.elsewhere == []


async def test_a_hub_that_is_down_is_unreachable(tmp_path: Path) -> None:
    async with running() as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        gone = hub.as_hub()
    async with household(tmp_path / "2") as home:
        home.add(gone)
        with pytest.raises(HubUnreachable, match="can't be reached"):
            await home.ask("What is love?")


async def test_a_hub_that_has_no_room_at_first_is_asked_again(tmp_path: Path) -> None:
    async with running(Fault.BUSY_ONCE) as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        assert (await home.ask("What is love?")).text == "What is love?"


async def test_a_hub_that_answers_in_one_piece_is_understood(tmp_path: Path) -> None:
    async with running(Fault.WHOLE) as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        assert (await home.ask(MAIL)).text == MAIL


async def test_a_hub_that_fails_again_and_again_is_left_alone(tmp_path: Path) -> None:
    async with running(Fault.FAILS) as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        with pytest.raises(HubFailed):
            await home.ask("What is love?")
        entries = len(home.state.ledger.entries())
        with pytest.raises(HubResting, match="left alone for"):
            await home.ask("What is love?")
        assert len(home.state.ledger.entries()) == entries


async def test_a_wrong_certificate_is_not_trusted_and_no_byte_is_sent(tmp_path: Path) -> None:
    own = new_identity(tmp_path / "box")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate_file, own.key_file)
    async with running(context=context) as hub, household(tmp_path) as home:
        home.add(hub.as_hub())
        with pytest.raises(HubUntrusted, match="nothing was sent"):
            await home.ask("What is love?")
        home.add(replace(hub.as_hub("other"), pin="0" * 64))
        with pytest.raises(HubUntrusted):
            await home.ask("What is love?", hub="other")
        assert hub.bodies == []
        home.add(replace(hub.as_hub("pinned"), pin=hashlib.sha256(own.certificate_der).hexdigest()))
        assert (await home.ask("What is love?", hub="pinned")).text == "What is love?"
