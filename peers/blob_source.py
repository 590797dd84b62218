"""A paired device as one that files of models can be copied from."""

from __future__ import annotations

import asyncio

import aiohttp

from models.types import Label
from peers import codec, ranges
from peers.blob_messages import BlobChunks, chunks_in
from peers.book import Peer
from peers.chunks import Chunks
from peers.client import SILENCE_S, PeerClient, whole
from peers.codec import refused
from peers.errors import PeerLost
from peers.release import Released, Releaser
from peers.wire import read

READ_BYTES = 256 * 1024
READ_FILE_S = 120.0
"""A small board reads and digests a large file once before it can say the chunks."""
MAX_ROW_BYTES = 2**20
CAPABILITY = "models"


class PeerBlobs:
    """The files of models that one paired device has; what is asked for is in the ledger, once per file."""

    def __init__(self, peer: Peer, client: PeerClient, releaser: Releaser) -> None:
        self._peer = peer
        self._client = client
        self._releaser = releaser
        self._released: dict[str, Released[bytes]] = {}

    @property
    def name(self) -> str:
        return self._peer.name

    async def chunks(self, sha256: str) -> Chunks:
        """Ask of which chunks the file consists. Raises PeersError, SourceError."""
        released = await self._release(f"/peer/1/blobs/{sha256}/chunks")
        async with self._client.fetch(self._peer, released, patience_s=READ_FILE_S) as response:
            try:
                async with asyncio.timeout(SILENCE_S):
                    data = await whole(response, MAX_ROW_BYTES)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise self._lost() from error
        messages = codec.FrameReader(limit=MAX_ROW_BYTES).feed(data)
        if len(messages) != 1:
            raise refused("one BlobChunks was expected")
        return chunks_in(read(messages[0], BlobChunks))

    async def read(self, sha256: str, start: int, length: int) -> bytes:
        """Fetch a part of the file. Raises PeersError, SourceError."""
        released = await self._release(f"/peer/1/blobs/{sha256}")
        async with self._client.fetch(self._peer, released, span=ranges.asked(start, length)) as response:
            if response.status != 206 or ranges.span_given(response.headers.get("Content-Range", "")) != (
                start,
                length,
            ):
                raise refused("it is another part of the file than was asked for")
            data = bytearray()
            while len(data) < length:
                piece = await self._piece(response)
                if not piece:
                    raise self._lost()
                data += piece
            if len(data) > length:
                raise refused("it is longer than was asked for")
            return bytes(data)

    async def _piece(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            async with asyncio.timeout(SILENCE_S):
                return await response.content.read(READ_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._lost() from error

    async def _release(self, path: str) -> Released[bytes]:
        if path not in self._released:
            self._released[path] = await asyncio.to_thread(
                self._releaser.release,
                path.encode("ascii"),
                Label.PUBLIC,
                capability=CAPABILITY,
                recipient=self._peer.as_copier(),
                reason="asks for a copy of a model",
            )
        return self._released[path]

    def _lost(self) -> PeerLost:
        return PeerLost(f"{self._peer.name} stopped in the middle of a file. Run the command again: it goes on.")
