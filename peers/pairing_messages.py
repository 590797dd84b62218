"""The six messages of a pairing, and the one that refuses. README.md has them as a table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from peers.codes import Method
from peers.identity import MAX_CERTIFICATE_BYTES
from peers.pairing_keys import PROOF_BYTES, SHARE_BYTES
from peers.wire import Name, WireMessage

MAX_PAIRING_BYTES = 8 * 1024
"""Whoever sends these is unknown yet, so little is read from them."""
PAIRING_VERSION = 1
NONCE_BYTES = 16
MAX_DETAILS_BYTES = 4096
MAX_COUNTER = 2**53 - 1
"""Exact in every language's numbers."""

Share = Annotated[bytes, Field(min_length=SHARE_BYTES, max_length=SHARE_BYTES)]
Nonce = Annotated[bytes, Field(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
Proof = Annotated[bytes, Field(min_length=PROOF_BYTES, max_length=PROOF_BYTES)]
Sealed = Annotated[bytes, Field(max_length=MAX_DETAILS_BYTES)]


class PairHello(WireMessage):
    """Joiner to host: I want to pair."""

    kind: Literal["pair_hello"] = "pair_hello"
    version: Annotated[int, Field(ge=1, le=1)] = PAIRING_VERSION
    method: Method
    """Which of the two codes the joiner has."""
    certificate: Annotated[bytes, Field(max_length=MAX_CERTIFICATE_BYTES)]
    """The joiner's, DER."""
    share: Share
    nonce: Nonce


class PairReply(WireMessage):
    """Host to joiner: my share."""

    kind: Literal["pair_reply"] = "pair_reply"
    run: Nonce
    """Names this run in the messages that follow."""
    share: Share


class PairConfirm(WireMessage):
    """Joiner to host: the proof that I have the key, and who I am."""

    kind: Literal["pair_confirm"] = "pair_confirm"
    run: Nonce
    proof: Proof
    details: Sealed


class PairConfirmed(WireMessage):
    """Host to joiner: the proof that I have the key, and who I am."""

    kind: Literal["pair_confirmed"] = "pair_confirmed"
    proof: Proof
    details: Sealed


class PairFinish(WireMessage):
    """Joiner to host: I have checked your proof."""

    kind: Literal["pair_finish"] = "pair_finish"
    run: Nonce
    proof: Proof


class PairFinished(WireMessage):
    """Host to joiner: written down."""

    kind: Literal["pair_finished"] = "pair_finished"
    proof: Proof


class PairRefused(WireMessage):
    """Host to joiner: no. The same for every reason."""

    kind: Literal["pair_refused"] = "pair_refused"


class Details(WireMessage):
    """What each side tells the other about itself, sealed with the run's keys."""

    kind: Literal["pair_details"] = "pair_details"
    name: Name
    """What the owner calls this device."""
    counter: Annotated[int, Field(ge=0, le=MAX_COUNTER)]
    """Milliseconds since 1970 here, or the highest number of a pairing with the other side that was seen, if higher."""
    addresses: Annotated[list[Annotated[str, Field(max_length=120)]], Field(max_length=8)]
    """`host:port`, where this device can be found."""
