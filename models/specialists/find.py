"""Find a phrase in given documents and say where it is; exactly first, then with spelling differences."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from models.errors import InputError
from models.search import MAX_HITS, Hit, search
from models.specialists.exact import Found, given_text, one_result
from models.specialists.runner import Runner
from models.types import Chunk, Evidence, Json, Request, Result

MAX_DOCUMENT_CHARACTERS = 5_000_000
"""All documents together; about ten thousand pages, searched in seconds."""


class Find(Runner):
    """The specialist. `input` is {"pattern": str, "documents": [{"name", "text"}], "fuzzy"?: bool}."""

    def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        return one_result(self.name, lambda: _found(request))


def _found(request: Request) -> Found:
    pattern = given_text(request, "pattern")
    documents = _documents(request.input.get("documents"))
    fuzzy = request.input.get("fuzzy")
    if fuzzy is not None and not isinstance(fuzzy, bool):
        raise InputError("find needs true or false as 'fuzzy'; correct it or leave it out.")
    hits = search(pattern, documents, fuzzy=fuzzy)
    output: list[Json] = [
        {"source": hit.source, "start": hit.start, "end": hit.end, "quote": hit.quote, "score": hit.score}
        for hit in hits
    ]
    evidence = tuple(Evidence(hit.source, hit.start, hit.end, hit.quote) for hit in hits)
    return Found(output, _told(pattern, hits, documents), evidence, min((hit.score for hit in hits), default=1.0))


def _documents(given: Json) -> list[tuple[str, str]]:
    if not isinstance(given, list) or not given:
        raise InputError("find needs at least one document to search; add a file and ask again.")
    documents = []
    for one in given:
        name, text = (one.get("name"), one.get("text")) if isinstance(one, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str):
            raise InputError("Each document needs a 'name' and a 'text'; correct the list of documents.")
        documents.append((name, text))
    total = sum(len(text) for _, text in documents)
    if total > MAX_DOCUMENT_CHARACTERS:
        raise InputError(
            f"The documents have {total} characters, more than {MAX_DOCUMENT_CHARACTERS}; give fewer files."
        )
    return documents


def _told(pattern: str, hits: list[Hit], documents: list[tuple[str, str]]) -> str:
    if not hits:
        return f"No mention of “{pattern}” in {', '.join(name for name, _ in documents)}."
    texts = dict(documents)
    lines = [_line(texts[hit.source], hit) for hit in hits[:10]]
    more = f"\n… and {len(hits) - 10} more" if len(hits) > 10 else ""
    limit = f" (the first {MAX_HITS})" if len(hits) == MAX_HITS else ""
    places = "1 place" if len(hits) == 1 else f"{len(hits)} places{limit}"
    return f"“{pattern}” is in {places}:\n" + "\n".join(lines) + more


def _line(text: str, hit: Hit) -> str:
    number = text.count("\n", 0, hit.start) + 1
    around = text[max(0, hit.start - 40) : hit.end + 40]
    nearly = "" if hit.score == 1 else f" (similar, {hit.score:.0%})"
    shown = re.sub(r"\s+", " ", around).strip()
    return f"{hit.source}, line {number}: …{shown}…{nearly}"


_THING = r"(?:files?|documents?|texts?|notes?|reports?|contracts?|letters?|pdfs?|pages?|emails?|logs?)"
_PLACE = rf"(?:it|them|(?:(?:this|that|the|these|those|my|all) )+(?:(?:attached|given|whole) )?{_THING})"
_SAYS = r"(?:mentions?|says?|contains?|talks? about|refers? to|includes?|mentioned|occurs?|appears?)"
_QUOTED = r"[\"'“‘«](?P<quoted>[^\"“”«»]{1,200}?)[\"'”’»]"
_BARE = r"(?P<bare>[^?\"'“”,.;:]{1,80}?)"
_EVERY = r"(?: (?:all|every) (?:mentions?|occurrences?) of)?"
_WORD = rf"(?:the )?(?:word |phrase |term |name |text |string )?(?:{_QUOTED}|{_BARE})"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?:find|search(?: for)?|look for|locate){_EVERY} {_WORD} in {_PLACE}",
        rf"search {_PLACE} for {_WORD}",
        rf"where (?:does|do|is) {_PLACE} {_SAYS} {_WORD}",
        rf"(?:does|do) {_PLACE} {_SAYS} {_WORD}",
        rf"(?:show me |tell me )?where {_PLACE} {_SAYS} {_WORD}",
        rf"where (?:is|are) {_WORD} mentioned(?: in {_PLACE})?",
        rf"is {_WORD} mentioned(?: anywhere)? in {_PLACE}",
        rf"(?:which|what) (?:line|page|place|part)s?(?: of {_PLACE})? {_SAYS} {_WORD}",
    )
)
_VAGUE = re.compile(
    r"\b(?:what|why|how|who|when|which|whether|if|any|anything|something|errors?|mistakes?|typos?|best|main|most|"
    r"important|summary|and|or|that|it|them|answer|problem)\b",
    re.IGNORECASE,
)
"""Words of a request for meaning, not for a phrase; such a request is left to others."""


def claim(text: str) -> dict[str, Json] | None:
    """Return {"pattern": …} when the whole text asks where a phrase occurs; the caller adds the documents."""
    body = re.sub(r"^(?:please|can you|could you)[, ]+|[\s?.!]*$", "", text.strip(), flags=re.IGNORECASE)
    if len(body) > 300:
        return None
    for form in _FORMS:
        match = form.fullmatch(body)
        if match is None:
            continue
        if match["quoted"]:
            return {"pattern": match["quoted"].strip()}
        bare = match["bare"].strip()
        if not _VAGUE.search(bare) and len(bare.split()) <= 6:
            return {"pattern": bare.removeprefix("the ")}
    return None
