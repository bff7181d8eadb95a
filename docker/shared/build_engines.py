"""Builds the engines and probes of an image. Runs inside its build stage, nowhere else.

    build_engines.py SOURCES OUT

SOURCES/engines.json names the pins and SOURCES/PIN holds each tree; OUT/PIN gets bin/ with the
engine's tools, build.json, tools.json and probe/. CMAKE_FLAGS (`-DNAME=VALUE ...`) comes from
devices.yaml, BUILD_JOBS from the cores and the memory of the engine's machine. What builds here is
what builds natively, so that both make the same of the same.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from pydantic import TypeAdapter

from edgemoe_appliance.engine.build import BuildProgress, build_engine
from edgemoe_appliance.engine.probe_build import build_probe
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.toolchain import find_cxx_compiler
from edgemoe_appliance.engine.tree import tree_digest
from edgemoe_appliance.errors import ApplianceError, DigestError
from edgemoe_appliance.schema.base import canonical_json
from edgemoe_appliance.schema.configs import EngineSource

_SCRATCH = Path("/tmp/edgemoe-build")  # noqa: S108 (of the build stage, which is thrown away)


def main(sources: Path, out: Path) -> None:
    """Build what `sources` describes."""
    _limit_jobs(int(os.environ["BUILD_JOBS"]))
    flags = _flags(os.environ["CMAKE_FLAGS"])
    for source in _sources(sources):
        build = build_engine(source, _SCRATCH, cmake=flags, with_tools=True, on_progress=_show)
        folder = Path(build.binary).parent.parent
        compiler = str(find_cxx_compiler())
        probe = build_probe(source.folder, folder / "bin", _SCRATCH / "probes", compiler)
        target = out / source.pin
        shutil.copytree(folder / "bin", target / "bin")
        _copy_record(folder / "build.json", target)
        shutil.copy(folder / "tools.json", target)
        shutil.copytree(probe.library.parent, target / "probe")


def _copy_record(record: Path, target: Path) -> None:
    """Copy a build's record without how long it took: equal builds are to be equal files."""
    content = {**json.loads(record.read_text()), "duration_s": None}
    (target / record.name).write_text(canonical_json(content) + "\n")


def _limit_jobs(jobs: int) -> None:
    """Leave that many cores: as many compilers are started as there are cores to run on."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:jobs])


def _flags(text: str) -> dict[str, str]:
    parts = (word.removeprefix("-D").partition("=") for word in text.split())
    return {name: value for name, _, value in parts}


def _sources(folder: Path) -> list[PreparedSource]:
    kind: TypeAdapter[EngineSource] = TypeAdapter(EngineSource)
    described = json.loads((folder / "engines.json").read_text())
    return [
        _checked(
            PreparedSource(
                pin=pin,
                source=kind.validate_python(given["source"]),
                folder=folder / pin,
                sha256=given["sha256"],
                build_number=given["build_number"],
                why="built into the image",
            )
        )
        for pin, given in described.items()
    ]


def _checked(source: PreparedSource) -> PreparedSource:
    found = tree_digest(source.folder)
    if found != source.sha256:
        raise DigestError(f"{source.pin}: tree digest {found}, prepared was {source.sha256}")
    return source


def _show(progress: BuildProgress) -> None:
    print(f"{progress.stage.value}: {progress.text}", flush=True)  # noqa: T201 (a program)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
    except ApplianceError as error:
        sys.exit(f"error: {error}")
