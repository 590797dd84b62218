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
from peers.errors import LinkError, PeerBusy, PeerLost
from runtime.recovery import Next, after_loss

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
