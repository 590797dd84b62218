"""Pairing as two objects without a socket or a clock: messages in, messages out.

`Window` is the device that shows a code, `Joining` the one on which it is typed:

    joiner                              host
    hello(share)            ->          answer: one run at a time
                            <-          reply(share)
    confirm(proof, sealed)  ->          answer: a wrong proof uses up one of five tries
                            <-          confirmed(proof, sealed)
    finish(proof)           ->          answer: only now is the joiner written down
                            <-          finished(proof): only now is the host written down

The joiner proves first, so that a guesser learns from the host one bit per try and nothing to
work on offline. Hello and reply are part of every key, so no byte of them can be changed. A run
that was begun and not brought to its end is a used-up try as well.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from peers.chain_entry import one_line
from peers.codes import Invitation, Pin
from peers.errors import LocalProtocolError, PairingFailed, RemoteProtocolError
from peers.identity import PublicIdentity
from peers.node_id import NodeId
from peers.pairing_keys import Entropy, Exchange, Keys, equal, failed
from peers.pairing_messages import (
    MAX_COUNTER,
    MAX_PAIRING_BYTES,
    NONCE_BYTES,
    Details,
    PairConfirm,
    PairConfirmed,
    PairFinish,
    PairFinished,
    PairHello,
    PairRefused,
    PairReply,
)
from peers.wire import M, read

WINDOW_S = 120.0
"""Time to walk to the other device and type six digits."""
MAX_TRIES = 5
"""With six digits: a guesser gets in once in 200 000 windows."""
RUN_S = 20.0
"""Longer than a run takes on the slowest device; a run that hangs must not hold the window for the owner."""

_OVER = -1

Counters = Callable[[NodeId], int]
"""Returns milliseconds since 1970, or the highest number of a pairing with that node that was seen, if higher."""


@dataclass(frozen=True, slots=True)
class Me:
    """What this side says about itself."""

    identity: PublicIdentity
    name: str
    addresses: tuple[str, ...]
    """`host:port`, where this device can be found."""
    counters: Counters

    def details_for(self, other: NodeId) -> Details:
        return Details(name=self.name, counter=self.counters(other), addresses=list(self.addresses))


@dataclass(frozen=True, slots=True)
class Paired:
    """Who was paired. It may be written down."""

    identity: PublicIdentity
    name: str
    addresses: tuple[str, ...]
    counter: int
    """Number of this pairing: about the milliseconds since 1970, and higher than any that either side has seen."""


@dataclass(slots=True)
class _Run:
    """One joiner's way through the host's side."""

    id: bytes
    joiner: PublicIdentity
    keys: Keys
    began_s: float
    said: bytes = b""
    """Both confirmations; empty until the joiner has proved that it knows the code."""
    paired: Paired | None = None


class Window:
    """The host's side: one code, five tries, two minutes, one success."""

    def __init__(
        self, me: Me, codes: Sequence[Pin | Invitation], *, opened_s: float, entropy: Entropy = os.urandom
    ) -> None:
        """`codes`: one of a kind. `opened_s`: now, in seconds of a clock that never jumps."""
        self._me = me
        self._codes = {code.method: code for code in codes}
        self._entropy = entropy
        self._closes_s = opened_s + WINDOW_S
        self._run: _Run | None = None
        self.tries = 0
        """Runs that were begun and did not end in a pairing."""
        self.paired: Paired | None = None
        """Set when the joiner has finished; write it down before its answer is sent."""

    def is_open(self, now_s: float) -> bool:
        """Return whether a run may begin or go on."""
        in_time = self.paired is None and now_s < self._closes_s
        return in_time and (self.tries < MAX_TRIES or self._is_running(now_s))

    def left_s(self, now_s: float) -> float:
        """Return the seconds until the window closes by itself."""
        return max(0.0, self._closes_s - now_s) if self.is_open(now_s) else 0.0

    def answer(self, data: bytes, now_s: float) -> bytes:
        """Return the answer to one message: the next one, or the same refusal for whatever is wrong."""
        if not self._is_running(now_s):
            self._run = None
        if not self.is_open(now_s):
            return PairRefused().pack()
        try:
            return self._answer(data, now_s)
        except (PairingFailed, RemoteProtocolError):
            return PairRefused().pack()

    def _answer(self, data: bytes, now_s: float) -> bytes:
        if self._run is None:
            return self._hello(data, now_s)
        if not self._run.said:
            return self._confirm(self._run, data)
        return self._finish(self._run, data)

    def _hello(self, data: bytes, now_s: float) -> bytes:
        hello = read(data, PairHello, limit=MAX_PAIRING_BYTES)
        joiner, code = PublicIdentity(hello.certificate), self._codes.get(hello.method)
        if code is None or joiner.node_id == self._me.identity.node_id:
            raise failed()
        ids = {"joiner": joiner.node_id, "host": self._me.identity.node_id}
        exchange = Exchange("host", code.password, **ids, entropy=self._entropy)
        run_id = self._entropy(NONCE_BYTES)
        reply = PairReply(run=run_id, share=exchange.share).pack()
        self.tries += 1  # taken back only by a pairing
        keys = exchange.keys(hello.share, hello=data, reply=reply)
        self._run = _Run(run_id, joiner, keys, now_s)
        return reply

    def _confirm(self, run: _Run, data: bytes) -> bytes:
        confirm = read(data, PairConfirm, limit=MAX_PAIRING_BYTES)
        if not equal(confirm.run, run.id):
            raise failed()  # somebody else's; the run goes on
        self._run = None  # one try per run
        if not equal(confirm.proof, run.keys.proof("joiner")):
            raise failed()
        details = read(run.keys.open("joiner", confirm.details), Details, limit=MAX_PAIRING_BYTES)
        own = self._me.details_for(run.joiner.node_id)
        run.paired = _paired(run.joiner, details, own)
        sealed = run.keys.seal("host", own.pack(limit=MAX_PAIRING_BYTES))
        answer = PairConfirmed(proof=run.keys.proof("host"), details=sealed).pack()
        run.said = data + answer
        self._run = run
        return answer

    def _finish(self, run: _Run, data: bytes) -> bytes:
        finish = read(data, PairFinish, limit=MAX_PAIRING_BYTES)
        if not equal(finish.run, run.id):
            raise failed()
        self._run = None
        if not equal(finish.proof, run.keys.finish(run.said)):
            raise failed()
        self.tries -= 1
        self.paired = run.paired
        return PairFinished(proof=run.keys.finish(run.said + data)).pack()

    def _is_running(self, now_s: float) -> bool:
        return self._run is not None and now_s < self._run.began_s + RUN_S


class Joining:
    """The joiner's side of one run. Each step is called once, in order."""

    def __init__(
        self, me: Me, code: Pin | Invitation, host_certificate: bytes, *, entropy: Entropy = os.urandom
    ) -> None:
        """`host_certificate`: what the host showed when the connection was made.

        Raises PairingFailed when a QR code names another device; nothing has been said then.
        """
        self._me = me
        self._host = PublicIdentity(host_certificate)
        if isinstance(code, Invitation) and code.node_id != self._host.node_id:
            raise PairingFailed(
                "Another device than the one that showed the QR code answers at that address, so nothing was said "
                "to it. Check the address, and that no strange device is on this network."
            )
        if self._host.node_id == me.identity.node_id:
            raise PairingFailed("That code is this device's own. Type it on the other device.")
        ids = {"joiner": me.identity.node_id, "host": self._host.node_id}
        self._exchange = Exchange("joiner", code.password, **ids, entropy=entropy)
        certificate = me.identity.certificate_der
        nonce = entropy(NONCE_BYTES)
        hello = PairHello(method=code.method, certificate=certificate, share=self._exchange.share, nonce=nonce)
        self._hello = hello.pack(limit=MAX_PAIRING_BYTES)
        self._step = 0
        self._run = b""
        self._keys: Keys | None = None
        self._said = b""
        self._paired: Paired | None = None

    def hello(self) -> bytes:
        """Return the first message."""
        self._next(1)
        self._step = 1
        return self._hello

    def confirm(self, reply: bytes) -> bytes:
        """Return the answer to the host's share. Raises PairingFailed."""
        self._next(2)
        got = _read(reply, PairReply)
        keys = self._exchange.keys(got.share, hello=self._hello, reply=reply)
        own = self._me.details_for(self._host.node_id).pack(limit=MAX_PAIRING_BYTES)
        confirm = PairConfirm(run=got.run, proof=keys.proof("joiner"), details=keys.seal("joiner", own))
        self._keys, self._run, self._said = keys, got.run, confirm.pack(limit=MAX_PAIRING_BYTES)
        self._step = 2
        return self._said

    def finish(self, confirmed: bytes) -> bytes:
        """Return the last message, after the host has proved that it knows the code. Raises PairingFailed."""
        self._next(3)
        assert self._keys is not None
        got = _read(confirmed, PairConfirmed)
        if not equal(got.proof, self._keys.proof("host")):
            raise failed()
        details = _read(self._keys.open("host", got.details), Details)
        self._paired = _paired(self._host, details, self._me.details_for(self._host.node_id))
        self._said += confirmed
        finish = PairFinish(run=self._run, proof=self._keys.finish(self._said)).pack()
        self._said += finish
        self._step = 3
        return finish

    def done(self, finished: bytes) -> Paired:
        """Return who was paired, after the host has written it down. Raises PairingFailed."""
        self._next(4)
        assert self._keys is not None and self._paired is not None
        if not equal(_read(finished, PairFinished).proof, self._keys.finish(self._said)):
            raise failed()
        return self._paired

    def _next(self, step: int) -> None:
        """Begin a step. One that fails ends the run: it stays begun, and nothing follows it."""
        if self._step != step - 1:
            raise LocalProtocolError("The steps of a pairing were called out of order. Report it: this is a defect.")
        self._step = _OVER


def _read(packed: bytes, expected: type[M]) -> M:
    """Return the host's answer; a refusal, or whatever else it says, is a failure. Raises PairingFailed."""
    try:
        return read(packed, expected, limit=MAX_PAIRING_BYTES)
    except RemoteProtocolError as error:
        raise failed() from error


def _paired(other: PublicIdentity, theirs: Details, ours: Details) -> Paired:
    counter = max(theirs.counter, ours.counter) + 1
    if counter > MAX_COUNTER:
        raise failed()
    return Paired(other, one_line(theirs.name), tuple(map(one_line, theirs.addresses)), counter)
