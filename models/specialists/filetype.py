"""Say what kind of file a file is, from its content; reads only the parts that the classifier needs."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from functools import cache
from pathlib import Path
from typing import Any

from models.errors import InputError
from models.specialists.exact import Found, given_text, one_result
from models.specialists.runner import Runner
from models.types import Chunk, Effect, Json, Request, Result


class FileType(Runner):
    """The specialist. `input` is {"path": str}; the request's authority must allow reading files."""

    def run(self, request: Request) -> AsyncGenerator[Chunk | Result, None]:
        return one_result(self.name, lambda: _identified(request))


def _identified(request: Request) -> Found:
    """A path is a right to read: without that right a peer could probe which files are here."""
    path = Path(given_text(request, "path"))
    if Effect.READ_FILE not in request.authority.effects:
        raise InputError("This request may not read files here; give the file itself with the request.")
    return identified(path)


def identified(path: Path) -> Found:
    """Return type, MIME type and score of a file. Raises InputError when it is missing, empty or not readable."""
    _check_readable(path)
    result = _classifier().identify_path(path)
    if not result.ok:
        raise InputError(f"{path.name} could not be read; check that it is still there and that you may read it.")
    kind, score = result.output, round(float(result.score), 4)
    output: dict[str, Json] = {"type": str(kind.label), "mime": kind.mime_type, "score": score}
    sure = "" if score >= 0.9 else f", not sure ({score:.0%})"
    return Found(output, f"{path.name}: {kind.description} ({kind.mime_type}{sure})", confidence=score)


def _check_readable(path: Path) -> None:
    """Only regular files: opening a pipe or a device would wait or act."""
    try:
        if path.is_dir():
            raise InputError(f"{path.name} is a folder; give a file.")
        if not path.exists():
            raise InputError(f"There is no file {path.name}; check the path.")
        if not path.is_file():
            raise InputError(f"{path.name} is not an ordinary file; give a file.")
        if path.stat().st_size == 0:
            raise InputError(f"{path.name} is empty, so it has no kind; choose another file.")
        with path.open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} could not be read; check that you may read it.") from error


@cache
def _classifier() -> Any:
    from magika import Magika  # heavy, first use only

    return Magika()


_THIS = (
    r"(?:this|that|it|the|this file|that file|the file|the attached file|this attachment|the attachment|this document)"
)
_KIND = r"(?:kind|type|sort)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"what {_KIND} of (?:a )?(?:file|document) (?:is|was) {_THIS}",
        rf"what(?:'s| is) the (?:file ?type|file format|mime ?type)(?: of {_THIS}(?: file)?)?",
        rf"what(?:'s| is) the (?:format|type) of {_THIS}",
        rf"(?:what|which) (?:file ?type|file format|mime ?type|file extension) (?:is|does) {_THIS}(?: have)?",
        rf"(?:identify|detect|determine) (?:the )?(?:file ?type|file format|mime ?type)(?: of {_THIS}(?: file)?)?",
        r"identify (?:this|the|that) file",
        rf"(?:what|which) format (?:is {_THIS} in|is {_THIS}|does {_THIS} have)",
    )
)


def claim(text: str) -> dict[str, Json] | None:
    """Return {} when the whole text asks what kind of file this is; the caller adds the path."""
    body = re.sub(r"^(?:please|can you|could you|tell me)[, ]+|[\s?.!]*$", "", text.strip(), flags=re.IGNORECASE)
    if len(body) > 100:
        return None
    return {} if any(form.fullmatch(body) for form in _FORMS) else None
