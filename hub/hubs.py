"""The list of hubs in its file, and adding to it and taking from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from hub.book import Hub, checked, in_order
from hub.credentials import Credentials
from hub.errors import BadHub, HubBookError, UnknownHub
from hub.files import FOLDER, Kept
from peers.secret import Secret

FILE = "hubs.json"
FORMAT = 1
MAX_HUBS = 32


@dataclass(frozen=True, slots=True)
class HubBook:
    """All hubs, by name, in the order in which they were added."""

    hubs: Mapping[str, Hub] = field(default_factory=dict)
    format: int = FORMAT


class Hubs:
    """The hubs of one home. Calls block for the disk and raise HubBookError."""

    def __init__(self, home: Path) -> None:
        self._kept: Kept[HubBook] = Kept(home / FOLDER / FILE, HubBook, HubBook)
        self.credentials = Credentials(home / FOLDER / "keys")

    def all(self) -> list[Hub]:
        """Return the hubs in the order in which they are tried."""
        return in_order(self._read().hubs)

    def get(self, name: str) -> Hub:
        """Raises UnknownHub."""
        hubs = self._read().hubs
        if name in hubs:
            return hubs[name]
        near = get_close_matches(name, hubs, n=1)
        guess = f" Did you mean {near[0]!r}?" if near else ""
        known = f"There are {', '.join(hubs)}." if hubs else "None was added yet: `covey hub add`."
        raise UnknownHub(f"There is no hub {name[:40]!r}.{guess} {known}")

    def add(self, hub: Hub, key: Secret | None) -> Hub:
        """Add a hub, or describe a known one anew, and keep its key. Raises BadHub, KeyUnusable."""
        wanted = checked(hub)
        if len(self._read().hubs) >= MAX_HUBS and wanted.name not in self._read().hubs:
            raise BadHub(f"There are {MAX_HUBS} hubs already. Take one away first: `covey hub remove NAME`.")
        place = "none" if key is None else self.credentials.put(wanted.name, key)
        added = replace(wanted, key=place)
        self._kept.change(lambda book: replace(book, hubs={**book.hubs, added.name: added}))
        return added

    def remove(self, name: str) -> Hub:
        """Take a hub away with its key. Raises UnknownHub."""
        gone = self.get(name)
        self._kept.change(
            lambda book: replace(book, hubs={known: hub for known, hub in book.hubs.items() if known != name})
        )
        self.credentials.forget(gone)
        return gone

    def key(self, hub: Hub) -> Secret | None:
        """Return the key of a hub; None for one without. Raises KeyUnusable."""
        return self.credentials.get(hub)

    def _read(self) -> HubBook:
        book = self._kept.read()
        if book.format > FORMAT:
            raise HubBookError(f"A newer Covey wrote {self._kept.path}. Update Covey on this device.")
        return book
