"""What follows when a step's device or model is lost: once more in the same place, elsewhere, or the error. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from models.errors import BackendError, ModelsError, OtherWeights, StoreError, WorkerDied
from peers.errors import LinkError, PeerBusy, PeerLost, PeerUnreachable, RecordError, ReleaseError, WrongPeer

MOST_PEERS = 3
"""Paired devices that are given one step, one after the other: the first, and two more. Then it is this device's."""
LAST_WORDS = "No other device can do this now: `covey doctor` says why, and `covey models pull` lets this one do it."


class Next(Enum):
    """What to do after a loss."""

    AGAIN = "again"
    """In the same place: a worker that died is started afresh."""
    ANEW = "anew"
    """In the same place, from the start: it has other weights than those that began the answer."""
    ELSEWHERE = "elsewhere"
    GIVE_UP = "give up"


def after_loss(error: ModelsError, *, elsewhere: bool, resumed: bool, retries_left: int) -> Next:
    """Return what to do after an error.

    `elsewhere`: the step ran on another device. `resumed`: it went on with what somebody else had begun.

    What would go wrong everywhere alike (a time that ran out, an input that does not fit) is the caller's to see.
    """
    if isinstance(error, WorkerDied) and not elsewhere:
        return Next.AGAIN if retries_left > 0 else Next.ELSEWHERE
    if isinstance(error, OtherWeights) and resumed:
        return Next.ANEW
    if isinstance(error, LinkError | BackendError | StoreError):
        return Next.ELSEWHERE
    return Next.GIVE_UP


def what_failed(error: ModelsError) -> str:
    """Return in words what a device did that did not do a step. A refusal is no loss, and is not called one."""
    match error.__cause__:
        case RecordError():
            return "was sent nothing, as that could not be written down"
        case ReleaseError():
            return "was sent nothing"
    match error:
        case PeerBusy():
            return "was busy"
        case PeerUnreachable():
            return "could not be reached"
        case PeerLost() | WrongPeer():
            return "was lost"
        case LinkError():
            return "did not take it"
        case _:
            return "failed"


def nobody_left(error: ModelsError, lost: Sequence[str]) -> ModelsError:
    """Return what the owner reads when the last device that could do a step was lost. `lost`: all of them, in order."""
    if not isinstance(error, LinkError):
        return error
    others = " and ".join(name for name in dict.fromkeys(lost) if name != lost[-1])
    before = f" Before it, {others} failed." if others else ""
    return LinkError(f"{error}{before} {LAST_WORDS}")
