"""A server of a few files on this machine that misbehaves as told, and notes what it was asked."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from l2sp_suite.download import Archive, RetryPolicy

HASTY = RetryPolicy(timeout=10, tries=3, pause=0)


@dataclass
class Page:
    """`chunked`: sent in chunks, without its length.

    `cuts`: of the next answers, after how many bytes the connection is lost, counted from the file's start.
    """

    content: bytes = b""
    status: int = 200
    location: str | None = None
    ranges: bool = True
    chunked: bool = False
    tag: str | None = '"one"'
    cuts: list[int] = field(default_factory=list)


@dataclass
class Web:
    url: str
    pages: dict[str, Page]
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range) of each request."""

    def archive(self, file: str, content: bytes, *paths: str, checksum: str | None = "md5", **page: object) -> Archive:
        """Publish a file at `paths`, by default at /file, and return its entry, whose paths a test replaces."""
        for path in paths or (f"/{file}",):
            self.pages.setdefault(path, Page(content, **page))  # type: ignore[arg-type]
        known = None if checksum is None else f"{checksum}:{hashlib.new(checksum, content).hexdigest()}"
        mirrors = tuple(f"{self.url}{path}" for path in paths or (f"/{file}",))
        return Archive(file, mirrors, {}, len(content) if checksum else None, known)


@contextmanager
def serving() -> Iterator[Web]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            web.asked.append((self.path, self.headers.get("Range")))
            _answer(self, web.pages.get(self.path, Page(b"not here", status=404)))

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that has seen enough hangs up

    server = Server(("127.0.0.1", 0), Handler)
    web = Web(f"http://127.0.0.1:{server.server_port}", {})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, page: Page) -> None:
    status, start, size = page.status, 0, len(page.content)
    wanted = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if wanted and page.ranges and handler.headers.get("If-Range") in (None, page.tag):
        start = int(wanted[1])
        status = 206 if start < size else 416
    handler.send_response(status)
    if page.location:
        handler.send_header("Location", page.location)
    if page.tag:
        handler.send_header("ETag", page.tag)
    if status == 206:
        handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
    if status == 416:
        handler.send_header("Content-Range", f"bytes */{size}")
    body = b"" if status == 416 else page.content[start:]
    if page.chunked:
        handler.send_header("Transfer-Encoding", "chunked")
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body, 1000)) + b"0\r\n\r\n"
        handler.end_headers()
        cut = page.cuts.pop(0) if page.cuts else None
        handler.close_connection = cut is not None
        handler.wfile.write(body if cut is None else body[:cut])
        return
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if page.cuts:
        body = page.content[start : max(start, page.cuts.pop(0))]
        handler.close_connection = True
    handler.wfile.write(body)


def _parts(content: bytes, size: int) -> Iterator[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))
