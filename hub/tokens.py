"""Who may use this device as a hub: a token per device, with a quota. Tokens are kept as digests only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hub.budget import DAY_S
from hub.errors import BadHub, UnknownHub
from hub.files import FOLDER, Kept
from models.types import Label
from peers.policy import Place, Recipient, RecipientKind
from peers.secret import Secret
from peers.wire import MAX_NAME

FILE = "tokens.json"
PREFIX = "covey-"
"""So that a token is recognised as one, also by tools that look for leaked keys."""
MAX_TOKENS = 256
PER_MINUTE = 30
TOKENS_PER_DAY = 200_000


@dataclass(frozen=True, slots=True)
class Device:
    """One device that may ask here."""

    name: str
    digest: str
    """SHA-256 of its token."""
    per_minute: int = PER_MINUTE
    """Requests."""
    tokens_per_day: int = TOKENS_PER_DAY
    """Read and written together."""
    day: int = 0
    """Days since 1970 of the figure below; never goes back."""
    used: int = 0
    """Tokens on that day."""

    def left(self, day: int) -> int:
        """Return the tokens that it may still use on a day."""
        return self.tokens_per_day - (self.used if day <= self.day else 0)

    def recipient(self) -> Recipient:
        """Return the device as somebody who is given answers; they are to its own questions."""
        return Recipient(RecipientKind.CLIENT, f"token:{self.name}", self.name, Place.HOME, Label.PERSONAL)


@dataclass(frozen=True, slots=True)
class TokenBook:
    """All devices, by name."""

    devices: Mapping[str, Device] = field(default_factory=dict)


class Tokens:
    """The tokens of one home. Calls block for the disk and raise HubBookError."""

    def __init__(self, home: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._kept: Kept[TokenBook] = Kept(home / FOLDER / FILE, TokenBook, TokenBook)
        self._clock = clock

    def all(self) -> list[Device]:
        return sorted(self._kept.read().devices.values(), key=lambda device: device.name)

    def mint(self, name: str, *, per_minute: int = PER_MINUTE, tokens_per_day: int = TOKENS_PER_DAY) -> Secret:
        """Return a new token for a device; an older one of that name ends. It is shown once and kept nowhere.

        Raises BadHub.
        """
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise BadHub(f"{name[:40]!r} is no name for a device. Use up to {MAX_NAME} letters, for example `kitchen`.")
        if len(self._kept.read().devices) >= MAX_TOKENS:
            raise BadHub(f"There are {MAX_TOKENS} tokens already. End one first: `covey hub revoke NAME`.")
        token = PREFIX + secrets.token_urlsafe(32)
        device = Device(name, _digest(token), per_minute, tokens_per_day)
        self._kept.change(lambda book: TokenBook({**book.devices, name: device}))
        return Secret(token)

    def revoke(self, name: str) -> None:
        """End a device's token. Raises UnknownHub."""
        if name not in self._kept.read().devices:
            raise UnknownHub(f"No device {name[:40]!r} has a token. Run `covey hub tokens` to see them.")
        self._kept.change(
            lambda book: TokenBook({known: device for known, device in book.devices.items() if known != name})
        )

    def find(self, token: str) -> Device | None:
        """Return whose token this is; None for anybody else's."""
        digest = _digest(token)
        return next(
            (one for one in self._kept.read().devices.values() if hmac.compare_digest(one.digest, digest)), None
        )

    def left(self, device: Device) -> int:
        """Return the tokens that a device may still use today."""
        return device.left(self._day())

    def count(self, name: str, tokens: int) -> None:
        """Count what a device used; one that was revoked meanwhile is not brought back."""
        day = self._day()

        def counted(book: TokenBook) -> TokenBook:
            known = book.devices.get(name)
            if known is None:
                return book
            used = tokens + (known.used if day <= known.day else 0)
            return TokenBook({**book.devices, name: replace(known, day=max(day, known.day), used=used)})

        self._kept.change(counted)

    def _day(self) -> int:
        return int(self._clock() // DAY_S)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
