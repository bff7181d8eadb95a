"""Base images asked of a registry on the loopback, with and without a token."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgemoe_appliance.container.manifest_check import check_bases
from edgemoe_appliance.schema.findings import Finding, Level
from tests.container.registry import serve_image

OTHER = "sha256:" + "2" * 64


def bases(folder: Path, build: str, run: str, digest: str = "null") -> list[Finding]:
    (folder / "bases.yaml").write_text(
        f"bases:\n  board:\n    build: {{tag: '{build}', digest: {digest}}}\n"
        f"    run: {{tag: '{run}', digest: null}}\n"
    )
    return list(check_bases(folder))


def test_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    with serve_image(b"layer") as served:
        missing = served.tag.rpartition(":")[0] + ":2"
        build, run = bases(tmp_path, missing, served.tag)
    assert (build.check, build.level) == ("board, build", Level.FAIL)
    assert build.seen == f"{missing}: the registry answered 404"
    assert "correct images/bases.yaml" in build.hint
    assert (run.check, run.level) == ("board, run", Level.OK)
    assert run.seen == f"{served.tag}: {served.digest} (not pinned yet)"


@pytest.mark.parametrize("is_pinned", [True, False])
def test_the_pinned_digest_is_compared(tmp_path: Path, is_pinned: bool) -> None:
    with serve_image(b"layer") as served:
        digest = served.digest if is_pinned else OTHER
        build, _ = bases(tmp_path, served.tag, served.tag, f"'{digest}'")
    assert build.level is (Level.OK if is_pinned else Level.WARN)
    assert ("as pinned" in build.seen) is is_pinned


def test_no_answer_is_unknown(tmp_path: Path) -> None:
    for finding in bases(tmp_path, "127.0.0.1:9/base:1", "127.0.0.1:9/base:1"):
        assert finding.level is Level.UNKNOWN
        assert "no answer" in finding.seen


@contextmanager
def registry_with_tokens(token: object) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            allowed = self.headers.get("Authorization") == "Bearer for-all"
            self.send_response(200 if allowed else 401)
            place = f"http://{self.headers['Host']}/token"
            challenge = f'Bearer realm="{place}",service="here",scope="repository:base:pull"'
            self.send_header("WWW-Authenticate", challenge)
            self.send_header("Docker-Content-Digest", OTHER)
            self.end_headers()

        def do_GET(self) -> None:
            assert "scope=repository%3Abase%3Apull" in self.path
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"token": token}).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}/base:1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("token", "level"), [("for-all", Level.OK), (None, Level.UNKNOWN)])
def test_tokens_for_everybody_are_asked_for(tmp_path: Path, token: object, level: Level) -> None:
    with registry_with_tokens(token) as tag:
        assert {finding.level for finding in bases(tmp_path, tag, tag)} == {level}
