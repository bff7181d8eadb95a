"""Keeps compiled objects for ccache across builds of an image: what was compiled stays compiled.

    object_cache.py ADDRESS PORT FOLDER

A step of an image build can mount nothing, and what it had compiled is lost when it is stopped;
over HTTP it reaches this (`remote_storage = http://ADDRESS:PORT` in ccache.conf).
"""

from __future__ import annotations

import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_NAME = re.compile(r"/([0-9a-z]{2,80}(/[0-9a-z]{2,80})?)")


class ObjectCache(ThreadingHTTPServer):
    """A server of the files in one folder, by GET, HEAD, PUT and DELETE."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], folder: Path) -> None:
        self.folder = folder
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: ObjectCache
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self._path()
        content = path.read_bytes() if path is not None and path.is_file() else None
        self._answer(404 if content is None else 200, content or b"")

    do_HEAD = do_GET  # noqa: N815 (the base class's name)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path = self._path()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f"{path.name}.partial")
            partial.write_bytes(content)
            partial.replace(path)
        self._answer(403 if path is None else 200)

    def do_DELETE(self) -> None:
        path = self._path()
        if path is not None:
            path.unlink(missing_ok=True)
        self._answer(200)

    def _path(self) -> Path | None:
        named = _NAME.fullmatch(self.path)
        return self.server.folder / named[1] if named else None

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: a build asks for thousands of files."""


if __name__ == "__main__":
    address, port, folder = sys.argv[1:]
    ObjectCache((address, int(port)), Path(folder)).serve_forever()
