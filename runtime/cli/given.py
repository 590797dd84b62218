"""What a person typed, named and piped, read into an `Ask`; `covey ask` and `covey plan` take the same."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from models.schema import refuse_deep
from models.types import Json, Label, Tier
from runtime import documents, paths
from runtime.asking import Ask, Source
from runtime.config import load
from runtime.errors import DocumentMissing, UsageError
from runtime.router import confident
from runtime.stages import rules

MAX_REQUEST_BYTES = 256 * 1024
"""Longer requests hold a document: give that with --file, and what to do with it as the text."""
MAX_SCHEMA_BYTES = 256 * 1024
"""A schema is a page of text; a larger file is something else."""
PIPE_GRACE_S = 0.2
"""For a pipe beside a request that needs no text: `echo … | covey ask` has written by then."""
PIPE_WAIT_S = 3.0
"""For a pipe beside a request that may need it. A pipe that nobody writes to or closes is then left alone."""
PIPED = "standard input"
"""Name of a document that was piped in."""

Text = Annotated[str, typer.Argument(help="What you want; - or nothing reads it from standard input.")]
Files = Annotated[
    list[Path] | None, typer.Option("--file", "-f", help="A document to work with; may be given several times.")
]
LabelName = Annotated[
    str, typer.Option("--label", help="Who may see it: public, personal, sensitive or secret.", show_default=False)
]
TierName = Annotated[str, typer.Option("--tier", help="The furthest place that may work on it: device, home or hub.")]
Risk = Annotated[
    float | None, typer.Option("--risk", help="Share of unnoticed errors that you accept, for example 0.05.")
]
SchemaFile = Annotated[
    Path | None, typer.Option("--schema", help="File with the JSON Schema that the answer must have.")
]
As = Annotated[
    str, typer.Option("--as", help="Name the capability yourself, for example summarize.", show_default=False)
]

_TIERS = {"device": Tier.DEVICE, "home": Tier.HOME, "hub": Tier.HUB}


def ask_from(
    text: str,
    *,
    files: list[Path] | None,
    label: str,
    tier: str,
    risk: float | None,
    schema: Path | None,
    capability: str,
) -> Ask:
    """Return the request. Raises UsageError, DocumentError, ConfigError, ConstraintError."""
    chosen = label_of(label)
    named = tuple(files or ())
    _must_exist(named)
    from_stdin = Path(documents.STDIN) in named
    request = text if text not in ("", documents.STDIN) else _request_from_stdin(from_stdin)
    sources: tuple[Source, ...]
    if from_stdin:  # it can be read once only, and a request may be looked at several times
        sources = (_given_on_stdin(chosen),)
    else:
        sources = () if request is not text else _piped(request, named, chosen)
    if risk is not None and not 0 < risk < 1:
        raise UsageError(f"--risk {risk:g} is not between 0 and 1. Give for example --risk 0.05.")
    return Ask(
        text=request,
        files=tuple(file for file in named if str(file) != documents.STDIN),
        sources=sources,
        label=chosen,
        ceiling=tier_of(tier),
        capability=capability,
        schema=read_schema(schema) if schema else None,
        risk=risk,
    )


def read_line(prompt: str) -> str:
    """Return the next line of standard input. Raises EOFError, UsageError for what is not text."""
    try:
        return input(prompt) if prompt else _next_line()
    except UnicodeDecodeError as error:
        raise UsageError("Standard input is not UTF-8 text. Convert it and try again.") from error


def _next_line() -> str:
    line = sys.stdin.buffer.readline(MAX_REQUEST_BYTES + 1)
    if not line:
        raise EOFError
    if len(line) > MAX_REQUEST_BYTES:
        raise UsageError(
            f"A line on standard input is longer than {MAX_REQUEST_BYTES // 1024} KB. Ask about a long text with "
            "`covey ask --file FILE`."
        )
    return line.decode("utf-8-sig")


def read_schema(path: Path) -> Mapping[str, Json]:
    """Return the JSON Schema in a file. Raises UsageError, DocumentMissing, ConstraintError."""
    _must_exist((path,))
    place = path.expanduser()
    if not place.is_file():
        raise UsageError(f"{path} is no ordinary file. Give a file with a JSON Schema.")
    try:
        with place.open("rb") as file:
            data = file.read(MAX_SCHEMA_BYTES + 1)
        if len(data) > MAX_SCHEMA_BYTES:
            raise UsageError(f"{path} is larger than {MAX_SCHEMA_BYTES // 1024} KB, so it is no schema. Give another.")
        schema = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a JSON file ({error}). Give a file with a JSON Schema.") from error
    if not isinstance(schema, dict):
        raise UsageError(f'{path} holds no JSON object. A schema begins with {{, for example {{"type": "object"}}.')
    refuse_deep(schema)  # before a node is asked: no message carries it
    return schema


def label_of(name: str) -> Label:
    """Return the label of that name, or the one that the settings give. Raises UsageError, ConfigError."""
    if not name:
        return load(paths.settings_file(paths.home())).label
    if name.upper() not in Label.__members__:
        raise UsageError(f"--label {name!r} is not known. Choose public, personal, sensitive or secret.")
    return Label[name.upper()]


def tier_of(name: str) -> Tier:
    """Return the tier of that name. Raises UsageError."""
    if name not in _TIERS:
        raise UsageError(f"--tier {name!r} is not known. Choose device, home or hub.")
    return _TIERS[name]


def _must_exist(files: tuple[Path, ...]) -> None:
    """Raise for a wrong path before any work begins (and before any model is fetched)."""
    for path in files:
        place = path.expanduser()
        if str(path) != documents.STDIN and not os.path.lexists(place):
            raise DocumentMissing(f"There is no file {path}. Check the path.")


def _request_from_stdin(stdin_is_a_file: bool) -> str:
    if stdin_is_a_file or sys.stdin is None or sys.stdin.isatty():
        raise UsageError('There is nothing to do. Write what you want: covey ask "What is 12 * 12?"')
    data = sys.stdin.buffer.read(MAX_REQUEST_BYTES + 1)
    if len(data) > MAX_REQUEST_BYTES:
        raise UsageError(
            f"The request is larger than {MAX_REQUEST_BYTES // 1024} KB. "
            'Give the document beside it: covey ask "Summarise this" < FILE'
        )
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"The request on standard input is not UTF-8 text (byte {error.start}). Convert it and try again."
        ) from error
    if not text:
        raise UsageError('Standard input was empty. Write what you want: covey ask "What is 12 * 12?"')
    return text


def _given_on_stdin(label: Label) -> Source:
    found = documents.read(documents.STDIN, label=label)
    return Source(found.name, found.text, found.label, found.trust, found.notes, found.raw)


def _piped(request: str, files: tuple[Path, ...], label: Label) -> tuple[Source, ...]:
    """Return what was piped in beside the request, as a document."""
    waits = PIPE_GRACE_S if files or _needs_nothing(request) else PIPE_WAIT_S
    if sys.stdin is None or sys.stdin.isatty() or not _ready(waits):
        return ()
    data = sys.stdin.buffer.read(documents.MAX_DOCUMENT_BYTES + 1)
    if not data.strip():
        return ()
    if len(data) > documents.MAX_DOCUMENT_BYTES:
        limit = documents.MAX_DOCUMENT_BYTES // 10**6
        raise UsageError(f"What was piped in is larger than {limit} MB. Give the part of it that matters.")
    found = documents.parse(data, PIPED, label=label)
    return (Source(found.name, found.text, found.label, found.trust, found.notes),)


def _needs_nothing(request: str) -> bool:
    return confident(rules.claim(rules.Seen(request, date.today())))


def _ready(wait_s: float) -> bool:
    """Return whether standard input has something to read, or has ended."""
    try:
        handle = sys.stdin.fileno()
        if not (stat.S_ISFIFO(os.fstat(handle).st_mode) or stat.S_ISSOCK(os.fstat(handle).st_mode)):
            return True
        found = bool(select.select([handle], [], [], wait_s)[0])
    except (OSError, ValueError):  # closed, or replaced by something without a handle
        return False
    if not found and wait_s >= PIPE_WAIT_S:
        print(f"Nothing came on standard input within {wait_s:g} s, so it was left alone.", file=sys.stderr)
    return found
