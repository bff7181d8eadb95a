"""A registry that serves one image, just enough of it for `docker pull`, on the loopback."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.tools.docker_archive import ImageSettings, build_config

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True, kw_only=True)
class ServedImage:
    """An image in the registry: its full name and the digest of its manifest."""

    tag: str
    digest: str


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextlib.contextmanager
def serve_image(layer: bytes, repository: str = "base", tag: str = "1") -> Iterator[ServedImage]:
    """Serve an image of one layer (a tar) for as long as the context is open."""
    packed = gzip.compress(layer, mtime=0)
    config = build_config(ImageSettings(tag=tag), [_digest(layer)])
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(packed), "digest": _digest(packed)}],
        }
    ).encode()
    root = f"/v2/{repository}"
    answers = {
        "/v2/": b"{}",
        f"{root}/manifests/{tag}": manifest,
        f"{root}/manifests/{_digest(manifest)}": manifest,
        f"{root}/blobs/{_digest(config)}": config,
        f"{root}/blobs/{_digest(packed)}": packed,
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        name = f"127.0.0.1:{server.server_address[1]}/{repository}:{tag}"
        yield ServedImage(tag=name, digest=_digest(manifest))
    finally:
        server.shutdown()
        server.server_close()


def _handler(answers: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            content = answers.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Content-Length", str(len(content or b"")))
            if content is not None and "/manifests/" in self.path:
                self.send_header("Content-Type", _MANIFEST)
                self.send_header("Docker-Content-Digest", _digest(content))
            self.end_headers()
            if with_body and content is not None:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            """Keep quiet."""

    return Handler
