"""The mathematics of pairing: from a code and two shares to keys that both sides have only if the codes were equal.

SPAKE2 (RFC 9382 in spirit, the `spake2` library in bytes) with both node ids as identities: a run
gives whoever does not know the code one guess, and nothing to try out afterwards. Its key goes
through HKDF, salted with every byte that was said, into one key per direction and purpose, so that
no message can be sent back to its author or used in another place.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import spake2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2.ed25519_basic import NotOnCurve

from peers.errors import PairingFailed
from peers.node_id import NodeId

SHARE_BYTES = 33
"""One byte for the side and a point of Ed25519."""
PROOF_BYTES = 32
_KEY_BYTES = 32
_LABEL = b"covey pairing 1"
_ONCE = bytes(12)
"""Nonce of a key that seals one message only."""

Role = Literal["joiner", "host"]
Entropy = Callable[[int], bytes]


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """What both sides of one run have, if they used the same code."""

    transcript: bytes
    joiner_proof: bytes
    host_proof: bytes
    finish_proof: bytes
    joiner_seal: bytes
    host_seal: bytes

    def proof(self, role: Role) -> bytes:
        """Return what shows that this side has the keys."""
        return hmac.digest(self.joiner_proof if role == "joiner" else self.host_proof, self.transcript, "sha256")

    def finish(self, said: bytes) -> bytes:
        """Return what shows that the joiner has checked the host's proof; `said`: both confirmations."""
        return hmac.digest(self.finish_proof, self.transcript + hashlib.sha256(said).digest(), "sha256")

    def seal(self, role: Role, details: bytes) -> bytes:
        """Encrypt this side's one message of details."""
        return AESGCM(self._seal_key(role)).encrypt(_ONCE, details, self.transcript)

    def open(self, role: Role, sealed: bytes) -> bytes:
        """Decrypt the details of that side. Raises PairingFailed."""
        try:
            return AESGCM(self._seal_key(role)).decrypt(_ONCE, sealed, self.transcript)
        except (InvalidTag, ValueError) as error:
            raise failed() from error

    def _seal_key(self, role: Role) -> bytes:
        return self.joiner_seal if role == "joiner" else self.host_seal


class Exchange:
    """One side's half of one SPAKE2 run. It is used once."""

    def __init__(self, role: Role, password: bytes, *, joiner: NodeId, host: NodeId, entropy: Entropy) -> None:
        side = spake2.SPAKE2_A if role == "joiner" else spake2.SPAKE2_B
        identities = {"idA": f"covey joiner {joiner}".encode(), "idB": f"covey host {host}".encode()}
        self._side = side(password, **identities, entropy_f=entropy)
        self.share: bytes = self._side.start()

    def keys(self, share: bytes, *, hello: bytes, reply: bytes) -> Keys:
        """Return the keys after the other side's share. Raises PairingFailed when it is no valid share."""
        if len(share) != SHARE_BYTES:  # the library only asserts it
            raise failed()
        with _as_failure():
            key = self._side.finish(share)
        return derive(key, hello=hello, reply=reply)


def derive(key: bytes, *, hello: bytes, reply: bytes) -> Keys:
    """Return the run's keys from the shared key and every byte that both sides have said so far."""
    said = b"".join(len(part).to_bytes(4, "big") + part for part in (_LABEL, hello, reply))
    transcript = hashlib.sha256(said).digest()
    count = 5
    made = HKDF(hashes.SHA256(), count * _KEY_BYTES, salt=transcript, info=_LABEL + b" keys").derive(key)
    return Keys(transcript, *(made[start : start + _KEY_BYTES] for start in range(0, len(made), _KEY_BYTES)))


def equal(one: bytes, other: bytes) -> bool:
    """Compare in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def failed() -> PairingFailed:
    """Return the one error for whatever goes wrong: it tells a guesser nothing."""
    return PairingFailed(
        "The devices could not be paired: the code was wrong or too old, or another device is being paired. "
        "Run `covey pair` on the other device again and type the new code."
    )


@contextmanager
def _as_failure() -> Iterator[None]:
    """Turn the library's ways to refuse a share into ours."""
    try:
        yield
    except (spake2.SPAKEError, NotOnCurve, ValueError, AssertionError) as error:
        raise failed() from error
