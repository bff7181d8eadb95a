"""Builds the routing probe for one engine, and finds one that was built before.

A probe is compiled against the public headers of the engine's source, so there is one per pin. It
never touches the engine itself.
"""

from __future__ import annotations

import hashlib
import mmap
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from edgemoe_appliance.errors import DigestError, HostError, RecordError
from edgemoe_appliance.schema.base import Frozen, canonical_json, digest_of
from edgemoe_appliance.schema.configs import Sha256
from edgemoe_appliance.schema.files import scratch_folder, write_atomically
from edgemoe_appliance.schema.plan import ENGINE_PROGRAMS
from edgemoe_appliance.schema.resources import resource_folder

_LIBRARY: Final = "libedgemoe_probe.so"
_DESCRIPTION: Final = "probe.json"
_MAX_DESCRIPTION_BYTES: Final = 65536
_HEADER_FOLDERS: Final = ("include", "ggml/include")
# Three small files; 10 s on a slow board.
_COMPILE_TIMEOUT_S: Final = 300


class ProbeDescription(Frozen):
    """What a probe was built from, and its digest; kept beside the library."""

    key: Sha256
    headers_sha256: Sha256
    probe_sha256: Sha256
    compiler: str
    library_sha256: Sha256


@dataclass(frozen=True, kw_only=True)
class ProbeBuild:
    """A probe that can be loaded, known by the digest of its library."""

    library: Path
    description: ProbeDescription

    @property
    def sha256(self) -> str:
        """Return the digest of the library."""
        return self.description.library_sha256


def build_probe(
    source_folder: Path, build_bin_folder: Path, out_dir: Path, compiler: str
) -> ProbeBuild:
    """Return the probe for an engine, compiled now or found in `out_dir` from before.

    `source_folder` is the llama.cpp tree, `build_bin_folder` the folder with its program.
    Raises HostError where the compiler is missing or fails, or the engine cannot be probed.
    """
    _check_shared(build_bin_folder)
    recipe = resource_folder("docker") / "probe"
    made_of = {
        "headers_sha256": _digest_files(_headers(source_folder)),
        "probe_sha256": _digest_files(sorted(p for p in recipe.iterdir() if _is_source(p))),
        "compiler": _read_compiler_version(compiler),
    }
    key = digest_of(made_of)
    folder = out_dir / f"probe-{key[:16]}"
    try:
        return read_probe(folder)
    except (HostError, RecordError, DigestError):
        library_sha256 = _compile(recipe / "build.sh", source_folder, folder / _LIBRARY, compiler)
    description = ProbeDescription(key=key, library_sha256=library_sha256, **made_of)
    write_atomically(
        folder / _DESCRIPTION, canonical_json(description.model_dump()).encode() + b"\n"
    )
    return ProbeBuild(library=folder / _LIBRARY, description=description)


def read_probe(folder: Path) -> ProbeBuild:
    """Return the probe that lies in a folder.

    Raises HostError where there is none, RecordError where its description cannot be read,
    DigestError where the library is not the one described.
    """
    library = (folder / _LIBRARY).absolute()
    try:
        text = (folder / _DESCRIPTION).read_bytes()[:_MAX_DESCRIPTION_BYTES]
        found = hashlib.sha256(library.read_bytes()).hexdigest()
    except OSError as error:
        raise HostError(
            f"no routing probe ({error.strerror})", where=str(folder), hint="build the engine again"
        ) from error
    try:
        description = ProbeDescription.model_validate_json(text)
    except ValidationError as error:
        raise RecordError(
            "not the description of a probe", where=str(folder / _DESCRIPTION)
        ) from error
    if found != description.library_sha256:
        raise DigestError(
            f"sha256 {found}, described as {description.library_sha256}",
            where=str(library),
            hint="build the engine again",
        )
    return ProbeBuild(library=library, description=description)


def _check_shared(folder: Path) -> None:
    """Raise HostError unless the engine loads libllama when it starts.

    Calls inside one statically linked program cannot be interposed. Newer programs are a few
    lines around a library of their own, which then loads libllama.
    """
    program = next((folder / name for name in ENGINE_PROGRAMS if (folder / name).exists()), folder)
    files = (program, *sorted(folder.glob("lib*-impl.*")))
    try:
        shared = any(map(_names_libllama, files))
    except (OSError, ValueError) as error:
        raise HostError(f"no engine to probe ({error})", where=str(program)) from error
    if not shared:
        raise HostError(
            "the engine is linked statically and cannot be probed",
            where=str(program),
            hint="build it with -DBUILD_SHARED_LIBS=ON",
        )


def _names_libllama(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        return data.find(b"libllama.") >= 0


def _is_source(path: Path) -> bool:
    return path.suffix in {".cpp", ".h", ".sh"}


def _headers(source_folder: Path) -> list[Path]:
    headers = [h for name in _HEADER_FOLDERS for h in (source_folder / name).glob("*.h")]
    if not headers:
        raise HostError("no llama.cpp headers", where=str(source_folder))
    return sorted(headers)


def _digest_files(files: list[Path]) -> str:
    return digest_of({f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files})


def _read_compiler_version(compiler: str) -> str:
    """Return the first line of `compiler --version`. Raises HostError where it does not run."""
    try:
        shown = subprocess.run(
            [compiler, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(
            f"the C++ compiler {compiler} does not run ({error})",
            hint="install one (g++ or clang++) or name it with CXX",
        ) from error
    return shown.decode(errors="replace").partition("\n")[0].strip()


def _compile(recipe: Path, source_folder: Path, library: Path, compiler: str) -> str:
    """Compile the probe to `library` and return its sha256."""
    library.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(".probe-", library.parent) as scratch:
        made = scratch / library.name
        _run_recipe(["/bin/sh", str(recipe), str(source_folder), str(made), compiler])
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        made.replace(library)
    return digest


def _run_recipe(argv: list[str]) -> None:
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_COMPILE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(f"the routing probe could not be compiled ({error})") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise HostError(
            f"the routing probe did not compile: {said[0] if said else 'no message'}",
            where=argv[2],
            hint="this source may be older or newer than the probe knows",
        )
