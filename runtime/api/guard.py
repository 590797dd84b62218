"""What stands before every handler: who may ask at all, and that each error leaves in one shape.

The API has no password: it listens on loopback only, so whoever can reach it is on this device. A web
page in the owner's browser is on this device too, hence the two checks here. A page may name a host of
its own that resolves to 127.0.0.1 (DNS rebinding): its name stands in `Host`. Or it may send a plain
form here without reading the answer: its place stands in `Origin`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from runtime.api.errors import WRONG, Fault, Refused, fault_of

MAX_BODY_BYTES = 2 * 1024 * 1024
"""2 MiB: more text than any small model's context holds; a larger body would only fill the memory."""
BODY_S = 30.0
"""Seconds for a body to arrive. A client that stops half-way would hold its place for ever."""
OWN_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_own(authority: str) -> bool:
    """Return whether `host` or `host:port` is a name of this device's loopback.

    >>> is_own("localhost:4488"), is_own("[::1]:4488"), is_own("evil.example:4488")
    (True, True, False)
    """
    try:
        return (urlsplit(f"//{authority}").hostname or "") in OWN_HOSTS
    except ValueError:
        return False


def is_own_page(origin: str) -> bool:
    """Return whether a browser's `Origin` is a page that this device serves itself."""
    scheme, _, authority = origin.partition("://")
    return scheme in ("http", "https") and is_own(authority)


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into the documented body."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _response(_of_http(error, request))
    except ConnectionError:
        raise
    except Exception as error:  # top of a request: whatever it is, the client gets an answer and the log the reason
        return _response(fault_of(error))


@web.middleware
async def only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests that a foreign page sends through the owner's browser."""
    if not is_own(request.headers.get("Host", "")):
        message = "This node answers only to localhost. Use http://127.0.0.1 with its port."
        raise Refused(Fault(403, WRONG, "forbidden_host", message))
    origin = request.headers.get("Origin")
    if origin is not None and not is_own_page(origin):
        message = "Pages from elsewhere may not use this node. Call it from a program instead."
        raise Refused(Fault(403, WRONG, "forbidden_origin", message))
    return await handler(request)


async def body_of(request: web.Request) -> bytes:
    """Return the whole body. Raises Refused when it does not come in time, or is not packed as it says."""
    try:
        async with asyncio.timeout(BODY_S):
            return await request.read()
    except TimeoutError as error:
        message = f"The body did not arrive within {BODY_S:.0f} seconds. Send the request again."
        raise Refused(Fault(408, WRONG, "timeout", message)) from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        message = "The body can't be unpacked. Send it as `Content-Encoding` says, or leave that out."
        raise Refused(Fault(400, WRONG, "bad_encoding", message)) from error


def _of_http(error: web.HTTPException, request: web.Request) -> Fault:
    match error:
        case web.HTTPRequestEntityTooLarge():
            message = f"The request is larger than {MAX_BODY_BYTES // 2**20} MiB. Send less text at once."
            return Fault(413, WRONG, "request_too_large", message)
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            message = f"{request.path} does not take {error.method}, only {allowed}."
            return Fault(405, WRONG, "method_not_allowed", message)
        case web.HTTPNotFound():
            message = f"There is no {request.method} {request.path} here. The model list is at /v1/models."
            return Fault(404, WRONG, "unknown_url", message)
        case _:
            return Fault(error.status, WRONG, None, error.reason)


def _response(fault: Fault) -> web.Response:
    headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    return web.json_response(fault.body(), status=fault.status, headers=headers)
