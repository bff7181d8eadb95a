"""`archive` and `verify`: one file for one session, and whether it says what its contents say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import print_json, say, say_error
from edgemoe_appliance.app.names import known_file
from edgemoe_appliance.app.options import DockerHostOption, SessionName, StudyOption
from edgemoe_appliance.app.report import session_folders
from edgemoe_appliance.errors import ConfigError, VerificationError
from edgemoe_appliance.schema.text import counted, on_one_line
from edgemoe_appliance.schema.units import human_bytes

if TYPE_CHECKING:
    from edgemoe_appliance.archive.results import Verification
    from edgemoe_appliance.schema.plan import StudyIdentity


ArchiveFile = Annotated[Path, typer.Argument(help="An archive.", callback=known_file)]


def register(app: Commands) -> None:
    """Add the commands."""
    app.command()(archive)
    app.command()(verify)
    app.command()(deposit)


def archive(
    session: SessionName,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. (default: results/SESSION.tar)")
    ] = None,
    image_archive: Annotated[
        Path | None,
        typer.Option(help="The container image as a file (OCI or Docker), to be included."),
    ] = None,
    with_image: Annotated[
        bool,
        typer.Option("--with-image", help="Include the container image, out of the Docker engine."),
    ] = False,
    docker_host: DockerHostOption = None,
    study: StudyOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is no archive of ours.")
    ] = False,
) -> None:
    """Write one file with everything of a session: raw runs, report, verdicts, provenance."""
    from edgemoe_appliance.archive.about import read_maker
    from edgemoe_appliance.archive.bundle import (
        ArchiveRequest,
        check_archive_place,
        write_archive,
    )
    from edgemoe_appliance.bench.identity import read_identity
    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.studies import read_planned_study

    folders = default_folders()
    (folder,) = session_folders([session], folders)
    out = out or folders.archive_of(folder.resolve().name)
    check_archive_place(out, is_forced=force)
    with _image_file(folder, out.parent, image_archive, docker_host, wanted=with_image) as image:
        written = write_archive(
            ArchiveRequest(
                folder=folder,
                study=read_planned_study(study, _planned(folder)),
                images=folders.images,
                out=out,
                maker=read_maker(read_identity()),
                image_file=image,
                is_forced=force,
            )
        )
    for name, reason in written.about.absent.items():
        say(f"not included: {name}: {reason}")
    for name, caution in written.about.cautions.items():
        say(f"note: {name}: {caution}")
    for name in written.about.left_out:
        say(f"left out: samples/{on_one_line(name)}: no record names it")
    say(f"{written.files} files, {human_bytes(written.archive_bytes)}")
    say(f"sha256: {written.sha256}")
    say(f"archive: {written.path}")


def _planned(folder: Path) -> Iterator[StudyIdentity | None]:
    """Yield the study of a session's plan; what is wrong with a session is told by who opens it."""
    from edgemoe_appliance.schema.journal import find_kept_plan
    from edgemoe_appliance.schema.plan import read_plan

    kept = find_kept_plan(folder)
    if kept is not None:
        yield read_plan(kept).study


@contextlib.contextmanager
def _image_file(
    session: Path, scratch: Path, given: Path | None, docker_host: str | None, *, wanted: bool
) -> Iterator[Path | None]:
    """Give the image as a file: the one that was named, or one exported for as long as needed."""
    if not wanted:
        yield given
        return
    if given is not None:
        raise ConfigError("--with-image and --image-archive name the same thing", hint="leave one")
    from edgemoe_appliance.container.export import exported_image

    with exported_image(session, scratch, docker_host) as exported:
        yield exported


def verify(
    file: ArchiveFile,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_made: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="Then run the version that made it, out of the archive, in a container of this "
            "image without network.",
        ),
    ] = None,
    docker_host: DockerHostOption = None,
) -> None:
    """Check an archive on three levels: integrity, numbers and bytes.

    Integrity is every digest, size and schema; numbers are tables and verdicts made again from the
    raw runs by the archive's own study; bytes are asked of archives that the same code made.
    """
    from edgemoe_appliance.archive.about import read_maker
    from edgemoe_appliance.archive.reading import no_archive
    from edgemoe_appliance.archive.results import LevelOutcome, VerificationLevel
    from edgemoe_appliance.archive.verify import verify_archive
    from edgemoe_appliance.bench.identity import read_identity

    found = verify_archive(file, read_maker(read_identity()))
    if not (found.files or as_json):
        raise no_archive(file, found.mismatches)
    if as_json:
        print_json(found.document())
    else:
        _print(found)
    if as_made is not None and found.outcome_of(VerificationLevel.INTEGRITY) is LevelOutcome.PASSED:
        from edgemoe_appliance.app.asmade import verify_as_made

        for line in verify_as_made(file, as_made, docker_host):
            (say_error if as_json else say)(line)
    if not found.is_good:
        failed = ", ".join(each.level.value for each in found.levels if each.has_failed)
        raise VerificationError(
            f"{failed}: {counted(len(found.mismatches), 'mismatch')}",
            where=str(file),
            hint="do not rely on it",
        )


def deposit(
    file: ArchiveFile,
    creator: Annotated[
        list[str] | None, typer.Option(help='Who made it, as "Family, Given"; repeatable.')
    ] = None,
) -> None:
    """Print the record under which a repository such as Zenodo takes an archive; send nothing."""
    from edgemoe_appliance.archive.about import read_maker
    from edgemoe_appliance.archive.deposit import build_deposit
    from edgemoe_appliance.archive.verify import verified_archive
    from edgemoe_appliance.bench.identity import read_identity

    with verified_archive(file, read_maker(read_identity())) as (verified, session):
        title = session.study.source.title if session else None
    print_json(build_deposit(file, verified, title, creator or ()))


def _print(found: Verification) -> None:
    for note in found.notes:
        say(f"note: {note}")
    for mismatch in found.mismatches:
        say(f"{mismatch.kind.value}: {mismatch}")
    for difference in found.differences:
        say(f"by another definition: {difference}")
    for level in found.levels:
        say(str(level))
    if found.session is not None:
        say(f"session: {found.session}")
    say(f"sha256: {found.sha256}")
