"""Every head that ships, and what builds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.heads.kinds import Kind

HEADS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "route": ("route", {}),
    "injection": ("injection", {}),
    "names": ("names", {}),
    "hard": ("hard", {}),
    "answerable": ("answerable", {}),
    **{
        kind.name: ("intents", {"kind": kind})
        for kind in (
            Kind("clinc150", "clinc150", none="oos"),
            Kind("clinc150_20", "clinc150", without="oos", each=20, named=True, c=100, words=0, word_weight=0.0),
            Kind("banking77", "banking77", word_weight=0.3),
            Kind("hwu64", "hwu64", words=8192, word_weight=0.5),
            Kind("snips", "snips"),
            Kind(
                "trec",
                "trec",
                label="coarse",
                c=10,
                words=16384,
                word_weight=1.0,
                summary="What kind of answer a question wants",
            ),
        )
    },
}
"""Head name to the module in `scripts/heads/` whose `build(model, ...)` fits, measures and writes it."""

ON_RERANKER = frozenset({"answerable"})
"""These are fitted over the reranker, the others over the encoder."""
