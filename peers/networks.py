"""Which networks the owner calls home. On any other this node neither announces itself nor listens.

A network is told by its router's hardware address and its addresses; one without a router by its
addresses alone. That can be forged by whoever is near, and then costs no more than a name of eight letters.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from peers.errors import PeerBookError
from peers.interfaces import Interface
from peers.private_files import alone, cure, write_whole

FILE = "networks.json"
MAX_NETWORKS = 100
"""That are remembered; past this, the one said first goes."""
MAX_FILE_BYTES = 256 * 1024

Standing = Literal["home", "away"]
"""What the owner said of a network."""

_ADAPTER: TypeAdapter[dict[str, Standing]] = TypeAdapter(dict[str, Standing])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The interfaces of now, by what the owner said of their networks."""

    home: tuple[Interface, ...] = ()
    unknown: tuple[Interface, ...] = ()
    """Never spoken of: the owner may be asked."""
    away: tuple[Interface, ...] = ()
    """Not home, or their router is not known yet."""


def network_id(interface: Interface) -> str:
    """Return what tells an interface's network from others; empty while its router is not known.

    >>> import ipaddress
    >>> network_id(Interface("lan0", ("10.1.2.3",), (ipaddress.ip_network("10.1.2.0/24"),), "10.1.2.1", "02:aa"))
    '10.1.2.0/24 02:aa'
    """
    if interface.gateway and not interface.router:
        return ""
    own = [network for network in interface.networks if not network.is_link_local] or list(interface.networks)
    return f"{own[0]} {interface.router}".strip()


def sort(interfaces: Iterable[Interface], said: Mapping[str, Standing]) -> Surroundings:
    """Return the interfaces that may lead into a home, sorted by what was said of their networks."""
    named = [(one, network_id(one)) for one in interfaces if one.is_home_like]
    return Surroundings(
        home=tuple(one for one, network in named if network and said.get(network) == "home"),
        unknown=tuple(one for one, network in named if network and network not in said),
        away=tuple(one for one, network in named if not network or said.get(network) == "away"),
    )


def shown(interface: Interface) -> str:
    """Return a network in words: `192.168.1.0/24 on wlan0`."""
    return f"{network_id(interface).partition(' ')[0] or interface.addresses[0]} on {interface.name}"


class Networks:
    """What the owner said, in a file of the node's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def said(self) -> Mapping[str, Standing]:
        """Return every network that was spoken of. Blocks for the disk. Raises PeerBookError."""
        try:
            with self._path.open("rb") as file:
                return _ADAPTER.validate_json(file.read(MAX_FILE_BYTES))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise PeerBookError(f"{self._path} can't be read ({error.strerror}). Make it readable.") from error
        except ValidationError as error:
            raise PeerBookError(
                f"The list of your networks {self._path} is damaged. Remove it; `covey peers home` asks again."
            ) from error

    def say(self, interfaces: Sequence[Interface], standing: Standing) -> None:
        """Remember what the owner says of the networks of these interfaces. Raises PeerBookError."""
        spoken = {network: standing for one in interfaces if (network := network_id(one))}
        try:
            with alone(self._path):
                kept = {network: before for network, before in self.said().items() if network not in spoken}
                newest = dict([*kept.items(), *spoken.items()][-MAX_NETWORKS:])
                write_whole(self._path, json.dumps(newest, indent=1).encode())
        except TimeoutError as error:
            raise PeerBookError(f"Another program holds {self._path}. Try again in a moment.") from error
        except OSError as error:
            raise PeerBookError(
                f"{self._path} can't be written ({error.strerror}). {cure(error, 'Make it writable.')}"
            ) from error
