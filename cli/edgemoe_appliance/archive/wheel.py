"""The appliance as a wheel, so that an archive can be made again by the version that made it.

A wheel is a zip of the package and its resources. This one is written without a build tool, as an
installation has none, and stores its files as they are: equal code gives equal bytes, and nothing
in it can expand. It is looked into by names and digests and is never executed here.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.base import digest_of
from edgemoe_appliance.schema.resources import resource_folder

DISTRIBUTION: Final = "edgemoe-appliance"
_NAME: Final = "edgemoe_appliance"
_INSIDE: Final = f"{_NAME}/_resources/"
_PACKAGE: Final = Path(__file__).resolve().parent.parent
# What an installation carries beside the code; `_JUDGING` is what results follow from.
# Of images only what is shipped: the locks beside it are the user's.
_RESOURCES: Final = {
    "configs": "*",
    "report_templates": "*",
    "docker": "*",
    "images": "bases.yaml",
}
_JUDGING: Final = ("configs", "report_templates")
_WHEEL: Final = f"Wheel-Version: 1.0\nGenerator: {DISTRIBUTION}\nRoot-Is-Purelib: true\n"
_TAG: Final = "Tag: py3-none-any\n"
_ENTRY: Final = f"[console_scripts]\n{DISTRIBUTION} = {_NAME}.app:main\n"
_MODE: Final = 0o644 << 16


def wheel_name(version: str) -> str:
    """Return the file name of the wheel of a version."""
    return f"{_NAME}-{version}-py3-none-any.whl"


def read_code() -> dict[str, bytes]:
    """Return the files of the appliance at work by their name in a wheel."""
    code = _files(_PACKAGE, "*", f"{_NAME}/")
    files = {name: data for name, data in code if not name.startswith(_INSIDE)}
    for name, pattern in _RESOURCES.items():
        files |= _files(resource_folder(name), pattern, f"{_INSIDE}{name}/")
    return files


def _files(folder: Path, pattern: str, inside: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob(pattern)):
        is_ours = path.name[0] != "." and "__pycache__" not in path.parts
        if is_ours and path.is_file():
            yield inside + path.relative_to(folder).as_posix(), path.read_bytes()


def code_digest(files: Mapping[str, bytes]) -> str:
    """Return the digest of the code and of the resources that results follow from."""
    judging = tuple(f"{_INSIDE}{name}/" for name in _JUDGING)
    return digest_of(
        {
            name: hashlib.sha256(data).hexdigest()
            for name, data in files.items()
            if name.startswith(judging) or not name.startswith(_INSIDE)
        }
    )


def build_wheel(files: Mapping[str, bytes], version: str) -> bytes:
    """Return the wheel of the files of an appliance. Equal files give equal bytes."""
    info = f"{_NAME}-{version}.dist-info/"
    described = {
        f"{info}METADATA": _metadata(version).encode(),
        f"{info}WHEEL": (_WHEEL + _TAG).encode(),
        f"{info}entry_points.txt": _ENTRY.encode(),
    }
    written = dict(sorted(files.items())) | described
    written[f"{info}RECORD"] = _record(written, f"{info}RECORD")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as wheel:
        for name, data in written.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = _MODE
            member.create_system = 3  # Unix, wherever it is written
            wheel.writestr(member, data)
    return buffer.getvalue()


def read_wheel(content: bytes) -> dict[str, bytes]:
    """Return the code and resources of a wheel that a stranger may have made.

    Raises RecordError for anything but a zip of stored files that are no larger than it.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as wheel:
            members = wheel.infolist()
            names = {member.filename for member in members}
            is_plain = all(
                each.compress_type == zipfile.ZIP_STORED and each.file_size == each.compress_size
                for each in members
            )
            total_bytes = sum(member.file_size for member in members)
            if not is_plain or len(names) != len(members) or total_bytes > len(content):
                raise RecordError("is no wheel of stored files")
            return {name: wheel.read(name) for name in sorted(names) if ".dist-info/" not in name}
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise RecordError("is no wheel") from error


def _metadata(version: str) -> str:
    """Return the metadata of the installation, or what there must be of it."""
    try:
        found = distribution(DISTRIBUTION)
        needs = "".join(f"Requires-Dist: {each}\n" for each in found.requires or ())
    except PackageNotFoundError:
        needs = ""
    return f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n{needs}"


def _record(files: Mapping[str, bytes], own: str) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow([name, f"sha256={digest}", len(data)])
    rows.writerow([own, "", ""])
    return text.getvalue().encode()
