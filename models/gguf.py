"""Reads the header of a GGUF file, strictly, so that a damaged or hostile one is refused before llama.cpp sees it.

It checks magic, version, every count and length against a bound and against the file's size, the
architecture, and that each tensor lies where it must. It never reads the weights themselves.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from models.errors import BadArtifact, StoreError
from models.ggml import TENSOR_TYPES, TEXT_ARCHITECTURES

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_KEYS = 4096
"""Entries; real files have 20 to 60. Stops a header that claims billions."""
MAX_TENSORS = 65_536
"""Tensors; the largest public models have a few thousand."""
MAX_ARRAY = 4_194_304
"""Elements; the largest vocabularies have 262,144 tokens and about as many merges."""
MAX_KEY_BYTES = 1024
MAX_TEXT_BYTES = 4_194_304
"""Bytes of one string; chat templates reach 30 KB."""
MAX_HEADER_BYTES = 256 * 1024 * 1024
READ_BYTES = 256 * 1024
"""Read at a time: headers have 2 to 20 MB, and what comes before the vocabulary a few KB."""
MAX_DIMENSIONS = 4
MAX_LAYERS = 1024
"""Elements of an array that says something for each layer; the largest public models have 126."""
DEFAULT_ALIGNMENT = 32

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_WHOLE = frozenset("BbHhIiQq")
_STRING = 8
_ARRAY = 9
_VOCABULARY = "tokenizer."
"""Keys of the vocabulary, a tenth of a second long; llama.cpp's tools write them behind those of the model."""
STATE_NUMBER_BYTES = 2
"""Keys and values are kept as 16-bit numbers."""

Value = bool | int | float | str
Entry = Value | tuple[int, ...]
"""A value, or an array of whole numbers; other arrays are checked, passed over and given as ()."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself."""

    version: int
    architecture: str
    name: str
    """Empty where the file has none."""
    context_tokens: int | None
    """Longest context it was trained for."""
    chat_template: str
    """Jinja source, untrusted; empty where the file has none."""
    licence: str
    parameters: int
    """Number of weights."""
    tensor_types: Mapping[str, int]
    """Tensor type to number of tensors."""


def read(path: Path) -> GgufHeader:
    """Return the header of a GGUF text model.

    Raises BadArtifact when the file is not one, is damaged or truncated, or is of an architecture
    that can't be run here; StoreError when it can't be read.
    """
    with _opened(path) as cursor:
        return _parse(cursor)


def state_token_bytes(path: Path) -> int:
    """Return the memory of one token's keys and values in all layers; 0 for a model that keeps none.

    Reads only what comes before the vocabulary. Raises as `read`.
    """
    with _opened(path) as cursor:
        *_, keys = _counts(cursor)
        entries: dict[str, Entry] = {}
        for key, value in _entries(cursor, keys):
            if key.startswith(_VOCABULARY) and _state_token_bytes(entries):
                break
            entries[key] = value
    return _state_token_bytes(entries)


@contextmanager
def _opened(path: Path) -> Iterator[_Cursor]:
    """Give a position behind the file's first bytes."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise BadArtifact(f"{path.name} is not a GGUF file; give a model file in GGUF format.")
            yield _Cursor(file, path.name)
    except OSError as error:
        raise StoreError(f"{path} can't be read ({error.strerror}); check the path and its permissions.") from error


class _Cursor:
    """A position in the file; every read is checked against its end first.

    The file is read and not mapped: a medium that fails or is pulled out is then an error and not the process's end.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.file = file
        self.name = name
        self.size = os.fstat(file.fileno()).st_size
        self.view = bytearray(MAGIC)
        """What has been read: the file's first bytes."""
        self.at = len(MAGIC)

    def damaged(self, why: str) -> BadArtifact:
        return BadArtifact(f"{self.name} is damaged or cut short ({why}); fetch it again.")

    def skip(self, count: int) -> int:
        """Move on by `count` bytes and return where they began."""
        start, end = self.at, self.at + count
        if end > len(self.view):
            self._read_on(end)
        self.at = end
        return start

    def _read_on(self, end: int) -> None:
        """Read up to `end` at least; a file may have become shorter since it was opened."""
        here, most = len(self.view), min(self.size, MAX_HEADER_BYTES)
        if end <= most:
            self.view += self.file.read(min(max(end - here, READ_BYTES), most - here))
        if end > len(self.view):
            raise self.damaged("its header runs past the end")

    def scalar(self, code: str) -> int | float | bool:
        start = self.skip(struct.calcsize("<" + code))
        value: int | float | bool = struct.unpack_from("<" + code, self.view, start)[0]
        return value

    def number(self, code: str, most: int, what: str) -> int:
        value = int(self.scalar(code))
        if value > most:
            raise self.damaged(f"{what} {value}, more than {most}")
        return value

    def text(self, most: int) -> str:
        length = self.number("Q", most, "a string of bytes")
        start = self.skip(length)
        return self.view[start : start + length].decode("utf-8", "replace")


def _parse(cursor: _Cursor) -> GgufHeader:
    version, tensors, keys = _counts(cursor)
    values = _read_values(cursor, keys)
    architecture = str(values.get("general.architecture", ""))
    if architecture not in TEXT_ARCHITECTURES:
        raise BadArtifact(
            f"{cursor.name} has the architecture {architecture[:40]!r}, which can't be run here; "
            "choose a text model such as a llama, qwen or gemma one."
        )
    parameters, types = _read_tensors(cursor, tensors, _alignment(cursor, values))
    context = values.get(f"{architecture}.context_length")
    return GgufHeader(
        version=version,
        architecture=architecture,
        name=str(values.get("general.name", "")),
        context_tokens=context if isinstance(context, int) and context > 0 else None,
        chat_template=str(values.get("tokenizer.chat_template", "")),
        licence=str(values.get("general.license", "")),
        parameters=parameters,
        tensor_types=types,
    )


def _counts(cursor: _Cursor) -> tuple[int, int, int]:
    """Return the version, the number of tensors and the number of keys."""
    version = int(cursor.scalar("I"))
    if version not in VERSIONS:
        raise BadArtifact(f"{cursor.name} is GGUF version {version}, and 2 and 3 are understood; get a newer file.")
    tensors = cursor.number("Q", MAX_TENSORS, "tensors:")
    return version, tensors, cursor.number("Q", MAX_KEYS, "keys:")


def _read_values(cursor: _Cursor, count: int) -> dict[str, Value]:
    """Return the header's single values; arrays are checked and passed over."""
    values: dict[str, Value] = {}
    for key, value in _entries(cursor, count):
        if key in values:
            raise cursor.damaged(f"the key {key[:60]!r} occurs twice")
        if not isinstance(value, tuple):
            values[key] = value
    return values


def _entries(cursor: _Cursor, count: int) -> Iterator[tuple[str, Entry]]:
    """Yield each key and its value, as they are read."""
    for _ in range(count):
        key = cursor.text(MAX_KEY_BYTES)
        kind = int(cursor.scalar("I"))
        if kind == _ARRAY:
            yield key, _read_array(cursor)
        elif kind == _STRING:
            yield key, cursor.text(MAX_TEXT_BYTES)
        elif kind in _SCALARS:
            yield key, cursor.scalar(_SCALARS[kind])
        else:
            raise cursor.damaged(f"value type {kind}")


def _read_array(cursor: _Cursor) -> tuple[int, ...]:
    kind = int(cursor.scalar("I"))
    count = cursor.number("Q", MAX_ARRAY, "array elements:")
    if count <= MAX_LAYERS and _SCALARS.get(kind) in _WHOLE:
        return tuple(int(cursor.scalar(_SCALARS[kind])) for _ in range(count))
    if kind in _SCALARS:
        cursor.skip(count * struct.calcsize("<" + _SCALARS[kind]))
    elif kind == _STRING:
        for _ in range(count):
            cursor.skip(cursor.number("Q", MAX_TEXT_BYTES, "a string of bytes"))
    else:
        raise cursor.damaged(f"array type {kind}")
    return ()


def _state_token_bytes(entries: Mapping[str, Entry]) -> int:
    """Count 16-bit numbers: a key and a value for each key-value head of each layer."""
    architecture = entries.get("general.architecture", "")

    def numbers(name: str) -> tuple[int, ...]:
        found = entries.get(f"{architecture}.{name}", ())
        return found if isinstance(found, tuple) else (int(found),) if isinstance(found, int) else ()

    layers, heads = sum(numbers("block_count")), numbers("attention.head_count")
    kept_heads = numbers("attention.head_count_kv") or heads
    all_heads = sum(kept_heads) if len(kept_heads) > 1 else sum(kept_heads) * layers
    usual = sum(numbers("embedding_length")) // max((1, *heads))
    key, value = (sum(numbers(f"attention.{one}_length")) or usual for one in ("key", "value"))
    return max(0, all_heads * (key + value) * STATE_NUMBER_BYTES)


def _alignment(cursor: _Cursor, values: Mapping[str, Value]) -> int:
    value = values.get("general.alignment", DEFAULT_ALIGNMENT)
    if not isinstance(value, int) or value < 8 or value > 65_536 or value & (value - 1):
        raise cursor.damaged(f"alignment {value}")
    return value


def _read_tensors(cursor: _Cursor, count: int, alignment: int) -> tuple[int, dict[str, int]]:
    """Return (number of weights, tensors per type); tensors must follow each other without gap, inside the file."""
    if count == 0:
        raise cursor.damaged("it has no tensors")
    names: set[str] = set()
    types: dict[str, int] = {}
    parameters = next_offset = end = 0
    for _ in range(count):
        name = cursor.text(MAX_KEY_BYTES)
        values, kind, offset = _read_tensor(cursor, name)
        type_name, block, block_bytes = TENSOR_TYPES[kind]
        if name in names or offset != next_offset:
            raise cursor.damaged(f"tensor {name[:60]!r} is not where it must be")
        names.add(name)
        types[type_name] = types.get(type_name, 0) + 1
        parameters += values
        end = offset + values // block * block_bytes
        next_offset = _padded(end, alignment)
    missing = _padded(cursor.at, alignment) + end - cursor.size
    if missing > 0:
        raise cursor.damaged(f"{missing:,} bytes of its weights are missing")
    return parameters, types


def _read_tensor(cursor: _Cursor, name: str) -> tuple[int, int, int]:
    """Return (values, type, offset) of one tensor."""
    dimensions = cursor.number("I", MAX_DIMENSIONS, "dimensions:")
    shape = [cursor.number("Q", 2**40, "a dimension of") for _ in range(dimensions)]
    kind = int(cursor.scalar("I"))
    offset = int(cursor.scalar("Q"))
    if kind not in TENSOR_TYPES:
        raise BadArtifact(f"{cursor.name} has weights of type {kind}, which can't be run here; get another variant.")
    values = 1
    for size in shape:
        values *= size
    if values == 0 or (shape and shape[0] % TENSOR_TYPES[kind][1]):
        raise cursor.damaged(f"tensor {name[:60]!r} has the shape {shape}")
    return values, kind, offset


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment
