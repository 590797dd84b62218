"""S0: claims by rule. A rule speaks only when the whole request resolves, every slot included.

The computed kinds (arithmetic, units, dates, search, file types) bring their own `claim`; the rest is
a few plain sentences. What no rule resolves is left to the next stage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib import import_module

from models.tables import Table
from models.types import Json
from runtime.claims import Claim
from runtime.stages import choices
from runtime.stages.phrases import OBJECT, POLITE

MAX_CLAIM_CHARS = 400
"""Longer requests are not arithmetic, units or dates; the bound keeps the patterns fast on pasted text."""
MAX_FIELDS = 16
MAX_FIELD_WORDS = 4


@dataclass(frozen=True, slots=True)
class Seen:
    """What the rules look at."""

    text: str
    today: date
    files: tuple[str, ...] = ()
    """Paths or names of the documents that came along."""
    functions: tuple[Mapping[str, Json], ...] = ()
    schema: Mapping[str, Json] | None = None
    own: frozenset[str] = frozenset()
    """Names of specialists that are not built in: `triage: my parcel is lost` asks for `triage`."""
    table: Table | None = None
    """What came along, where it is one table."""


Rule = Callable[[Seen], Claim | None]


def claim(seen: Seen) -> Claim:
    """Return the first rule's claim, or a claim of nothing with score 0."""
    for rule in RULES:
        found = rule(seen)
        if found is not None:
            return found
    return Claim("rules", None, 0.0, "no rule fits the whole request")


def is_question(text: str) -> bool:
    """Return whether a text asks for something to be looked up."""
    return text.rstrip().endswith("?") or bool(_QUESTION.match(text))


def _sure(capability: str, reason: str, **given: Json) -> Claim:
    return Claim("rules", capability, 1.0, reason, given)


def _calculate(seen: Seen) -> Claim | None:
    return _computed(seen, "calculate", "models.specialists.calculate", "the whole request is an arithmetic expression")


def _convert(seen: Seen) -> Claim | None:
    if not _DIGIT_OR_NUMBER.search(seen.text):  # spares the import of the unit library
        return None
    return _computed(seen, "convert", "models.specialists.convert", "the whole request is a conversion of units")


def _when(seen: Seen) -> Claim | None:
    return _computed(seen, "when", "models.specialists.when", "the whole request is a question about dates", seen.today)


def _computed(seen: Seen, capability: str, module: str, reason: str, *more: date) -> Claim | None:
    return None if seen.files else _claimed(seen, capability, module, reason, *more)


def _claimed(seen: Seen, capability: str, module: str, reason: str, *more: date) -> Claim | None:
    """Ask a specialist whether it can resolve the whole text; its module is loaded here, on first use."""
    text = seen.text.strip()
    if not text or len(text) > MAX_CLAIM_CHARS:
        return None
    given = import_module(module).claim(text, *more)
    return None if given is None else _sure(capability, reason, **given)


def _functions(seen: Seen) -> Claim | None:
    if not seen.functions:
        return None
    return _sure("call", f"the caller offers {len(seen.functions)} functions")


def _schema(seen: Seen) -> Claim | None:
    if seen.schema is None:
        return None
    return _sure("extract", "the caller gave the schema of the answer")


def _named(seen: Seen) -> Claim | None:
    name, mark, rest = seen.text.strip().partition(":")
    asked = name.strip().lower()
    if not mark or asked not in seen.own or not (rest.strip() or seen.files):
        return None
    given: dict[str, Json] = {"text": rest.strip()} if rest.strip() else {}
    return _sure(asked, f"begins with the name of your specialist {asked}", **given)


def _filetype(seen: Seen) -> Claim | None:
    if len(seen.files) != 1:
        return None
    return _claimed(seen, "filetype", "models.specialists.filetype", "asks what kind of file this is")


def _summarize(seen: Seen) -> Claim | None:
    head, inline = _split(seen.text)
    match = _SUMMARIZE.match(head)
    if match is None or (not inline and not seen.files):
        return None
    given: dict[str, Json] = {} if not inline else {"text": inline}
    count = _count(match["count"])
    if count is not None:
        given["sentences"] = count
    source = f"{len(seen.files)} file(s)" if seen.files else "the text after the colon"
    return _sure("summarize", f"asks for a summary of {source}", **given)


def _extract(seen: Seen) -> Claim | None:
    head, inline = _split(seen.text)
    match = _EXTRACT.match(head)
    if match is None or (not inline and not seen.files):
        return None
    fields = field_names(match["fields"])
    if fields is None:
        return None
    given: dict[str, Json] = {"fields": list(fields)}
    if inline:
        given["text"] = inline
    return _sure("extract", f"names the fields to extract: {', '.join(fields)}", **given)


def field_names(words: str) -> tuple[str, ...] | None:
    """Return `the name, date and total amount` as ("name", "date", "total_amount"); None when it is no such list."""
    names: list[str] = []
    for part in re.split(r",\s*(?:and\s+)?|\s+and\s+|\s*&\s*", words.strip()):
        words_of = re.sub(r"^(?:the|its|their|all|any)\b\s*", "", part.strip().lower()).split()
        if not words_of or len(words_of) > MAX_FIELD_WORDS or not all(re.fullmatch(r"[\w-]+", w) for w in words_of):
            return None
        names.append("_".join(words_of).replace("-", "_"))
    unique = tuple(dict.fromkeys(names))
    return unique if len(unique) <= MAX_FIELDS else None


def _find(seen: Seen) -> Claim | None:
    if not seen.files:
        return None
    return _claimed(seen, "find", "models.specialists.find", "asks where the files mention a phrase")


def _classify(seen: Seen) -> Claim | None:
    for head, inline in (_split(seen.text), _after_question(seen.text)):
        labels = choices.labels(head) if inline or seen.files else ()
        if labels:
            given: dict[str, Json] = {"labels": list(labels), **({"text": inline} if inline else {})}
            return _sure("classify", f"names the labels to choose from: {', '.join(labels)}", **given)
    return None


def _code(seen: Seen) -> Claim | None:
    match = _CODE.match(seen.text.strip())
    if match is None or seen.files:
        return None
    language = match["language"]
    given: dict[str, Json] = {"language": language.lower()} if language else {}
    return _sure("code", f"asks for {'a ' + language if language else 'a piece of'} code", **given)


def _write(seen: Seen) -> Claim | None:
    if not _WRITE.match(seen.text.strip()):
        return None
    return _sure("generate", "asks for something to be written")


def _table(seen: Seen) -> Claim | None:
    if seen.table is None:
        return None
    given = import_module("models.specialists.table").claim(seen.text, seen.table)
    return None if given is None else _sure("table", "the table holds all that the question names", **given)


def _answer(seen: Seen) -> Claim | None:
    if not seen.files or not is_question(seen.text):
        return None
    return _sure("answer", f"a question about {len(seen.files)} file(s)")


RULES: Sequence[Rule] = (
    _functions,
    _schema,
    _named,
    _calculate,
    _convert,
    _when,
    _filetype,
    _table,
    _summarize,
    _extract,
    _find,
    _classify,
    _code,
    _write,
    _answer,
)
"""In order of precision; the first that speaks wins."""


def _split(text: str) -> tuple[str, str]:
    """Return (instruction, inline text) of `Summarize this: …`; the second is empty without a colon or line break."""
    head, mark, rest = text.strip().partition(":")
    if mark and len(head) <= MAX_CLAIM_CHARS and "\n" not in head and rest.strip():
        return head.strip(), rest.strip()
    head, mark, rest = text.strip().partition("\n")
    return head.strip().rstrip(":").strip(), rest.strip()


def _after_question(text: str) -> tuple[str, str]:
    """Return (question, text behind it) of `Is this spam or not? You won ...`."""
    head, mark, rest = text.strip().partition("?")
    return (head.strip(), rest.strip()) if mark and len(head) <= MAX_CLAIM_CHARS else ("", "")


def _count(word: str | None) -> int | None:
    if word is None:
        return None
    if word.isdigit():
        return max(1, int(word))
    return _NUMBER_WORDS.index(word.lower()) + 1


_NUMBER_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT = rf"(?P<count>\d{{1,2}}|{'|'.join(_NUMBER_WORDS)})"
_DIGIT_OR_NUMBER = re.compile(rf"\d|\b(?:a|an|half|{'|'.join(_NUMBER_WORDS)})\b", re.IGNORECASE)
_QUESTION = re.compile(
    r"(?:who|whom|whose|what|which|when|where|why|how|is|are|was|were|do|does|did|can|could|should|will|would|has|have)"
    r"\b",
    re.IGNORECASE,
)
_SUMMARIZE = re.compile(
    rf"{POLITE}(?:summari[sz]e|sum\s+up|(?:give\s+(?:me\s+)?|make\s+|write\s+)?a\s+(?:short\s+|brief\s+)?summary(?:\s+of)?"
    rf"|tl;?dr)\s*{OBJECT}\s*(?:(?:in|with|to|using)\s+(?:at\s+most\s+|about\s+)?{_COUNT}\s+sentences?)?"
    r"(?:\s*,?\s*(?:briefly|shortly|please|for\s+me))?[.!?]?$",
    re.IGNORECASE,
)
_EXTRACT = re.compile(
    rf"{POLITE}(?:extract|pull\s+out|list|get)\s+(?P<fields>[\w ,&'-]{{2,200}}?)"
    rf"(?:\s+(?:from|out\s+of|in|of)(?:\s+{OBJECT})?)?[.!?]?$",
    re.IGNORECASE,
)
_LANGUAGES = (
    r"python|javascript|typescript|java|rust|go|bash|shell|sql|html|css|ruby|php|kotlin|swift|lua|perl|c\+\+|c#|c|r"
)
_CODE = re.compile(
    rf"{POLITE}(?:write|implement|code|create|give\s+me|show\s+me|make)\s+(?:me\s+)?(?:an?\s+|the\s+|some\s+)?"
    rf"(?:(?:short|small|simple|recursive)\s+)?(?:(?P<language>{_LANGUAGES})\s+)?"
    r"(?:function|script|program|code|class|method|snippet|one-?liner|regex|query|unit\s+test)s?\b",
    re.IGNORECASE,
)
_WRITE = re.compile(
    rf"{POLITE}(?:help\s+me\s+)?(?:"
    r"(?:write|draft|compose)\s+(?:me\s+|us\s+)?(?:an?|the|some|my|this|two|three|\d+)\b"
    r"|(?:rewrite|rephrase|reword|paraphrase|proofread|shorten)\s+(?:this|the|my|it)\b"
    r"|(?:tell|give)\s+me\s+an?\s+(?:\w+\s+)?(?:joke|story|poem|riddle|greeting|limerick|haiku)\b"
    r"|(?:write|draft|reply)\s+(?:back\s+)?to\s+\w+"
    r"|(?:say\s+)?(?:hello|hi)\b[\s!.,]*$"
    r")",
    re.IGNORECASE,
)
