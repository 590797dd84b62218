"""What two paired devices tell each other when an owner asks what is wrong with the network between them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from peers.codes import MAX_PORT
from peers.wire import Name, Seconds, WireMessage

Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]


class Check(WireMessage):
    """Please look whether you reach me, too."""

    kind: Literal["check"] = "check"
    port: Annotated[int, Field(ge=0, le=MAX_PORT)] = 0
    """Where the sender serves its peers; 0: nowhere, so nothing is to be dialled."""
    time_ns: Nanoseconds = 0
    """The sender's clock, nanoseconds since 1970."""


class Checked(WireMessage):
    """What it looks like from here."""

    kind: Literal["checked"] = "checked"
    dialled: Name = ""
    """How dialling the sender ended, at the address that its check came from: one of doctor.Dial, or nothing."""
    heard_s: Seconds | None = None
    """Seconds since the sender was heard by multicast; None: never."""
    listens: bool = False
    """Whether this device listens for multicast at all now."""
    time_ns: Nanoseconds = 0
    """This device's clock."""
