"""A hub on the loopback: enough of Hugging Face's HTTP for its real library to talk to."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# A header tells it, and no code of the hub.
STALE_TOKEN = "stale token"


@dataclass
class Hub:
    """What the hub has, how it behaves, and what it was asked."""

    repository: str
    file: str
    revision: str
    content: bytes
    etag: str = ""
    size_said: int | None = None
    status: int = 200
    error_code: str = ""
    knows_ranges: bool = True
    is_a_hub: bool = True
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    endpoint: str = ""

    def __post_init__(self) -> None:
        self.etag = self.etag or hashlib.sha256(self.content).hexdigest()

    @property
    def ranges(self) -> list[str | None]:
        """Return the Range headers of the downloads that were asked for."""
        return [requested for method, _, requested in self.asked if method == "GET"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: Hub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        hub, requested = self.server.hub, self.headers.get("Range")
        hub.asked.append((self.command, self.path, requested))
        if hub.status != 200:
            self._refuse()
            return
        start = int(requested[6:].split("-")[0]) if requested and hub.knows_ranges else 0
        body = hub.content[start:]
        self.send_response(206 if start else 200)
        if start:
            last, total = len(hub.content) - 1, len(hub.content)
            self.send_header("Content-Range", f"bytes {start}-{last}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hub.etag}"')
        if hub.is_a_hub:
            said = len(hub.content) if hub.size_said is None else hub.size_said
            self.send_header("X-Repo-Commit", hub.revision)
            self.send_header("X-Linked-Size", str(said))
            self.send_header("X-Linked-ETag", f'"{hub.etag}"')
        self.end_headers()
        if with_body:
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True

    def _refuse(self) -> None:
        self.send_response(self.server.hub.status)
        if self.server.hub.error_code == STALE_TOKEN:
            self.send_header("X-Error-Message", "Invalid credentials in Authorization header")
        elif self.server.hub.error_code:
            self.send_header("X-Error-Code", self.server.hub.error_code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    server = _Server(hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
