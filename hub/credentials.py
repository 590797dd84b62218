"""Keys of hubs: in the system's keyring where there is one, else in a file that only the owner can read.

A key is a `Secret` from the moment it is typed; it is revealed in one place, where the request's header is written.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, Protocol

from hub.book import Hub
from hub.errors import BadHub, KeyUnusable
from peers.private_files import cure, make_folder, write_whole
from peers.secret import Secret

SERVICE = "covey hub"
MAX_KEY_CHARS = 4096
"""Longer than any provider's key; more is some other file that was pasted."""

logger = logging.getLogger(__name__)


class Keyring(Protocol):
    """What the `keyring` library offers."""

    def get_password(self, service: str, name: str, /) -> str | None: ...

    def set_password(self, service: str, name: str, password: str, /) -> None: ...

    def delete_password(self, service: str, name: str, /) -> None: ...


def system_keyring() -> Keyring | None:
    """Return the system's keyring; None without the extra `keyring`, or where the system has none."""
    try:
        import keyring  # an optional extra
        from keyring.backends import fail
    except ImportError:
        return None
    found = keyring.get_keyring()
    return None if isinstance(found, fail.Keyring) else found


class Credentials:
    """Keeps the keys. Calls block and raise KeyUnusable."""

    def __init__(self, folder: Path, *, ring: Keyring | None = None, use_system: bool = True) -> None:
        self._folder = folder
        self._given = ring
        self._use_system = use_system

    def put(self, name: str, key: Secret) -> Literal["keyring", "file"]:
        """Keep a key and return where. Raises BadHub for what is no key."""
        text = key.reveal()
        if not text:
            raise BadHub(
                "No key was given: type it, or send it to standard input. For a hub without one leave out --key."
            )
        if len(text) > MAX_KEY_CHARS or not text.isprintable() or not text.isascii():
            raise BadHub("That is no key: it has only letters, digits and signs, in one line. Copy it again.")
        ring = self._ring()
        if ring is not None:
            try:
                ring.set_password(SERVICE, name, text)
                return "keyring"
            except Exception as error:  # somebody else's code; the file does as well
                if self._given is not None:
                    raise KeyUnusable("The system's keyring did not take the key. Unlock it and try again.") from error
                logger.info("the system's keyring did not take a key (%s); it is kept in a file", type(error).__name__)
        try:
            make_folder(self._folder)
            write_whole(self._folder / name, text.encode())
        except OSError as error:
            raise KeyUnusable(
                f"The key can't be kept in {self._folder} ({error.strerror}). {cure(error, 'Make it writable.')}"
            ) from error
        return "file"

    def get(self, hub: Hub) -> Secret | None:
        """Return a hub's key; None where it has none."""
        match hub.key:
            case "none":
                return None
            case "file":
                try:
                    return Secret((self._folder / hub.name).read_text(encoding="ascii"))
                except (OSError, UnicodeDecodeError) as error:
                    raise self._lost(hub) from error
            case "keyring":
                return self._from_ring(hub)

    def forget(self, hub: Hub) -> None:
        """Remove a hub's key, wherever it is; one that is gone already is no error."""
        (self._folder / hub.name).unlink(missing_ok=True)
        ring = self._ring()
        if hub.key == "keyring" and ring is not None:
            try:
                ring.delete_password(SERVICE, hub.name)
            except Exception as error:  # somebody else's code, with errors of its own
                raise KeyUnusable(
                    f"The key of {hub.name} is still in the system's keyring; remove it there."
                ) from error

    def _from_ring(self, hub: Hub) -> Secret:
        ring = self._ring()
        try:
            text = ring.get_password(SERVICE, hub.name) if ring is not None else None
        except Exception as error:  # somebody else's code
            raise self._lost(hub) from error
        if text is None:
            raise self._lost(hub)
        return Secret(text)

    def _ring(self) -> Keyring | None:
        return self._given or (system_keyring() if self._use_system else None)

    def _lost(self, hub: Hub) -> KeyUnusable:
        return KeyUnusable(f"The key of {hub.name} can't be read. Give it again: `covey hub add {hub.name} ...`.")
