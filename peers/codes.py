"""The two kinds of pairing code: six digits that a person types, and the text of a QR code that a camera reads.

The QR text is `COVEY/1/<node id>/<token>/<host+port>/…`, in letters that QR codes pack well. It carries
the id of the device that shows it, so that the other one knows whom it speaks to before it says
anything, and addresses, so that it finds it where discovery is blocked.
"""

from __future__ import annotations

import base64
import io
import re
import secrets
from dataclasses import dataclass
from typing import Literal

import segno

from peers.errors import BadCode
from peers.node_id import NodeId, is_node_id
from peers.secret import Secret

PIN_DIGITS = 6
"""A person reads them across a room; five tries and two minutes make a guess succeed once in 200 000 windows."""
TOKEN_BYTES = 16
"""128 bits: nobody guesses that, whatever the number of tries."""
MAX_ADDRESSES = 4
"""More make the QR code too fine for a camera at arm's length."""
MAX_QR_TEXT = 600
MAX_PORT = 65535
_PREFIX = "COVEY/1/"
_TOKEN = re.compile(r"[A-Z2-7]{26}")
_ADDRESS = re.compile(r"([0-9A-Za-z.:%-]{1,100})\+([0-9]{1,5})")


Method = Literal["pin", "token"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device may be found."""

    host: str
    """Name or IP address."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Pin:
    """Six digits."""

    digits: Secret

    @property
    def method(self) -> Method:
        return "pin"

    @property
    def password(self) -> bytes:
        return b"pin " + self.digits.reveal().encode()

    @property
    def shown(self) -> str:
        """The digits as they stand on the screen: `123 456`."""
        digits = self.digits.reveal()
        return f"{digits[:3]} {digits[3:]}"


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a QR code holds."""

    node_id: NodeId
    """Of the device that shows it."""
    token: Secret
    """One use; 26 letters of base32."""
    addresses: tuple[Address, ...] = ()

    @property
    def method(self) -> Method:
        return "token"

    @property
    def password(self) -> bytes:
        return b"token " + self.token.reveal().encode()

    @property
    def text(self) -> str:
        places = [f"{one.host.upper()}+{one.port}" for one in self.addresses[:MAX_ADDRESSES]]
        return _PREFIX + "/".join([self.node_id, self.token.reveal(), *places])


def new_pin() -> Pin:
    return Pin(Secret(f"{secrets.randbelow(10**PIN_DIGITS):0{PIN_DIGITS}d}"))


def new_invitation(node_id: NodeId, addresses: tuple[Address, ...]) -> Invitation:
    token = base64.b32encode(secrets.token_bytes(TOKEN_BYTES)).decode().rstrip("=")
    return Invitation(node_id, Secret(token), addresses)


def parse_code(text: str) -> Pin | Invitation:
    """Return the code that somebody typed or a camera read. Raises BadCode."""
    digits = re.sub(r"[\s-]", "", text)
    if re.fullmatch(rf"[0-9]{{{PIN_DIGITS}}}", digits, re.ASCII):
        return Pin(Secret(digits))
    shown = text.strip()
    if shown.upper().startswith("COVEY/") and len(shown) <= MAX_QR_TEXT:
        return _parse_invitation(shown)
    raise BadCode(
        f"That is no pairing code: it has {PIN_DIGITS} digits, or is the text of the QR code. "
        "Run `covey pair` on the other device to see one."
    )


def parse_address(text: str) -> Address:
    """Return the address in `host:port` or `[ipv6]:port`. Raises BadCode."""
    match = re.fullmatch(r"\[([0-9A-Fa-f:.%\w-]+)\]:([0-9]{1,5})|([^:\s\[\]]+):([0-9]{1,5})", text.strip(), re.ASCII)
    port = int(match[2] or match[4]) if match else 0
    if match is None or not 0 < port <= MAX_PORT:
        raise BadCode(f"{text!r} is no address: write it like 192.168.1.20:4489.")
    return Address(match[1] or match[3], port)


def terminal(text: str) -> str:
    """Return a QR code that a terminal can show, two modules per line."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=out, compact=True)
    return out.getvalue()


def _parse_invitation(text: str) -> Invitation:
    if not text.upper().startswith(_PREFIX):
        raise BadCode("That QR code is from another version of Covey. Update Covey on both devices.")
    node_id, token, *places = [*text[len(_PREFIX) :].upper().split("/"), ""]
    matches = [_ADDRESS.fullmatch(place) for place in places if place]
    ports = [int(match[2]) if match else 0 for match in matches]
    fits = is_node_id(node_id) and _TOKEN.fullmatch(token) and len(matches) <= MAX_ADDRESSES
    if not fits or not all(0 < port <= MAX_PORT for port in ports):
        raise BadCode("The QR code was not read whole. Show it again with `covey pair --qr` and read it once more.")
    found = tuple(Address(match[1].lower(), port) for match, port in zip(matches, ports, strict=True) if match)
    return Invitation(NodeId(node_id), Secret(token), found)
