"""One small archive for all tests of the room; what follows from a session is made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.archive import bundle, verify
from edgemoe_appliance.archive.derived import DerivedInputs, derive_files
from edgemoe_appliance.archive.environment import build_sbom, check_sbom, read_environment
from edgemoe_appliance.archive.values import compare_values
from edgemoe_appliance.archive.wheel import build_wheel, code_digest, read_code, read_wheel
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from edgemoe_appliance.studies import Study, read_study
from tests.archive.sessions import archive, contents, shipped_study, write_small_session
from tests.report.pictures import drawing_once

Derive = Callable[[DerivedInputs], dict[str, bytes]]
ReadStudy = Callable[..., Study]


@pytest.fixture(scope="session")
def derive_once() -> Derive:
    """Return `derive_files` with a memory: it is a pure function of plan, journal and models."""
    known: dict[tuple[bytes, bytes, str], dict[str, bytes]] = {}

    def derive(basis: DerivedInputs) -> dict[str, bytes]:
        key = (
            (basis.folder / PLAN_NAME).read_bytes(),
            (basis.folder / JOURNAL_NAME).read_bytes(),
            repr((basis.study.sha256, basis.lock, basis.image_sha256)),
        )
        if key not in known:
            with pytest.MonkeyPatch.context() as patch, drawing_once():
                patch.setattr(resampling, "RESAMPLES", 200)
                known[key] = derive_files(basis)
        return dict(known[key])

    return derive


@pytest.fixture(scope="session")
def read_once() -> ReadStudy:
    """Return `read_study` with a memory of the folders that were read well."""
    known: dict[tuple[tuple[str, bytes], ...], Study] = {}

    def read(name: str | None = None, root: Path | None = None) -> Study:
        if root is None:
            return shipped_study()
        paths = sorted(root.rglob("*.yaml"))
        key = tuple((str(path.relative_to(root)), path.read_bytes()) for path in paths)
        if key not in known:
            known[key] = read_study(name, root)
        return known[key]

    return read


@pytest.fixture(scope="session")
def parts_once() -> dict[ModuleType, dict[str, Callable[..., Any]]]:
    """Return what `archive` makes of the appliance alone, and `verify` asks of one document alone.

    Each has a memory of what it returned; what it raised is raised anew.
    """
    digest = cache(lambda files: code_digest(dict(files)))
    wheel = cache(lambda files, version: build_wheel(dict(files), version))
    making: dict[str, Callable[..., Any]] = {
        "read_environment": cache(read_environment),
        "build_sbom": cache(build_sbom),
        "read_code": cache(read_code),
        "build_wheel": lambda files, version: wheel(tuple(files.items()), version),
    }
    checking: dict[str, Callable[..., Any]] = {
        "check_sbom": cache(check_sbom),
        "read_wheel": cache(read_wheel),
        "code_digest": lambda files: digest(tuple(files.items())),
        "compare_values": cache(lambda *contents: list(compare_values(*contents))),
    }
    return {bundle: making, verify: checking}


@pytest.fixture(autouse=True)
def _work_once(
    monkeypatch: pytest.MonkeyPatch,
    derive_once: Derive,
    read_once: ReadStudy,
    parts_once: dict[ModuleType, dict[str, Callable[..., Any]]],
) -> None:
    for module, functions in parts_once.items():
        for name, function in {"derive_files": derive_once, **functions}.items():
            monkeypatch.setattr(module, name, function)
    monkeypatch.setattr(verify, "read_study", read_once)


@pytest.fixture(scope="session")
def small_session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small session; tests leave it as it is."""
    return write_small_session(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="session")
def small_archive(
    tmp_path_factory: pytest.TempPathFactory, small_session: Path, derive_once: Derive
) -> Path:
    """Return the archive of the small session; tests leave it as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "derive_files", derive_once)
        return archive(small_session, tmp_path_factory.mktemp("archive") / "small.tar").path


@pytest.fixture(scope="session")
def small_files(small_archive: Path) -> dict[str, bytes]:
    """Return what is in the archive; tests copy it before they change it."""
    return contents(small_archive)
