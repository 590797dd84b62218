"""Names found beforehand in the texts of a request, so that redaction itself stays a plain function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hub.errors import NamesNotSought
from hub.spans import Kind, Span
from models.backend import TokenEncoder
from models.heads import names
from models.heads.tagger import Tagger
from models.types import Json

KINDS = {
    "person": Kind.PERSON,
    "place": Kind.PLACE,
    "address": Kind.ADDRESS,
    "organization": Kind.ORGANIZATION,
    "nationality": Kind.GROUP,
}
"""What the trained finder calls a kind, and what it is here."""


class FoundNames:
    """A NameFinder over texts that were read before. Any other text is refused: it would go out with its names."""

    def __init__(self, found: Mapping[str, Sequence[Span]]) -> None:
        self._found = dict(found)

    def find(self, text: str) -> Sequence[Span]:
        """Return the names in the text. Raises NamesNotSought."""
        if text.strip() and text not in self._found:
            raise NamesNotSought("Names were not looked for in one of the texts, so it stays here; ask again.")
        return self._found.get(text, ())


async def look(texts: Iterable[str], encoder: TokenEncoder, tagger: Tagger) -> FoundNames:
    """Return the names in all texts. Raises BadArtifact, InputError."""
    return FoundNames(
        {
            text: [
                Span(KINDS[one.kind], one.start, one.end, sure=False) for one in await names.find(text, encoder, tagger)
            ]
            for text in texts
        }
    )


def told(text: str, output: Json) -> FoundNames:
    """Return the names that the specialist `names` told of one text."""
    assert isinstance(output, list), "the specialist's output is a list"
    spans = [one for one in output if isinstance(one, dict)]
    return FoundNames(
        {text: [Span(KINDS[str(s["type"])], _int(s["start"]), _int(s["end"]), sure=False) for s in spans]}
    )


def _int(value: Json) -> int:
    assert isinstance(value, int)
    return value
