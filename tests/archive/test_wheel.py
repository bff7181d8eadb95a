"""The appliance inside an archive: it is the code that is named, and it runs again."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import pytest

from edgemoe_appliance.app import asmade
from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.results import LevelOutcome, MismatchKind, VerificationLevel
from edgemoe_appliance.archive.verify import verify_archive
from edgemoe_appliance.archive.wheel import (
    build_wheel,
    code_digest,
    read_code,
    read_wheel,
    wheel_name,
)
from edgemoe_appliance.container.offline import OfflineRun
from edgemoe_appliance.errors import ConfigError, HostError, RecordError, VerificationError
from tests.archive.sessions import maker, pack, with_digests

Files = dict[str, bytes]
WHEEL = layout.APPLIANCE + wheel_name("0.1.0")


def zipped(members: Sequence[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as file:
        for name, data in members:
            file.writestr(name, data)
    return buffer.getvalue()


def test_a_wheel_holds_the_code_and_equal_code_gives_equal_bytes(tmp_path: Path) -> None:
    files = read_code()
    wheel = build_wheel(files, "0.1.0")
    assert build_wheel(dict(reversed(files.items())), "0.1.0") == wheel
    assert read_wheel(wheel) == files
    assert code_digest(files) == maker().code_sha256
    assert not [name for name in files if "__pycache__" in name]


@pytest.mark.slow
def test_an_installer_takes_the_wheel(tmp_path: Path) -> None:
    path = tmp_path / wheel_name("0.1.0")
    path.write_bytes(build_wheel(read_code(), "0.1.0"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index"]
    target = tmp_path / "installed"
    subprocess.run([*pip, "--no-deps", "--quiet", "--target", str(target), str(path)], check=True)
    code = f"import sys; sys.path.insert(0, {str(target)!r}); import edgemoe_appliance as e;"
    code += "from edgemoe_appliance.archive.about import read_maker;"
    code += "from edgemoe_appliance.bench.identity import read_identity;"
    code += "print(e.__file__, read_maker(read_identity()).code_sha256)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, check=True
    )
    file, digest = done.stdout.decode().split()
    assert file.startswith(str(target))
    assert digest == maker().code_sha256


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no zip",
        zipped([("a.py", b"x" * 1000)], zipfile.ZIP_DEFLATED),
        build_wheel({"edgemoe_appliance/a.py": b"x"}, "1")[:-30],
    ],
)
def test_what_is_no_wheel_of_ours(content: bytes) -> None:
    with pytest.raises(RecordError):
        read_wheel(content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "content",
    [
        b"no zip",
        zipped([("edgemoe_appliance/a.py", b"x"), ("edgemoe_appliance/a.py", b"y")]),
        zipped([("edgemoe_appliance/a.py", b"import os")]),
    ],
)
def test_a_wheel_that_is_other_code_is_named(
    content: bytes, small_files: Files, tmp_path: Path
) -> None:
    files = with_digests({**small_files, WHEEL: content})
    found = verify_archive(pack(files, tmp_path / "changed.tar"), maker())
    assert {mismatch.file for mismatch in found.mismatches} == {WHEEL}
    assert {mismatch.kind for mismatch in found.mismatches} <= {
        MismatchKind.CONTENT,
        MismatchKind.SCHEMA,
    }
    assert found.outcome_of(VerificationLevel.INTEGRITY) is LevelOutcome.FAILED


class Here:
    """Runs the command of a container on this machine, on the same files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scratch = tempfile.mkdtemp()
        monkeypatch.setattr(asmade, "open_engine", lambda _host: tempfile.TemporaryDirectory())
        monkeypatch.setattr(asmade, "run_offline", self.run)

    def run(
        self,
        engine: object,
        image: str,
        command: Sequence[str],
        files: Mapping[PurePosixPath, Path],
    ) -> OfflineRun:
        (*options, script) = command[1:]
        for inside, path in files.items():
            script = script.replace(str(inside), str(path.absolute()))
        script = script.replace("/tmp/appliance", f"{self.scratch}/appliance")
        done = subprocess.run(
            [sys.executable, *options, script],
            capture_output=True,
            check=False,
            cwd=self.scratch,
            env={"HOME": self.scratch, "EDGEMOE_WORK": self.scratch},
        )
        return OfflineRun(exit_code=done.returncode, output=done.stdout, errors=done.stderr)


@pytest.mark.slow
def test_the_version_that_made_an_archive_verifies_it_again(
    small_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Here(monkeypatch)
    lines = list(asmade.verify_as_made(pack(small_files, tmp_path / "a.tar"), "an-image", None))
    assert [line.partition(" (")[0] for line in lines] == [
        f"as made: {level.value}: passed" for level in VerificationLevel
    ]


@pytest.mark.slow
def test_the_version_that_made_an_archive_finds_what_was_changed(
    small_files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Here(monkeypatch)
    page = "report/report.html"
    files = with_digests({**small_files, page: small_files[page] + b"<!-- -->"})
    with pytest.raises(VerificationError, match="does not find it good"):
        list(asmade.verify_as_made(pack(files, tmp_path / "a.tar"), "an-image", None))


def test_an_archive_without_an_appliance_says_so(small_files: Files, tmp_path: Path) -> None:
    files = {name: data for name, data in small_files.items() if name != WHEEL}
    with pytest.raises(ConfigError, match="carries no appliance"):
        list(asmade.verify_as_made(pack(files, tmp_path / "a.tar"), "an-image", None))


@pytest.mark.parametrize(
    ("output", "errors"),
    [
        (b"", b"Traceback\nModuleNotFoundError: No module named 'pandas'\n"),
        (b"[]", b""),
        (b"[" * 100_000, b""),
        (json.dumps({"levels": [], "mismatches": {}}).encode(), b"a\x1b[2Jb"),
    ],
)
def test_an_image_that_lacks_something_is_named(
    output: bytes,
    errors: bytes,
    small_files: Files,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Here(monkeypatch)
    done = OfflineRun(exit_code=1, output=output, errors=errors)
    monkeypatch.setattr(asmade, "run_offline", lambda *_: done)
    with pytest.raises(HostError, match=r"^an-image: the version .* does not run here") as caught:
        list(asmade.verify_as_made(pack(small_files, tmp_path / "a.tar"), "an-image", None))
    assert "\x1b" not in str(caught.value)
    assert "requirements.lock" in caught.value.hint
    assert Path(here.scratch).is_dir()
