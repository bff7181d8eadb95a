"""`verify --as-made`: an archive verified by the version that made it, out of the archive itself.

The archive carries that version as a wheel, and the lock of what it needs by digest; it does not
carry what it needs. So an image that has it is named, and the wheel is unpacked in a container of
that image which has no network. Only when asked for: the wheel is a stranger's code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Final

from edgemoe_appliance.container.client import open_engine
from edgemoe_appliance.container.offline import OfflineRun, run_offline
from edgemoe_appliance.errors import ConfigError, HostError, VerificationError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.text import on_one_line

_ARCHIVE: Final = PurePosixPath("/as-made/archive.tar")
_WHEEL: Final = PurePosixPath("/as-made/appliance.whl")
_SCRIPT: Final = f"""
import sys, zipfile
zipfile.ZipFile({str(_WHEEL)!r}).extractall("/tmp/appliance")
sys.path.insert(0, "/tmp/appliance")
sys.argv = ["edgemoe-appliance", "verify", "--json", {str(_ARCHIVE)!r}]
from edgemoe_appliance.app import main
main()
"""
_FAILED: Final = VerificationError.exit_code
_IMAGE_HINT: Final = "name with --as-made an image whose python3 has what requirements.lock lists"


def verify_as_made(path: Path, image: str, docker_host: str | None) -> Iterator[str]:
    """Yield what the version that made an archive says of it, level by level.

    The archive has passed the check of its integrity here, and its wheel is the code that it names.
    Raises ConfigError for an archive without a wheel, HostError where no engine or no such image is
    there or the image lacks something, VerificationError where that version finds a mismatch.
    """
    with _extracted_wheel(path) as wheel, open_engine(docker_host) as engine:
        command = ("python3", "-I", "-B", "-c", _SCRIPT)
        done = run_offline(engine, image, command, {_ARCHIVE: path, _WHEEL: wheel})
    document = _parse(done, image)
    for level, found in document["levels"].items():
        outcome, why = (on_one_line(found[key], 300) for key in ("outcome", "why"))
        yield f"as made: {on_one_line(level, 20)}: {outcome} ({why})"
    for found in document["mismatches"][:10]:
        yield f"as made: {on_one_line(found['file'], 200)}: {on_one_line(found['what'], 300)}"
    if done.exit_code == _FAILED or not document["good"]:
        raise VerificationError(
            "the version that made it does not find it good", where=str(path), hint="see above"
        )


@contextmanager
def _extracted_wheel(path: Path) -> Iterator[Path]:
    """Give the wheel of an archive as a file, readable by anybody."""
    from edgemoe_appliance.archive.reading import find_wheel, read_file

    name = find_wheel(path)
    if name is None:
        raise ConfigError(
            "the archive carries no appliance: it was made before archives did",
            where=str(path),
            hint="leave out --as-made",
        )
    with scratch_folder("edgemoe-as-made-") as folder:
        wheel = folder / "appliance.whl"
        with wheel.open("wb") as file:
            file.writelines(read_file(path, name))
        folder.chmod(0o755)
        wheel.chmod(0o644)
        yield wheel


def _parse(done: OfflineRun, image: str) -> dict[str, Any]:
    """Return the document that the program printed."""
    try:
        document = json.loads(done.output)
        if isinstance(document["levels"], dict) and isinstance(document["mismatches"], list):
            return dict(document)
    except (ValueError, RecursionError, KeyError, TypeError):
        pass
    lines = done.errors.decode(errors="replace").strip().splitlines() or ["it printed nothing"]
    raise HostError(
        f"the version that made the archive does not run here: {on_one_line(lines[-1], 200)}",
        where=image,
        hint=_IMAGE_HINT,
    )
