"""Downloads an artifact over HTTPS and goes on where a broken download stopped.

It never follows a redirect away from HTTPS, never sends credentials, and reads no more than expected.
"""

from __future__ import annotations

import json
import ssl
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, OpenerDirector, Request, build_opener

from models.errors import SourceError, SourceUnreachable
from models.manifest import HttpsSource
from models.sources.transfer import MAX_FILE_BYTES, FileProgress, copy

TIMEOUT_S = 60.0
"""Seconds without a byte before the server counts as gone."""
ATTEMPTS = 4
"""Connections tried for one file; each goes on where the one before broke off."""


def fetch(source: HttpsSource, target: Path, progress: FileProgress, *, size_bytes: int | None = None) -> None:
    """Download the source's file to `target`, resuming what an earlier call left beside it.

    Raises SourceUnreachable, SourceError.
    """
    download(source.url, target, progress, size_bytes=size_bytes)


def download(
    url: str,
    target: Path,
    progress: FileProgress,
    *,
    size_bytes: int | None = None,
    schemes: frozenset[str] = frozenset({"https"}),
    context: ssl.SSLContext | None = None,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Download `url` to `target`.

    `target` + `.part` holds what has come so far and `.etag` which version of the file it is of; both
    stay after a failure, so that a repeat goes on. `schemes` and `context` say what may be spoken to.
    """
    opener = build_opener(HTTPSHandler(context=context), _SafeRedirects(schemes))
    _check_scheme(url, schemes)
    for attempt in range(ATTEMPTS):
        before = _size(_part(target))
        progress(before, size_bytes)  # who went away meanwhile needs no further connection
        try:
            _attempt(opener, url, target, progress, size_bytes=size_bytes, timeout_s=timeout_s)
            return
        except _Stale:
            continue
        except (TimeoutError, ConnectionError, ssl.SSLError, HTTPException, _Broken) as error:
            came_further = _size(_part(target)) > before
            if attempt == ATTEMPTS - 1 or not came_further:
                raise SourceUnreachable(f"the connection to {urlsplit(url).hostname} broke") from error
    raise SourceError(f"{urlsplit(url).hostname} keeps changing the file")


class _Broken(Exception):
    """The server closed the connection before the end."""


class _Stale(Exception):
    """What is here is no beginning of what the server has now; it was thrown away."""


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects within the allowed schemes only."""

    def __init__(self, schemes: frozenset[str]) -> None:
        self.schemes = schemes

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        _check_scheme(newurl, self.schemes)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str, schemes: frozenset[str]) -> None:
    if urlsplit(url).scheme not in schemes:
        raise SourceError(f"{urlsplit(url).hostname} wants a connection that is not HTTPS")


def _attempt(
    opener: OpenerDirector,
    url: str,
    target: Path,
    progress: FileProgress,
    *,
    size_bytes: int | None,
    timeout_s: float,
) -> None:
    """Make one connection and write what it gives; rename to `target` when whole."""
    part, have = _part(target), _size(_part(target))
    request = Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "covey"})
    etag = _read_etag(target)
    if have and etag:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", etag)
    try:
        response: HTTPResponse = opener.open(request, timeout=timeout_s)
    except HTTPError as error:
        error.close()
        if error.code == 416:  # the range begins behind the end of what the server has
            part.unlink(missing_ok=True)
            raise _Stale from error
        raise SourceError(f"{urlsplit(url).hostname} answered {error.code} {error.reason}") from error
    except URLError as error:
        raise SourceUnreachable(f"{urlsplit(url).hostname} is out of reach ({error.reason})") from error
    with response:
        resumed = response.status == 206 and _range_start(response) == have
        if response.status == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise _Stale
        start = have if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else size_bytes
        if size_bytes is not None and total is not None and total != size_bytes:
            raise SourceError(f"{urlsplit(url).hostname} has {total:,} bytes where {size_bytes:,} are expected")
        _write_etag(target, response.headers.get("ETag", ""))
        with part.open("ab" if resumed else "wb") as writer:
            done = copy(response, writer, progress, done=start, total=total, most=size_bytes or MAX_FILE_BYTES)
    if total is not None and done < total:
        raise _Broken
    part.replace(target)
    _etag(target).unlink(missing_ok=True)


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _etag(target: Path) -> Path:
    return target.with_name(target.name + ".etag")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read_etag(target: Path) -> str:
    """Return the strong validator of the part, or an empty string: then it starts again."""
    try:
        value = json.loads(_etag(target).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return value if isinstance(value, str) else ""


def _write_etag(target: Path, value: str) -> None:
    """Keep a strong validator only: a weak one doesn't promise equal bytes."""
    kept = "" if value.startswith("W/") else value
    _etag(target).write_text(json.dumps(kept), encoding="utf-8")


def _range_start(response: HTTPResponse) -> int | None:
    """Return where a partial answer begins: `Content-Range: bytes 100-199/200` → 100."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    start = rest.partition("-")[0]
    return int(start) if unit == "bytes" and start.isdecimal() else None
