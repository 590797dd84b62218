"""Shows every piece of bytes that is written on an open connection, as it is before it is masked or encrypted.

Such writes have no audit event. What is wrapped are the transports of asyncio and the WebSockets of aiohttp.
"""

from __future__ import annotations

from asyncio import selector_events, sslproto
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from aiohttp import http_websocket

WRITERS: tuple[tuple[type, str], ...] = (
    (selector_events._SelectorSocketTransport, "write"),
    (selector_events._SelectorSocketTransport, "writelines"),
    (sslproto._SSLProtocolTransport, "write"),
    (sslproto._SSLProtocolTransport, "writelines"),
    (http_websocket.WebSocketWriter, "send_frame"),
)
"""Class, and its method whose first argument is what is written: bytes, or a list of such."""


def watch_writes(look: Callable[[bytes], None]) -> None:
    """Have `look` called before each write, in the task that writes; what it raises is raised there."""
    for kind, name in WRITERS:
        setattr(kind, name, _watched(getattr(kind, name), look))


def _watched(write: Callable[..., Any], look: Callable[[bytes], None]) -> Callable[..., Any]:
    @wraps(write)
    def watched(self: object, data: bytes | Sequence[bytes], *rest: Any, **more: Any) -> Any:
        if isinstance(data, bytes | bytearray | memoryview):
            look(bytes(data))
        else:
            data = [bytes(part) for part in data]  # it may be an iterator, which can be read once
            look(b"".join(data))
        return write(self, data, *rest, **more)

    return watched
