"""One pairing with fixed entropy, and what is signed, sealed and cut into pieces, as numbers for other implementations.

They are kept in `tests/data/vectors/v1.json`. Run this file to write those of a version that was not released yet; a
released version's are never written again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from peers import chain_entry, channels, nameplate, node_id, tombstones
from peers.codec import frames
from peers.codes import Pin
from peers.identity import Identity, _certificate
from peers.messages import Accepted, Delta, Done, Hello, Progress, Subtask
from peers.node_id import NodeId
from peers.pairing import Joining, Me, Window
from peers.pairing_keys import Exchange, Role
from peers.pairing_messages import PairReply
from peers.secret import Secret
from peers.wire import read

FILE = Path(__file__).parents[1] / "data" / "vectors" / "v1.json"
PIN = "482913"
SIDES: tuple[Role, Role] = ("joiner", "host")
COUNTER, TIME_NS, DAY, NUMBER = 1_700_000_000_000, 1_700_000_000 * 10**9, 20_000, 12
DIGEST = "0123456789abcdef" * 4
CUT = 10
"""Where a request is cut into two pieces: anywhere will do."""


class Drawn:
    """Entropy that was written down."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __call__(self, count: int) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        assert len(taken) == count
        return taken


def key_of(role: Role) -> ec.EllipticCurvePrivateKey:
    """Return the private key of a side; it is no secret."""
    number = int.from_bytes(hashlib.sha256(f"covey vectors {role}".encode()).digest(), "big")
    return ec.derive_private_key(number >> 1, ec.SECP256R1())


def entropy_of(role: Role) -> bytes:
    """Return what a side draws: 64 bytes for SPAKE2, then the 16 of its nonce, or of the run's name."""
    return hashlib.shake_256(f"covey vectors entropy {role}".encode()).digest(80)


def identities(certificates: Mapping[str, str]) -> dict[Role, Identity]:
    """Return both sides, with these certificates (DER, hexadecimal): each has a random number in it."""
    return {role: Identity(key_of(role), bytes.fromhex(certificates[role]), Path()) for role in SIDES}


def pairing(of: Mapping[Role, Identity]) -> dict[str, Any]:
    """Return all that is said and computed when these two are paired."""
    code = Pin(Secret(PIN))

    def me(role: Role, name: str, address: str) -> Me:
        return Me(of[role].public, name, (address,), lambda node: COUNTER)

    joins = Joining(
        me("joiner", "kitchen", "192.168.1.20:4489"),
        code,
        of["host"].certificate_der,
        entropy=Drawn(entropy_of("joiner")),
    )
    shows = Window(me("host", "laptop", "192.168.1.30:4489"), (code,), opened_s=0.0, entropy=Drawn(entropy_of("host")))
    hello = joins.hello()
    reply = shows.answer(hello, 1.0)
    confirm = joins.confirm(reply)
    confirmed = shows.answer(confirm, 1.0)
    finish = joins.finish(confirmed)
    finished = shows.answer(finish, 1.0)
    joins.done(finished)
    ids = {role: of[role].node_id for role in SIDES}
    exchange = Exchange(
        "joiner", code.password, joiner=ids["joiner"], host=ids["host"], entropy=Drawn(entropy_of("joiner"))
    )
    keys = exchange.keys(read(reply, PairReply).share, hello=hello, reply=reply)
    said = {"hello": hello, "reply": reply, "confirm": confirm, "confirmed": confirmed}
    said |= {"finish": finish, "finished": finished}
    names = ("transcript", "joiner_proof", "host_proof", "finish_proof", "joiner_seal", "host_seal")
    return {
        "pin": PIN,
        "entropy": {role: entropy_of(role).hex() for role in SIDES},
        "messages": {name: data.hex() for name, data in said.items()},
        "keys": {name: getattr(keys, name).hex() for name in names},
    }


def others(of: Mapping[Role, Identity]) -> dict[str, Any]:
    """Return what is the same each time it is made."""
    issuer: NodeId = of["host"].node_id
    words = frames(Hello(boot="b00t").pack())
    request = words + frames(Accepted(queue=2).pack())  # any two messages
    return {
        "nodes": {role: [of[role].node_id, node_id.readable(of[role].node_id)] for role in SIDES},
        "announced": {"node": issuer, "day": DAY, "name": nameplate.name_on(issuer, DAY)},
        "subtask": {"request": asked(of["joiner"].node_id).hex(), "answer": answered().hex()},
        "link": {
            "own_words": [one.hex() for one in channels.pieces(0, words)],
            "on_channel_3": [
                channels.piece(3, request[:CUT]).hex(),
                *(one.hex() for one in channels.pieces(3, request[CUT:], ended=True)),
            ],
            "reset_of_channel_3": channels.piece(3, flags=channels.Flag.RESET).hex(),
        },
    }


def asked(asker: NodeId) -> bytes:
    """Return the body of a request for a text."""
    given = {"prompt": "Write a haiku about rain.", "history": [{"role": "user", "content": "Hello"}]}
    subtask = Subtask(id="5" * 32, capability="generate", input=given, label="public", hops=[asker], seed=7)
    return frames(Hello(boot="b00t").pack()) + frames(subtask.pack())


def answered() -> bytes:
    """Return the body of its answer."""
    first, second = Delta(index=0, text="Soft rain ", tokens=[11, 12]), Delta(index=2, text="falls.", tokens=[13, 14])
    done = Done(output="Soft rain falls.", text="Soft rain falls.", confidence=0.5)
    said = (Hello(boot="b01t"), Accepted(), Progress(tokens=1), first, second, done)
    return b"".join(frames(one.pack()) for one in said)


def signed(of: Mapping[Role, Identity]) -> dict[str, Any]:
    """Return what is signed: another signature each time, and each is good."""
    head = chain_entry.signed("ledger", NUMBER, DIGEST, of["host"])
    stone = tombstones.sign(of["host"], of["joiner"].node_id, COUNTER, now_ns=TIME_NS)
    return {
        "ledger_head": {"number": head.number, "hash": head.hash, "signature": head.signature},
        "revocation": {
            "issuer": stone.issuer,
            "subject": stone.subject,
            "counter": stone.counter,
            "time_ns": stone.time_ns,
            "certificate": stone.certificate.hex(),
            "signature": base64.b64encode(stone.signature).decode(),
        },
    }


def write() -> None:
    certificates = {role: _certificate(key_of(role)).public_bytes(Encoding.DER).hex() for role in SIDES}
    of = identities(certificates)
    assert all(x509.load_der_x509_certificate(one.certificate_der) for one in of.values())
    made = {"certificates": certificates, "pairing": pairing(of), **others(of), **signed(of)}
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
    sys.exit(0)
