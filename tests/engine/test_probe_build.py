"""Building the probe, finding it again, and refusing what is not it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edgemoe_appliance.engine.probe_build import (
    ProbeBuild,
    ProbeDescription,
    build_probe,
    read_probe,
)
from edgemoe_appliance.errors import DigestError, HostError, RecordError
from tests.engine.compilers import found_compiler


def _written(folder: Path) -> ProbeBuild:
    """Write a folder as build_probe leaves it, around a library of a few bytes."""
    folder.mkdir()
    library = folder / "libedgemoe_probe.so"
    library.write_bytes(b"a library")
    description = ProbeDescription(
        key="0" * 64,
        headers_sha256="1" * 64,
        probe_sha256="2" * 64,
        compiler="c++ 1",
        library_sha256=hashlib.sha256(b"a library").hexdigest(),
    )
    (folder / "probe.json").write_text(description.model_dump_json())
    return ProbeBuild(library=library, description=description)


def test_a_probe_is_found_where_it_was_moved(tmp_path: Path) -> None:
    written = _written(tmp_path / "probe")
    assert read_probe(tmp_path / "probe") == written
    (tmp_path / "probe").rename(tmp_path / "moved")
    assert read_probe(tmp_path / "moved").sha256 == written.sha256


def test_a_library_that_was_changed_is_refused(tmp_path: Path) -> None:
    _written(tmp_path / "probe").library.write_bytes(b"another library")
    with pytest.raises(DigestError, match="described as"):
        read_probe(tmp_path / "probe")


@pytest.mark.parametrize("text", ["", "{}", '{"key": 1}', "[" * 9999])
def test_a_damaged_description_is_refused(tmp_path: Path, text: str) -> None:
    _written(tmp_path / "probe")
    (tmp_path / "probe" / "probe.json").write_text(text)
    with pytest.raises(RecordError, match="not the description of a probe"):
        read_probe(tmp_path / "probe")


def test_a_missing_probe_is_the_hosts_lack(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no routing probe"):
        read_probe(tmp_path)


def _fake_engine(folder: Path, content: bytes) -> tuple[Path, Path]:
    (folder / "bin").mkdir()
    (folder / "bin" / "llama-cli").write_bytes(content)
    (folder / "source" / "include").mkdir(parents=True)
    (folder / "source" / "include" / "llama.h").write_text("#error not a header\n")
    return folder / "source", folder / "bin"


def test_a_static_engine_cannot_be_probed(tmp_path: Path) -> None:
    source, folder = _fake_engine(tmp_path, b"\x7fELF and no library's name")
    with pytest.raises(HostError, match="linked statically"):
        build_probe(source, folder, tmp_path / "out", "g++")


def test_a_missing_engine_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no engine to probe"):
        build_probe(tmp_path, tmp_path, tmp_path / "out", "g++")


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    source, folder = _fake_engine(tmp_path, b"libllama.so")
    with pytest.raises(HostError, match="no-such-compiler does not run"):
        build_probe(source, folder, tmp_path / "out", "no-such-compiler")


def test_a_source_without_headers_is_named(tmp_path: Path) -> None:
    _, folder = _fake_engine(tmp_path, b"libllama.so")
    with pytest.raises(HostError, match=r"no llama\.cpp headers"):
        build_probe(tmp_path, folder, tmp_path / "out", "g++")


def test_a_source_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    source, folder = _fake_engine(tmp_path, b"libllama.so")
    with pytest.raises(HostError, match="did not compile"):
        build_probe(source, folder, tmp_path / "out", found_compiler())
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
