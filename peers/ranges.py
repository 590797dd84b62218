"""The one form of a byte range that the peers' port understands: `bytes=FIRST-LAST` or `bytes=FIRST-`."""

from __future__ import annotations

import re

MAX_DIGITS = 15
"""More than a petabyte; a longer number is no place in a file, and only costs time to read."""
_ASKED = re.compile(rf"bytes=(\d{{1,{MAX_DIGITS}}})-(\d{{0,{MAX_DIGITS}}})")
_GIVEN = re.compile(rf"bytes (\d{{1,{MAX_DIGITS}}})-(\d{{1,{MAX_DIGITS}}})/(\d{{1,{MAX_DIGITS}}})")


def asked(start: int, length: int) -> str:
    """Return the `Range` header for a part.

    >>> asked(100, 50)
    'bytes=100-149'
    """
    return f"bytes={start}-{start + length - 1}"


def span_asked(header: str, size_bytes: int) -> tuple[int, int] | None:
    """Return (start, length) that a `Range` header asks for; None when the file has no such part.

    >>> span_asked("bytes=100-149", 120)
    (100, 20)
    """
    found = _ASKED.fullmatch(header)
    if found is None:
        return None
    start = int(found[1])
    end = min(int(found[2]) + 1 if found[2] else size_bytes, size_bytes)
    return (start, end - start) if start < end else None


def given(start: int, length: int, size_bytes: int) -> str:
    """Return the `Content-Range` header of an answer."""
    return f"bytes {start}-{start + length - 1}/{size_bytes}"


def span_given(header: str) -> tuple[int, int] | None:
    """Return (start, length) of a partial answer; None when the header makes no sense."""
    found = _GIVEN.fullmatch(header)
    return None if found is None else (int(found[1]), int(found[2]) + 1 - int(found[1]))
