"""What follows a loss: a table. Nobody is tried for ever, and what would go wrong everywhere alike is said at once."""

from __future__ import annotations

import pytest

from models.errors import (
    BackendError,
    DeadlineExceeded,
    InputError,
    ModelsError,
    NotInstalled,
    OtherWeights,
    OutOfMemory,
    WorkerDied,
)
from peers.errors import LinkError, PeerBusy, PeerLost, PeerUnreachable, RecordBroken, ReleaseRefused, WrongPeer
from runtime.recovery import Next, after_loss, nobody_left, what_failed

HERE, THERE = False, True


@pytest.mark.parametrize(
    ("error", "elsewhere", "resumed", "retries_left", "follows"),
    [
        (WorkerDied("x"), HERE, True, 1, Next.AGAIN),
        (WorkerDied("x"), HERE, True, 0, Next.ELSEWHERE),
        (WorkerDied("x"), THERE, True, 1, Next.ELSEWHERE),
        (OtherWeights("x"), THERE, True, 1, Next.ANEW),
        (OtherWeights("x"), THERE, False, 1, Next.ELSEWHERE),
        (OtherWeights("x"), HERE, True, 0, Next.ANEW),
        (PeerLost("x"), THERE, False, 1, Next.ELSEWHERE),
        (PeerBusy("x"), THERE, False, 1, Next.ELSEWHERE),
        (LinkError("x"), THERE, False, 0, Next.ELSEWHERE),
        (BackendError("x"), THERE, False, 1, Next.ELSEWHERE),
        (OutOfMemory("x"), HERE, False, 1, Next.ELSEWHERE),
        (NotInstalled("x"), HERE, False, 1, Next.ELSEWHERE),
        (DeadlineExceeded("x"), THERE, True, 1, Next.GIVE_UP),
        (InputError("x"), THERE, False, 1, Next.GIVE_UP),
    ],
)
def test_what_follows(error: ModelsError, elsewhere: bool, resumed: bool, retries_left: int, follows: Next) -> None:
    assert after_loss(error, elsewhere=elsewhere, resumed=resumed, retries_left=retries_left) is follows


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PeerBusy("x"), "was busy"),
        (PeerUnreachable("x"), "could not be reached"),
        (PeerLost("x"), "was lost"),
        (WrongPeer("x"), "was lost"),
        (LinkError("kitchen: This was not granted."), "did not take it"),
        (BackendError("x"), "failed"),
    ],
)
def test_a_device_that_refused_is_not_said_to_be_lost(error: ModelsError, words: str) -> None:
    assert what_failed(error) == words


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (RecordBroken("x"), "was sent nothing, as that could not be written down"),
        (ReleaseRefused("x"), "was sent nothing"),
    ],
)
def test_what_this_device_kept_back_is_not_put_on_the_other_one(cause: Exception, words: str) -> None:
    error = LinkError("x")
    error.__cause__ = cause
    assert what_failed(error) == words


def test_who_failed_before_is_named_once_and_an_error_of_this_device_stays_as_it_is() -> None:
    said = str(nobody_left(PeerLost("three was lost."), ["one", "two", "three", "three"]))
    assert said.startswith("three was lost. Before it, one and two failed. No other device")
    own = OutOfMemory("There is too little memory.")
    assert nobody_left(own, ["kitchen", "this device"]) is own
