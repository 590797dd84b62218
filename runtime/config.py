"""The owner's settings: `settings.toml` in Covey's folder, read once at the start and passed down.

No file is needed: every setting has a default that works. `docs/settings.md` explains each.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from models.backends.llama_settings import OwnersChoice
from models.types import Label
from runtime.errors import ConfigError

MAX_FILE_BYTES = 256 * 1024
"""A settings file is a page of text; a larger one is some other file, and would only fill the memory."""
LEAST_MEMORY_MB = 64
"""Below this no model loads."""
LEAST_CONTEXT_TOKENS = 256
"""Below this not even a specialist's own prompt fits."""
MOST_TOKENS = 10_000_000
"""More than any model reads; a larger number is a slip of the finger."""
MEMORY_SHARE = 0.6
"""Part of the device's memory that models may use by default; the rest is for the owner's other programs."""


def _label(given: Any) -> Any:
    if isinstance(given, str) and given.upper() in Label.__members__:
        return Label[given.upper()]
    if isinstance(given, Label):
        return given
    raise ValueError("it must be public, personal, sensitive or secret")


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Settings:
    """All settings. Also the shape of the file."""

    memory_budget_mb: Annotated[int, Field(strict=True, ge=LEAST_MEMORY_MB)] | None = None
    """Memory that loaded models may use together, in MB (10^6 bytes); None takes 60 % of the device's."""
    threads: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = None
    """Processor threads that models may use; None takes the physical cores that Covey may use."""
    reproducible: Annotated[bool, Field(strict=True)] = False
    """Whether answers are to be the same whatever else runs here: an answer that another device goes on with then
    reads as if nothing had happened. Takes more memory, and prompts are read more slowly."""
    context_tokens: Annotated[int, Field(strict=True, ge=LEAST_CONTEXT_TOKENS, le=MOST_TOKENS)] | None = None
    """Tokens of one request, prompt and answer together; None takes each language model's own number. Never more than
    the model was made for."""
    state_tokens: Annotated[int, Field(strict=True, ge=LEAST_CONTEXT_TOKENS, le=MOST_TOKENS)] | None = None
    """Tokens of state of a language model, all requests that run at once together; None takes one request's context
    and 1,024 more. What does not fit waits its turn."""
    content_days: Annotated[int, Field(strict=True, ge=0, le=3650)] = 30
    """Days for which the journal keeps texts; 0 keeps none. Digests and figures stay."""
    ledger_days: Annotated[int, Field(strict=True, ge=0, le=3650)] = 30
    """Days for which the ledger keeps the exact bytes that left; 0 keeps none. Its entries stay for good."""
    label: Annotated[Label, BeforeValidator(_label)] = Label.PERSONAL
    """Label of a request that names none: public, personal, sensitive or secret."""
    copy_mb_per_s: Annotated[int, Field(strict=True, ge=1, le=100_000)] | None = None
    """Speed in MB (10^6 bytes) per second at which paired devices may copy models from here; None sets no bound."""
    hide: tuple[Annotated[str, Field(min_length=2, max_length=200)], ...] = ()
    """Words of the owner's own that are hidden before anything goes to a hub: names of friends, of a project."""
    models: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)
    """Specialist to the models that it should use, best first, in place of its own list."""
    floors: Mapping[Name, Annotated[float, Field(strict=True, ge=0, le=1)]] = field(default_factory=dict)
    """Capability to the least confidence, 0..1; an answer below it is given as 'not sure'."""

    def language_models(self) -> OwnersChoice:
        """Return what the settings say about how language models are loaded."""
        return OwnersChoice(self.reproducible, self.context_tokens, self.state_tokens)

    def memory_budget_bytes(self, total_bytes: int) -> int:
        """Return the budget on a device with this much memory."""
        return int(total_bytes * MEMORY_SHARE) if self.memory_budget_mb is None else self.memory_budget_mb * 10**6


_ADAPTER: TypeAdapter[Settings] = TypeAdapter(Settings)


def load(path: Path) -> Settings:
    """Return the settings in a file; the defaults where there is none. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):  # that there is no folder is said when it is made
        return Settings()
    except OSError as error:
        raise ConfigError(f"{path} can't be read ({error.strerror}). Make it readable, or move it away.") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(
            f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB, so it is no settings file. Move it away."
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    return parse(text, str(path))


def parse(text: str, origin: str) -> Settings:
    """Return the settings in a TOML text; `origin` names it in errors.

    Raises ConfigError with the line and the field.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: {str(error).rstrip('.')}. Correct that line; it must be TOML.") from error
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise ConfigError(_sentence(error, text, origin)) from error


def _sentence(error: ValidationError, text: str, origin: str) -> str:
    first = error.errors()[0]
    place = [str(part) for part in first["loc"] if part != "[key]"]
    where = f"{origin}, line {line_of(text, place)}: field {'.'.join(place)}"
    if first["type"] == "unexpected_keyword_argument":
        known = list(Settings.__dataclass_fields__)
        near = get_close_matches(place[0], known, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else f"The settings are {', '.join(known)}."
        return f"{where}: there is no such setting. {cure}"
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{where}: {message[:1].lower() + message[1:]}, but it is {first['input']!r}. Correct that line."


def line_of(text: str, place: Sequence[str]) -> int:
    """Return the number of the line that sets a field, or of the nearest thing above it; 1 when unknown.

    >>> line_of("threads = 2\\n[floors]\\nanswer = 7\\n", ["floors", "answer"])
    3
    """
    best, best_depth, table = 1, 0, []  # type: int, int, list[str]
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+([^\]]+)\]+", line)
        key = re.match(r"""\s*((?:[\w.-]|"[^"]*"|'[^']*')+)\s*=""", line)
        if header:
            table = _keys(header[1])
            found = table
        elif key:
            found = table + _keys(key[1])
        else:
            continue
        depth = len(found) if found == list(place[: len(found)]) else 0
        if depth > best_depth:
            best, best_depth = number, depth
    return best


def _keys(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]
