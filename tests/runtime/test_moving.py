"""A device is lost in the middle of an answer: it goes on elsewhere behind the last word, or begins again openly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import ModelsError
from models.types import Chunk, Tier
from peers.errors import PeerLost
from peers.grants import Limits, own_device
from runtime.asking import Answer, Restarted
from runtime.events import StepFailed
from tests.runtime.devices import STORY, Device, device, story, writer

SLOW_S = 0.02


def text_of(pieces: list[Chunk | Restarted]) -> str:
    """Return what a reader sees at the end: after a restart only what came behind it."""
    said: list[str] = []
    for piece in pieces:
        if isinstance(piece, Restarted):
            said.clear()
        else:
            said.append(piece.text)
    return "".join(said)


def in_order(pieces: list[Chunk | Restarted]) -> bool:
    """Return whether every token came once, in its place."""
    place = 0
    for piece in pieces:
        if isinstance(piece, Restarted):
            place = 0
            continue
        if piece.index != place:
            return False
        place += len(piece.token_ids)
    return True


async def told_losing(
    asker: Device, lose: Callable[[], object], *, after: int
) -> tuple[list[Chunk | Restarted], Answer]:
    """Ask for a story, and lose the device after so many pieces."""
    pieces: list[Chunk | Restarted] = []
    async with contextlib.aclosing(asker.node.stream(story())) as items:
        async for item in items:
            if isinstance(item, Answer):
                return pieces, item
            pieces.append(item)
            if len(pieces) == after:
                lose()
    raise AssertionError("no answer came")


@pytest.mark.parametrize("after", [1, 7, 20])
async def test_a_lost_answer_goes_on_behind_its_last_token_on_another_device(tmp_path: Path, after: int) -> None:
    async with (
        device(tmp_path, "laptop") as laptop,
        device(tmp_path, "kitchen", writer(token_s=SLOW_S)) as kitchen,
        device(tmp_path, "desktop", writer(token_s=SLOW_S)) as desktop,
    ):
        await laptop.knows(kitchen, rtt_s=0.001)
        await laptop.knows(desktop, rtt_s=0.1)
        pieces, answer = await told_losing(laptop, kitchen.wire.cut, after=after)
        assert (answer.result.text, text_of(pieces), answer.node) == (STORY, STORY, "desktop")
        assert in_order(pieces)
        (note,) = answer.notes
        assert note.startswith("kitchen was lost after ")
        assert note.endswith(" tokens, and desktop went on with it.")
        assert not any(isinstance(piece, Restarted) for piece in pieces)
        assert desktop.model is not None
        assert len(desktop.model.calls[0].resume_tokens) >= after
        reached = {entry.recipient_name for entry in laptop.sent()}
        assert reached == {"kitchen", "desktop"}
        assert answer.bytes_out == sum(entry.size_bytes for entry in laptop.sent())


async def test_with_the_model_here_the_answer_goes_on_here(tmp_path: Path) -> None:
    slow, fast = writer(token_s=5 * SLOW_S), writer(token_s=SLOW_S)
    async with device(tmp_path, "laptop", slow) as laptop, device(tmp_path, "kitchen", fast) as kitchen:
        await laptop.ask(story())
        cards = [card.model_copy(update={"decode_tps": 1 / SLOW_S}) for card in await kitchen.cards()]
        await laptop.knows(kitchen, cards=tuple(cards))
        pieces, answer = await told_losing(laptop, kitchen.wire.cut, after=5)
        assert (text_of(pieces), answer.node, answer.tier) == (STORY, "this device", Tier.HOME)
        assert in_order(pieces)
        assert answer.bytes_out > 0
        assert slow.calls[-1].resume_tokens


async def test_with_another_model_it_begins_again_and_says_so(tmp_path: Path) -> None:
    other = "A quite different story, by quite a different model."
    async with (
        device(tmp_path, "laptop") as laptop,
        device(tmp_path, "kitchen", writer(token_s=SLOW_S)) as kitchen,
        device(tmp_path, "desktop", writer(other, name="other")) as desktop,
    ):
        await laptop.knows(kitchen, rtt_s=0.001)
        await laptop.knows(desktop, rtt_s=0.1)
        pieces, answer = await told_losing(laptop, kitchen.wire.cut, after=5)
        (notice,) = [piece for piece in pieces if isinstance(piece, Restarted)]
        assert "kitchen was lost after 5 tokens" in notice.reason
        assert (text_of(pieces), answer.result.text) == (other, other)
        assert desktop.model is not None
        assert desktop.model.calls[0].resume_tokens == ()


async def test_two_other_devices_are_tried_and_no_more(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        laptop = await stack.enter_async_context(device(tmp_path, "laptop"))
        names = ["one", "two", "three", "four"]
        others = [await stack.enter_async_context(device(tmp_path, name, writer())) for name in names]
        for number, other in enumerate(others):
            await laptop.knows(other, rtt_s=0.1 * (number + 1))
            other.wire.cut()
        with pytest.raises(ModelsError, match="three can't be reached") as caught:
            await laptop.ask(story())
        assert "Before it, one and two failed. No other device can do this now: `covey doctor` says why" in str(
            caught.value
        )
        events = [entry.event for entry in laptop.node.journal.events(laptop.node.journal.tasks(1)[0])]
        assert len([event for event in events if isinstance(event, StepFailed)]) <= 4
        asked = {entry.recipient_name for entry in laptop.sent()}
        assert asked == {"one", "two", "three"}


async def test_when_the_only_device_is_lost_for_good_the_sentence_promises_nothing(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer(token_s=SLOW_S)) as kitchen:
        await laptop.knows(kitchen)
        with pytest.raises(ModelsError) as caught:
            await told_losing(laptop, kitchen.wire.cut, after=4)
        said = str(caught.value)
        assert said.startswith("kitchen can't be reached")
        assert said.endswith("and `covey models pull` lets this one do it.")
        assert "Before it" not in said
        assert "goes on elsewhere" not in said


async def test_a_busy_device_is_passed_over_and_left_in_peace(tmp_path: Path) -> None:
    async with (
        device(tmp_path, "laptop") as laptop,
        device(tmp_path, "kitchen", writer()) as kitchen,
        device(tmp_path, "desktop", writer()) as desktop,
    ):
        once = replace(own_device(), limits=Limits(tasks_per_minute=1))
        await laptop.knows(kitchen, rtt_s=0.001, theirs=once)
        await laptop.knows(desktop, rtt_s=0.1)
        nodes = [(await laptop.ask(story())).node for _ in range(3)]
        assert nodes == ["kitchen", "desktop", "desktop"]
        sent_to_kitchen = [e for e in laptop.sent() if e.recipient_name == "kitchen"]
        assert len(sent_to_kitchen) == 2


async def test_slow_is_not_dead(tmp_path: Path) -> None:
    """Each token takes longer than the silence that means death; the beats say that it works."""
    async with (
        device(tmp_path, "laptop") as laptop,
        device(tmp_path, "kitchen", writer("One.", token_s=3.4)) as kitchen,
    ):
        await laptop.knows(kitchen)
        answer = await laptop.ask(story())
        assert (answer.result.text, answer.node) == ("One.", "kitchen")
        assert kitchen.model is not None
        assert len(kitchen.model.calls) == 1


async def test_a_device_that_falls_silent_is_given_up_and_its_late_work_is_cancelled(tmp_path: Path) -> None:
    async with (
        device(tmp_path, "laptop") as laptop,
        device(tmp_path, "kitchen", writer(token_s=SLOW_S)) as kitchen,
        device(tmp_path, "desktop", writer(token_s=SLOW_S)) as desktop,
    ):
        await laptop.knows(kitchen, rtt_s=0.001)
        await laptop.knows(desktop, rtt_s=0.1)
        loop = asyncio.get_running_loop()
        silent_s = 0.0

        def silence() -> None:
            nonlocal silent_s
            silent_s = loop.time()
            kitchen.wire.speaking.clear()

        pieces, answer = await told_losing(laptop, silence, after=4)
        assert (text_of(pieces), answer.node) == (STORY, "desktop")
        assert in_order(pieces)
        assert loop.time() - silent_s < 5.0 + len(STORY.split()) * SLOW_S * 2
        kitchen.wire.speaking.set()
        assert kitchen.model is not None
        end_s = loop.time() + 3
        while kitchen.model.running and loop.time() < end_s:  # noqa: ASYNC110  # the model has no event for it
            await asyncio.sleep(0.05)
        assert kitchen.model.running == 0


async def test_a_device_that_is_back_after_a_broken_connection_goes_on_itself(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer(token_s=SLOW_S)) as kitchen:
        await laptop.knows(kitchen)
        pieces, answer = await told_losing(laptop, kitchen.wire.reset, after=6)
        assert (text_of(pieces), answer.node) == (STORY, "kitchen")
        assert in_order(pieces)


async def test_a_device_whose_card_names_other_weights_than_it_has_spoils_no_answer(tmp_path: Path) -> None:
    """Its tokens would mean something else: it refuses, begins anew, and the reader is told."""
    other = "A quite different story, by quite a different model."
    async with (
        device(tmp_path, "laptop") as laptop,
        device(tmp_path, "kitchen", writer(token_s=SLOW_S)) as kitchen,
        device(tmp_path, "desktop", writer(other, name="other")) as desktop,
    ):
        await laptop.knows(kitchen, rtt_s=0.001)
        await laptop.knows(desktop, rtt_s=0.1, cards=await kitchen.cards())
        pieces, answer = await told_losing(laptop, kitchen.wire.cut, after=5)
        assert len([piece for piece in pieces if isinstance(piece, Restarted)]) == 1
        assert (text_of(pieces), answer.result.text, answer.node) == (other, other, "desktop")


async def test_a_device_that_can_not_do_what_it_says_is_passed_over(tmp_path: Path) -> None:
    """Its card names a model that it does not have any more."""
    async with (
        device(tmp_path, "laptop") as laptop,
        device(tmp_path, "kitchen") as kitchen,
        device(tmp_path, "desktop", writer()) as desktop,
    ):
        cards = await desktop.cards()
        await laptop.knows(kitchen, rtt_s=0.001, cards=cards)
        await laptop.knows(desktop, rtt_s=0.1)
        nodes = [(await laptop.ask(story())).node for _ in range(2)]
        assert nodes == ["desktop", "desktop"]
        assert len([entry for entry in laptop.sent() if entry.recipient_name == "kitchen"]) == 1


async def test_a_device_that_was_started_anew_needs_no_rest(tmp_path: Path) -> None:
    async with device(tmp_path, "laptop") as laptop, device(tmp_path, "kitchen", writer()) as kitchen:
        await laptop.knows(kitchen, boot="first")
        laptop.node.others.failed(kitchen.id, PeerLost("The connection to kitchen broke. It goes on elsewhere."))
        (seat,) = await laptop.node.others.seats({}, call=False)
        assert "a moment ago" in seat.resting
        await laptop.knows(kitchen, boot="second")
        assert (await laptop.ask(story())).node == "kitchen"
