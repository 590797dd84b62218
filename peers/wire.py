"""What all messages of the wire share: a `kind`, strict types and bounds; unknown keys are ignored."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from peers import codec
from peers.codec import MAX_MESSAGE_BYTES, refused

MAX_NAME = 64
"""Characters of a device's or model's name; enough for a person, and for one line of a screen."""
SLOWEST_BYTES_PER_S = 500_000
"""A poor radio; what is slower than that is as good as gone."""

Name = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
"""Whole, never negative, exact in every language's numbers."""
Seconds = Annotated[float, Field(ge=0, lt=1e9)]
NodeIdText = Annotated[str, StringConstraints(pattern=r"^[A-Z2-7]{51}[AQ]\z")]
DigestText = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]


class WireMessage(BaseModel):
    """Base of all messages. Fields are checked for type and bound when a message is read, then relied on."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    kind: str

    def pack(self, *, limit: int = MAX_MESSAGE_BYTES) -> bytes:
        """Return the message as it goes on the wire, without frames. Raises LocalProtocolError."""
        return codec.encode(self.model_dump(), limit=limit)


M = TypeVar("M", bound=WireMessage)


def read(packed: bytes, expected: type[M], *, limit: int = MAX_MESSAGE_BYTES) -> M:
    """Return the message in these bytes, which must be of this kind. Raises RemoteProtocolError."""
    return check(codec.decode(packed, limit=limit), expected)


def check(message: dict[str, Any], expected: type[M]) -> M:
    """Return a decoded map as a message of this kind. Raises RemoteProtocolError."""
    if message.get("kind") != expected.model_fields["kind"].default:
        raise refused(f"{expected.__name__} was expected")
    try:
        return expected.model_validate(message)
    except ValidationError as error:
        raise refused(f"{expected.__name__} has a wrong {_where(error)}") from error


def _where(error: ValidationError) -> str:
    """Return the name of the first wrong field; never its value, which is the other side's text."""
    place = error.errors(include_input=False, include_url=False)[0]["loc"]
    return ".".join(str(part) for part in place[:3] if isinstance(part, int) or str(part).isidentifier()) or "field"
