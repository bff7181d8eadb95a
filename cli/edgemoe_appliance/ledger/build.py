"""A ledger on disk: which archives of a folder are admitted, and the pages made of them.

An archive that was judged by the same code before is known by its digest and not verified again;
what lies in the folder beside archives is not looked at. Links are not followed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgemoe_appliance.archive.about import Maker
from edgemoe_appliance.archive.layout import DEFAULT_LIMITS
from edgemoe_appliance.errors import (
    ApplianceError,
    ConfigError,
    HostError,
    RecordError,
    host_error,
)
from edgemoe_appliance.ledger.entries import (
    LedgerEntry,
    Refusal,
    newest_first,
    one_board_each,
    parse_entry,
    read_entry,
)
from edgemoe_appliance.ledger.site import INDEX_NAME, MARK, render_site
from edgemoe_appliance.schema.base import digest_of
from edgemoe_appliance.schema.files import file_sha256, write_atomically
from edgemoe_appliance.schema.outputs import check_output_folder
from edgemoe_appliance.schema.streams import Say
from edgemoe_appliance.schema.units import human_bytes

ENTRIES_FOLDER: Final = "entries"
_FOLDERS: Final = (ENTRIES_FOLDER, "claims", "devices", "engines")
_SUFFIX: Final = ".tar"
_MOST_ARCHIVES: Final = 100_000
_MOST_ENTRY_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What a folder of archives held: the entries, newest first, and what was refused.

    `paths` says by digest where the archive of each entry lies. A file that is there twice is
    neither verified nor refused the second time.
    """

    entries: tuple[LedgerEntry, ...]
    refusals: tuple[Refusal, ...]
    paths: Mapping[str, Path]
    verified: int
    known: int


def build_ledger(
    folder: Path,
    out: Path,
    maker: Maker,
    say: Say,
    *,
    is_forced: bool = False,
    has_board_folders: bool = False,
    kept: Path | None = None,
) -> Admission:
    """Admit the archives below a folder and write the ledger to `out`.

    `kept` is a folder of entries from before; without one they are those of the ledger in `out`.

    Where each board has a folder of its own, its name tells boards apart, and not what they say.

    Raises ConfigError where there is no archive or `out` is something else, HostError where it
    cannot be written.
    """
    paths = list(find_archives(folder))
    if not paths:
        raise ConfigError("holds no archive", where=str(folder), hint=f"put {_SUFFIX} files there")
    check_output_folder(out, _FOLDERS, [INDEX_NAME], _is_ledger, is_forced=is_forced)
    admission = admit(paths, maker, say, kept or out / ENTRIES_FOLDER)
    if has_board_folders:
        admission = replace(admission, entries=_by_folder(admission))
    else:
        admission = replace(admission, entries=one_board_each(admission.entries))
    files = render_site(admission.entries, admission.refusals)
    try:
        _write(out, files)
    except OSError as error:
        raise HostError(
            f"the ledger cannot be written ({error.strerror})",
            where=str(out),
            hint="free disk space, or name another folder with --out",
        ) from error
    return admission


def _by_folder(admission: Admission) -> tuple[LedgerEntry, ...]:
    """Return the entries with the folder that each archive lies in as its board."""
    return tuple(
        entry.model_copy(
            update={"board": digest_of({"board": admission.paths[entry.sha256].parent.name})}
        )
        for entry in admission.entries
    )


def find_archives(folder: Path) -> Iterator[Path]:
    """Yield the archives below a folder in a fixed order.

    Raises ConfigError where it is no folder, or holds more than a ledger takes.
    """
    if not folder.is_dir():
        raise ConfigError("is no folder", where=str(folder), hint="name a folder of archives")
    found = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if name.endswith(_SUFFIX) and path.is_file() and not path.is_symlink():
                found += 1
                if found > _MOST_ARCHIVES:
                    raise ConfigError(
                        f"holds more than {_MOST_ARCHIVES} archives",
                        where=str(folder),
                        hint="build ledgers of parts of it",
                    )
                yield path


def admit(paths: list[Path], maker: Maker, say: Say, kept: Path | None = None) -> Admission:
    """Verify and judge archives, each content and each session once.

    `kept` is a folder of entries from before. Of several archives of one session the one with the
    most runs counts: two states of one session are no two sessions.
    """
    entries: dict[str, LedgerEntry] = {}
    places: dict[str, Path] = {}
    refusals: list[Refusal] = []
    verified = known = 0
    for number, path in enumerate(paths, 1):
        place = f"{number} of {len(paths)}"
        before: LedgerEntry | None = None
        try:
            sha256 = _sha256(path)
            if sha256 in places:
                say(f"{place}: the same file as {places[sha256].name}: {path.name}")
                continue
            places[sha256] = path
            before = None if kept is None else _kept_entry(kept, sha256, maker)
            found = before or read_entry(path, maker)
        except ApplianceError as error:
            found = Refusal(archive=path.name, sha256=None, why=str(error))
        known += before is not None
        verified += before is None
        if isinstance(found, Refusal):
            refusals.append(found)
            say(f"{place}: refused: {path.name}: {found.why}")
        else:
            entries[found.sha256], places[found.sha256] = found, path
            say(f"{place}: {'known' if before else 'verified'}: {path.name}")
    largest, superseded = _one_of_each_session(entries)
    for refusal in superseded:
        say(f"refused: {refusal.archive}: {refusal.why}")
    return Admission(
        entries=tuple(newest_first(largest)),
        refusals=(*refusals, *superseded),
        paths=places,
        verified=verified,
        known=known,
    )


def _sha256(path: Path) -> str:
    """Return the digest of a file that may be an archive.

    Raises RecordError where it is too large for one, HostError where it cannot be read.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise host_error(error) from error
    if size > DEFAULT_LIMITS.archive_bytes:
        most = human_bytes(DEFAULT_LIMITS.archive_bytes)
        raise RecordError(f"is larger than {most}, the most that an archive here may have")
    return file_sha256(path)


def _kept_entry(folder: Path, sha256: str, maker: Maker) -> LedgerEntry | None:
    """Return the entry of an archive that the same code has judged, None where there is none."""
    path = folder / f"{sha256}.json"
    if not path.is_file() or path.stat().st_size > _MOST_ENTRY_BYTES:
        return None
    try:
        entry = parse_entry(path.read_bytes(), str(path))
    except ApplianceError:
        return None
    is_same = entry.sha256 == sha256 and entry.code_sha256 == maker.code_sha256
    return entry if is_same else None


def _one_of_each_session(
    entries: Mapping[str, LedgerEntry],
) -> tuple[dict[str, LedgerEntry], list[Refusal]]:
    kept: dict[str, LedgerEntry] = {}
    refusals = []
    for entry in sorted(entries.values(), key=lambda each: (-each.runs_ok, each.sha256)):
        first = kept.setdefault(entry.session_key, entry)
        if first is not entry:
            why = f"another state of the session in {first.archive}, which has {first.runs_ok} runs"
            refusals.append(Refusal(archive=entry.archive, sha256=entry.sha256, why=why))
    return {entry.sha256: entry for entry in kept.values()}, refusals


def _is_ledger(out: Path) -> bool:
    try:
        with (out / INDEX_NAME).open("rb") as file:
            return MARK in file.read(4096)
    except FileNotFoundError:
        return False


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    for name in _FOLDERS:
        (out / name).mkdir(parents=True, exist_ok=True)
        for path in (out / name).iterdir():
            if f"{name}/{path.name}" not in files and path.suffix in (".html", ".json"):
                path.unlink()
    for name, content in files.items():
        write_atomically(out / name, content)
