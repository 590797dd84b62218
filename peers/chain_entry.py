"""One line of a chain: what it holds, how it is bound to the line before it, how it is written and read back."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

NO_HASH = "0" * 64
"""What the first line follows."""
MAX_TEXT = 200
"""Characters of a name or reason in an entry; longer ones would make the entry a copy of what it is about."""


class Verifier(Protocol):
    """Checks what one node signed."""

    def verify(self, signature: bytes, data: bytes) -> bool: ...


class Signer(Verifier, Protocol):
    """Signs with the node's key, and checks what it signed."""

    def sign(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Head:
    """How far a chain reaches; enough to find out later that it was shortened or rebuilt."""

    number: int
    """Number of the last entry; 0 before the first."""
    hash: str
    """SHA-256 in hexadecimal."""
    signature: str
    """Base64; over the chain's name, number and hash."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    head: Head
    previous: str
    body: Mapping[str, Any]

    @property
    def number(self) -> int:
        return self.head.number


def signed(name: str, number: int, digest: str, signer: Signer) -> Head:
    """Return the head that names this entry, with the node's signature."""
    return Head(number, digest, base64.b64encode(signer.sign(statement(name, number, digest))).decode())


def is_signed(name: str, head: Head, signer: Verifier) -> bool:
    """Return whether the signature is that node's, and over this very head."""
    try:
        signature = base64.b64decode(head.signature, validate=True)
    except ValueError:
        return False
    return signer.verify(signature, statement(name, head.number, head.hash))


def statement(name: str, number: int, digest: str) -> bytes:
    """Return the bytes that a head's signature is over."""
    return f"covey {name} head\n{number}\n{digest}".encode()


def hash_of(name: str, number: int, previous: str, body: Mapping[str, Any]) -> str:
    """Return the hash of an entry: over the chain's name, the number, the hash before it and the body."""
    return hashlib.sha256(canonical({"chain": name, "n": number, "prev": previous, "body": body})).hexdigest()


def encode(entry: Entry) -> bytes:
    """Return the entry as one line."""
    head = entry.head
    fields = {
        "n": head.number,
        "prev": entry.previous,
        "body": dict(entry.body),
        "hash": head.hash,
        "sig": head.signature,
    }
    return canonical(fields) + b"\n"


def decode(line: bytes) -> Entry | None:
    """Return the entry of a line; None where it is not exactly what `encode` writes."""
    try:
        data = json.loads(line)
        entry = Entry(Head(data["n"], data["hash"], data["sig"]), data["prev"], data["body"])
        fits = isinstance(entry.number, int) and isinstance(entry.body, dict) and encode(entry) == line
        texts = (entry.head.hash, entry.head.signature, entry.previous)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return entry if fits and all(isinstance(text, str) for text in texts) else None


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the one JSON text of a value: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def one_line(text: str) -> str:
    """Return a name or reason as one bounded line: nothing in it moves a terminal's cursor or turns text round."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 4 * MAX_TEXT])
    return " ".join(shown.split())[:MAX_TEXT]
