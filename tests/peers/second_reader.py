"""A second implementation of what `peers/README.md` says of pairing, signatures, links and subtasks, from its words.

Nothing of Covey is imported here. What a word of the specification left open would be a guess here, and the numbers in
`tests/data/vectors` would not come out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any

import msgpack
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
"""Affine; slow, and easy to compare with RFC 8032."""
ZERO: Point = (0, 1)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(key: bytes, length: int, *, salt: bytes = b"", info: bytes) -> bytes:
    """RFC 5869 with SHA-256."""
    first = hmac.digest(salt or bytes(32), key, "sha256")
    made, block = b"", b""
    for count in range(1, -(-length // 32) + 1):
        block = hmac.digest(first, block + info + bytes([count]), "sha256")
        made += block
    return made[:length]


def even_x(y: int) -> int | None:
    """Return the even x of the point with this y; None where there is none."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return P - x if x % 2 else x


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    both = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + both, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - both, -1, P) % P
    return x, y


def times(number: int, point: Point) -> Point:
    total = ZERO
    while number:
        if number & 1:
            total = add(total, point)
        point, number = add(point, point), number >> 1
    return total


def packed(point: Point) -> bytes:
    """RFC 8032, 5.1.2."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def unpacked(data: bytes) -> Point:
    """RFC 8032, 5.1.3; and only points of the order L. Raises ValueError."""
    number = int.from_bytes(data, "little")
    y, odd = number % 2**255, number >> 255
    x = even_x(y)
    if x is None or len(data) != 32:
        raise ValueError("not on the curve")
    point = (P - x if odd else x), y
    if point == ZERO or times(L, point) != ZERO:
        raise ValueError("not in the group")
    return point


BASE: Point = even_x(4 * pow(5, -1, P) % P) or 0, 4 * pow(5, -1, P) % P


def constant(seed: bytes) -> Point:
    """Return M or N."""
    y = int.from_bytes(hkdf(seed, 48, info=b"SPAKE2 arbitrary element"), "big") % P
    while (x := even_x(y)) is None or times(8, (x, y)) == ZERO:
        y = (y + 1) % P
    return times(8, (x, y))


def negative(point: Point) -> Point:
    return -point[0] % P, point[1]


@dataclass(frozen=True)
class Keys:
    """Of one run, in the order of the specification."""

    joiner_proof: bytes
    host_proof: bytes
    finish_proof: bytes
    joiner_seal: bytes
    host_seal: bytes
    transcript: bytes

    def proof(self, key: bytes) -> bytes:
        return hmac.digest(key, self.transcript, "sha256")

    def finish(self, *said: bytes) -> bytes:
        return hmac.digest(self.finish_proof, self.transcript + sha256(*said), "sha256")

    def opened(self, key: bytes, sealed: bytes) -> Any:
        return message(AESGCM(key).decrypt(bytes(12), sealed, self.transcript))


@dataclass(frozen=True)
class Side:
    """One side of SPAKE2, with the 64 bytes that it drew."""

    joins: bool
    password: bytes
    joiner: str
    host: str
    drawn: bytes

    @property
    def _weight(self) -> int:
        return int.from_bytes(hkdf(self.password, 48, info=b"SPAKE2 pw"), "big") % L

    @property
    def _own(self) -> int:
        return int.from_bytes(self.drawn, "big") % L

    def share(self) -> bytes:
        letter, mask = (b"A", constant(b"M")) if self.joins else (b"B", constant(b"N"))
        return letter + packed(add(times(self._own, BASE), times(self._weight, mask)))

    def key(self, theirs: bytes) -> bytes:
        """Return SPAKE2's key. Raises ValueError."""
        letter, mask = (b"B", constant(b"N")) if self.joins else (b"A", constant(b"M"))
        if theirs[:1] != letter:
            raise ValueError("of the same side")
        unmasked = add(unpacked(theirs[1:]), negative(times(self._weight, mask)))
        shared = packed(times(self._own, unmasked))
        first, second = (self.share(), theirs) if self.joins else (theirs, self.share())
        ids = (f"covey joiner {self.joiner}".encode(), f"covey host {self.host}".encode())
        return sha256(sha256(self.password), *map(sha256, ids), first[1:], second[1:], shared)


def keys_of(key: bytes, hello: bytes, reply: bytes) -> Keys:
    parts = (b"covey pairing 1", hello, reply)
    transcript = sha256(*(len(part).to_bytes(4, "big") + part for part in parts))
    made = hkdf(key, 160, salt=transcript, info=b"covey pairing 1 keys")
    return Keys(*(made[at : at + 32] for at in range(0, 160, 32)), transcript)


def message(data: bytes) -> Any:
    return msgpack.unpackb(data)


def node_id(certificate: bytes) -> str:
    key = x509.load_der_x509_certificate(certificate).public_key()
    public = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b32encode(sha256(public)).decode().rstrip("=")


def for_people(node: str) -> str:
    letters = "".join(group + check_letter(group) for group in (node[at : at + 13] for at in range(0, 52, 13)))
    return "-".join(letters[at : at + 7] for at in range(0, 56, 7))


def check_letter(group: str) -> str:
    total, factor = 0, 1
    for letter in group:
        factor = doubled(factor)
        total ^= multiplied(factor, ALPHABET.index(letter))
    return ALPHABET[total]


def doubled(number: int) -> int:
    """In GF(2^5) with x^5 + x^2 + 1."""
    return number << 1 ^ (0b100101 if number & 16 else 0)


def multiplied(one: int, other: int) -> int:
    total = 0
    while other:
        total ^= one if other & 1 else 0
        one, other = doubled(one), other >> 1
    return total


def announced(node: str, day: int) -> str:
    return (
        base64.b32encode(hmac.digest(node.encode(), f"covey discovery 1\n{day}".encode(), "sha256")[:5])
        .decode()
        .lower()
    )


def is_signed(certificate: bytes, signature: bytes, *lines: object) -> bool:
    """Return whether a node signed these lines."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(signature, "\n".join(map(str, lines)).encode(), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


@dataclass(frozen=True)
class Piece:
    """One message of a link's WebSocket."""

    channel: int
    end: bool
    reset: bool
    data: bytes


def piece(data: bytes) -> Piece:
    assert len(data) <= 64 * 1024 + 5
    return Piece(int.from_bytes(data[:4], "big"), bool(data[4] & 1), bool(data[4] & 2), data[5:])


def frame(said: Any) -> bytes:
    """Return one message in one frame."""
    payload = msgpack.packb(said)
    return len(payload).to_bytes(4, "big") + bytes(payload)


def request(name: str, asker: str, prompt: str) -> bytes:
    """Return the body that asks for a text: what is not required is left out."""
    asked = {"kind": "subtask", "id": name, "capability": "generate", "label": "personal", "hops": [asker]}
    return frame({"kind": "hello"}) + frame({**asked, "input": {"prompt": prompt}})


@dataclass(frozen=True)
class Subtask:
    """What a request asks for, with what it left out."""

    id: str
    capability: str
    input: dict[str, Any]
    label: str
    hops: list[str]
    ceiling: str
    budget_tokens: int | None
    seed: int


def subtask(body: bytes) -> Subtask:
    """Return what is asked for. Raises ValueError when it is no request of version 1."""
    hello, said = (message(one) for one in frames(body))
    if (hello["kind"], said["kind"]) != ("hello", "subtask") or not hello.get("min", 1) <= 1 <= hello.get("max", 1):
        raise ValueError("not a request of this version")
    if not re.fullmatch(r"[0-9a-f]{32}", said["id"]) or said["label"] not in ("public", "personal", "sensitive"):
        raise ValueError("a name or a label that is none")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*", said["capability"]) or not 0 < len(said["hops"]) <= 8:
        raise ValueError("a capability or a row of hops that is none")
    if said["capability"] == "generate" and not (
        isinstance(said["input"].get("prompt"), str) and said["input"]["prompt"]
    ):
        raise ValueError("nothing to write about")
    known = {name: said[name] for name in ("id", "capability", "input", "label", "hops")}
    rest = {name: said.get(name, default) for name, default in LEFT_OUT.items()}
    return Subtask(**known, **rest)


LEFT_OUT: dict[str, Any] = {"ceiling": "device", "budget_tokens": None, "seed": 0}


def answer(body: bytes) -> tuple[str, Any]:
    """Return the text as it was streamed, and the output. Raises ValueError when there is none."""
    kinds, text, at = [], "", 0
    for said in map(message, frames(body)):
        kinds.append(said["kind"])
        if said["kind"] == "delta":
            if said["index"] < at:
                raise ValueError("a place that was there before")
            text, at = text + said["text"], said["index"] + len(said.get("tokens", ()))
        if said["kind"] == "done" and said.get("refusal") is None and kinds[:2] == ["hello", "accepted"]:
            return text, said.get("output")
    raise ValueError(f"no answer: {kinds}")


def frames(data: bytes) -> list[bytes]:
    """Return the messages in a row of frames."""
    found, message = [], b""
    while data:
        head, length = int.from_bytes(data[:4], "big"), int.from_bytes(data[:4], "big") % 2**31
        message, data = message + data[4 : 4 + length], data[4 + length :]
        if not head >> 31:
            found.append(message)
            message = b""
    return found
