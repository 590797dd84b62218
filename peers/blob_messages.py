"""The one message about files of models: of which chunks a file consists. README.md has it as a table."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from peers.chunks import CHUNK_BYTES, MAX_CHUNKS, Chunks
from peers.codec import refused
from peers.wire import Count, DigestText, WireMessage


class BlobChunks(WireMessage):
    """The chunks of one file, as the device that has it says."""

    kind: Literal["blob_chunks"] = "blob_chunks"
    size: Annotated[Count, Field(ge=1)]
    chunk_bytes: Literal[8388608] = CHUNK_BYTES
    """Of every chunk but the last."""
    digests: Annotated[list[DigestText], Field(min_length=1, max_length=MAX_CHUNKS)]


def message_of(chunks: Chunks) -> BlobChunks:
    """Return the row as a message."""
    return BlobChunks(size=chunks.size_bytes, digests=list(chunks.digests))


def chunks_in(message: BlobChunks) -> Chunks:
    """Return the row that a message says. Raises RemoteProtocolError."""
    chunks = Chunks(message.size, tuple(message.digests))
    if not chunks.is_whole:
        raise refused("BlobChunks has more or fewer digests than its size asks for")
    return chunks
