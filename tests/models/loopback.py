"""A small HTTP server on loopback that can break off, ignore ranges, redirect and dribble, for tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SCHEMES = frozenset({"http"})


@dataclass
class Site:
    """What the server serves and how it misbehaves, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    etag: str = '"one"'
    break_after: int | None = None
    """Bytes after which the next answers end without warning."""
    breaks_left: int = 0
    ignore_range: bool = False
    redirects: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    pause_s: float = 0.0
    """Wait after each 1,000 bytes."""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    """(method, path, headers) of each request."""
    url: str = ""

    def ranges(self) -> list[str]:
        return [headers.get("range", "") for method, _, headers in self.asked if method == "GET"]


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            asked = {name.lower(): value for name, value in self.headers.items()}
            site.asked.append((self.command, self.path, asked))
            if self.path in site.redirects:
                self.send_response(302)
                self.send_header("Location", site.redirects[self.path])
                self.end_headers()
                return
            content = site.files.get(self.path)
            if content is None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = 0
            # a range is honoured for the version that the asker has seen, as the protocol demands
            wanted = asked.get("range", "")
            if wanted and not site.ignore_range and asked.get("if-range", site.etag) == site.etag:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("ETag", site.etag)
            for name, value in site.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.body(content[start:])

        def body(self, content: bytes) -> None:
            if site.breaks_left and site.break_after is not None:
                site.breaks_left -= 1
                content = content[: site.break_after]
                self.close_connection = True
            for at in range(0, len(content), 1000):
                try:
                    self.wfile.write(content[at : at + 1000])
                except OSError:
                    return
                if site.pause_s:
                    time.sleep(site.pause_s)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
