"""Looks for names in what may go to a hub, with this device's own encoder. Where it can't look, nothing goes."""

from __future__ import annotations

from collections.abc import Sequence

from hub.errors import KeptHere
from hub.names import FoundNames, look
from models.backend import TokenEncoder
from models.heads import tagger
from models.specialist import Pool

HEAD = "names"
ENCODERS = ("bge-small-en",)


class NameSeeking:
    """See `hub.door.NameSeeker`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._tagger: tagger.Tagger | None = None

    async def __call__(self, texts: Sequence[str]) -> FoundNames:
        """Return what finds the names in these texts. Raises KeptHere, ModelsError."""
        if not self._pool.installed(ENCODERS):
            raise KeptHere(
                "Names can't be looked for on this device, so nothing was sent. "
                f"Bring the model for it: covey models pull {ENCODERS[0]}"
            )
        self._tagger = self._tagger or tagger.load(HEAD)
        async with self._pool.encoder(ENCODERS) as encoder:
            if not isinstance(encoder, TokenEncoder):
                raise KeptHere(f"{encoder.id} tells nothing about single words, so nothing was sent.")
            return await look(texts, encoder, self._tagger)
