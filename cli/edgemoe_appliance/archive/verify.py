"""Verifying an archive with nothing but the file and the appliance, on three levels.

The journal and the plan are believed to be what was recorded; everything that follows from them is
made again and compared. *Integrity* asks whether the archive is what was written and holds for any
version. *Numbers* asks whether tables and verdicts have the values that the raw runs give by the
archive's own study; where the definition of a figure has changed since, what differs is listed and
is no damage. *Bytes* asks for every byte and can be asked only of the code that made the archive.

Nothing in the file is executed, and nothing is written outside a private folder that is always
removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from edgemoe_appliance.analysis.semantics import SEMANTICS
from edgemoe_appliance.archive import checks, layout
from edgemoe_appliance.archive.about import About, Maker, parse_about
from edgemoe_appliance.archive.crate import CrateContent, build_crate
from edgemoe_appliance.archive.derived import DerivedInputs, derive_files
from edgemoe_appliance.archive.environment import check_sbom
from edgemoe_appliance.archive.facts import JournalFacts, read_journal_facts
from edgemoe_appliance.archive.imagefile import check_image_file
from edgemoe_appliance.archive.layout import DEFAULT_LIMITS, ArchiveLimits, parse_manifest
from edgemoe_appliance.archive.reading import ReadArchive, read_archive, read_file
from edgemoe_appliance.archive.results import (
    LevelOutcome,
    LevelResult,
    Mismatch,
    MismatchKind,
    Note,
    Verification,
    VerificationLevel,
)
from edgemoe_appliance.archive.values import (
    ValueDifference,
    compare_values,
    has_values,
    present_name,
)
from edgemoe_appliance.archive.wheel import code_digest, read_wheel, wheel_name
from edgemoe_appliance.errors import ApplianceError, ConfigError, NewerRecordError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.imagelock import ImageLock, parse_lock
from edgemoe_appliance.schema.plan import Plan, read_plan
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.text import counted
from edgemoe_appliance.studies import Study, read_study, read_study_identity

_PICTURES: Final = (".png", ".pdf")
# So many differences of one file are told one by one.
_TOLD: Final = 3
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, kw_only=True)
class VerifiedSession:
    """The session of an archive that verified: its folder, plan and own study."""

    folder: Path
    plan: Plan
    study: Study
    ended_utc: str


def verify_archive(
    path: Path, maker: Maker, limits: ArchiveLimits = DEFAULT_LIMITS
) -> Verification:
    """Check an archive and return everything that is wrong with it.

    `maker` is the appliance that runs here. Raises HostError where the file cannot be read.
    """
    with verified_archive(path, maker, limits) as (found, _):
        return found


@contextmanager
def verified_archive(
    path: Path, maker: Maker, limits: ArchiveLimits = DEFAULT_LIMITS
) -> Iterator[tuple[Verification, VerifiedSession | None]]:
    """Check an archive, and give its session for as long as the context is open.

    There is no session where a level failed, or where its numbers could not be checked.
    """
    with scratch_folder("edgemoe-verify-") as folder:
        read = read_archive(path, folder.resolve(), limits)
        verifier = _Verifier(path, read, maker)
        if read.is_whole:
            verifier.run()
        yield verifier.result(), verifier.session()


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """The documents of an archive, parsed; `lock` is None where there is none."""

    about: About
    plan: Plan
    facts: JournalFacts
    study: Study
    lock: ImageLock | None


class _Verifier:
    """Checks one archive that was read whole, and collects what is wrong with it."""

    def __init__(self, path: Path, read: ReadArchive, maker: Maker) -> None:
        self._path = path
        self._read = read
        self._maker = maker
        self._mismatches = list(read.mismatches)
        self._notes: list[Note] = []
        self._opened: _Opened | None = None
        self._about: About | None = None
        self._newer: str | None = None
        self._differences: list[Note] = []
        self._recomputed = 0
        self._tables = 0

    def result(self) -> Verification:
        """Return what was found."""
        read, opened = self._read, self._opened
        return Verification(
            archive=self._path.name,
            sha256=read.sha256,
            archive_bytes=read.archive_bytes,
            session=opened.plan.session if opened else None,
            files=len(read.entries),
            recomputed=self._recomputed,
            made_by=self._about.maker if self._about else None,
            verified_by=self._maker,
            levels=(self._integrity(), self._numbers(), self._bytes()),
            mismatches=tuple(dict.fromkeys(self._mismatches)),
            differences=tuple(self._differences),
            notes=tuple(self._notes),
        )

    def session(self) -> VerifiedSession | None:
        """Return the session, where everything that was asked of the archive holds."""
        opened, result = self._opened, self.result()
        is_checked = result.outcome_of(VerificationLevel.NUMBERS) is not LevelOutcome.UNCHECKED
        if opened is None or not result.is_good or not is_checked:
            return None
        return VerifiedSession(
            folder=(self._read.folder / layout.PLAN).parent,
            plan=opened.plan,
            study=opened.study,
            ended_utc=opened.facts.ended_utc,
        )

    # -- the three levels

    @property
    def _is_same_code(self) -> bool:
        return self._about is not None and self._about.maker.code_sha256 == self._maker.code_sha256

    @property
    def _is_redefined(self) -> bool:
        """Return whether figures or verdicts mean something else here than in the archive."""
        return self._about is not None and self._about.semantics != SEMANTICS

    def _integrity(self) -> LevelResult:
        why = f"{len(self._read.entries)} files have their digests, sizes and schemas"
        if self._newer is not None:
            why = f"{len(self._read.entries)} files have their digests; {self._newer}"
        return self._level(VerificationLevel.INTEGRITY, LevelOutcome.PASSED, why)

    def _numbers(self) -> LevelResult:
        unread = self._unread()
        if unread is not None:
            return self._level(VerificationLevel.NUMBERS, LevelOutcome.UNCHECKED, unread)
        why = f"{self._tables} tables and documents have the values that the raw runs give"
        if self._is_redefined and self._about is not None:
            numbers = f"{self._about.semantics} in the archive, {SEMANTICS} here"
            if not self._differences:
                return self._level(
                    VerificationLevel.NUMBERS, LevelOutcome.PASSED, f"{why}; semantics {numbers}"
                )
            why = f"{len(self._differences)} files have other values by another definition"
            return self._level(
                VerificationLevel.NUMBERS, LevelOutcome.REDEFINED, f"{why}; semantics {numbers}"
            )
        return self._level(VerificationLevel.NUMBERS, LevelOutcome.PASSED, why)

    def _bytes(self) -> LevelResult:
        unread = self._unread()
        if unread is None and self._about is not None and not self._is_same_code:
            unread = f"made by other code: {self._about.maker.label}; page and figures are as found"
        if unread is not None:
            return self._level(VerificationLevel.BYTES, LevelOutcome.UNCHECKED, unread)
        why = f"{self._recomputed} files were made again from the raw runs and are the same"
        return self._level(VerificationLevel.BYTES, LevelOutcome.PASSED, why)

    def _unread(self) -> str | None:
        """Return why nothing was made again, None where it was."""
        if self._newer is not None:
            return self._newer
        if self._opened is None or not self._recomputed:
            return "the session cannot be read"
        return None

    def _level(self, level: VerificationLevel, outcome: LevelOutcome, why: str) -> LevelResult:
        """Return the outcome of a level, which has failed where a mismatch is of it."""
        found = [each for each in self._mismatches if each.kind.level is level]
        if not found:
            return LevelResult(level=level, outcome=outcome, why=why)
        files = len({each.file for each in found})
        n = len(dict.fromkeys(found))
        why = f"{counted(n, 'mismatch')} in {counted(files, 'file')}"
        return LevelResult(level=level, outcome=LevelOutcome.FAILED, why=why)

    def run(self) -> None:
        """Check digests, then documents, then what follows from them."""
        stated = self._check_digests()
        self._opened = self._open()
        if self._opened is None:
            self._note(layout.REPORT, "nothing was recomputed, as the session cannot be read")
            return
        self._check_documents(self._opened)
        expected = self._recompute(self._opened)
        if expected is not None:
            self._check_files(self._opened, expected)
            if stated is not None:
                self._check_crate(self._opened, stated)

    def _check_digests(self) -> checks.Stated | None:
        """Compare every file with manifest and description; return what the latter states."""
        entries = self._read.entries
        manifest = self._parse(layout.MANIFEST, self._manifest)
        crate = self._parse(layout.CRATE, self._crate_files)
        parsed = ((layout.MANIFEST, manifest), (layout.CRATE, crate))
        # One that states nothing is compared too: then every file is one that it does not list.
        documents = {name: stated for name, stated in parsed if stated is not None}
        self._mismatches += checks.check_digests(entries, documents)
        for name, stated in documents.items():
            left_out = {layout.MANIFEST} | ({layout.CRATE} if name == layout.CRATE else set())
            self._mismatches += checks.check_listed(entries, name, stated, left_out)
        return crate

    def _manifest(self) -> dict[str, tuple[str, int | None]]:
        digests = parse_manifest(self._read.content(layout.MANIFEST))
        return {name: (digest, None) for name, digest in digests.items()}

    def _crate_files(self) -> dict[str, tuple[str, int | None]]:
        return checks.parse_crate_files(self._read.content(layout.CRATE))

    def _open(self) -> _Opened | None:
        folder, content = self._read.folder, self._read.content
        about = self._parse(layout.ABOUT, lambda: parse_about(content(layout.ABOUT)))
        self._about = about
        plan = self._parse(layout.PLAN, lambda: read_plan(folder / layout.PLAN))
        facts = self._parse(layout.JOURNAL, lambda: read_journal_facts(folder / layout.JOURNAL))
        study = self._parse(layout.STUDIES, self._study)
        lock = None
        if layout.LOCK in self._read.entries:
            lock = self._parse(layout.LOCK, lambda: parse_lock(content(layout.LOCK), layout.LOCK))
        self._parse(layout.SBOM, lambda: check_sbom(content(layout.SBOM)))
        if about is None or plan is None or facts is None or study is None:
            return None
        return _Opened(about=about, plan=plan, facts=facts, study=study, lock=lock)

    def _study(self) -> Study:
        """Return the study of the archive; an older one, without a folder, has the appliance's."""
        root = self._read.folder / layout.CONFIGS
        folders = {
            Path(name).parent.name for name in filter(layout.is_of_study, self._read.entries)
        }
        if not folders:
            self._note(layout.STUDIES, "not in the archive: judged by this appliance's own study")
            return read_study()
        try:
            return read_study(str(root / "studies" / min(folders)), root)
        except ConfigError as error:
            if self._is_same_code:
                raise
            self._note(
                layout.STUDIES,
                "is in a form that this appliance does not read, so its own study of that name "
                f"judged: {self._inside(error)}",
            )
            return read_study(min(folders))

    def _parse(self, name: str, parse: Callable[[], ValueT]) -> ValueT | None:
        """Return what a document holds; what is wrong with it is noted down."""
        try:
            return parse()
        except NewerRecordError as error:
            self._newer = self._newer or f"{name} is newer than this appliance"
            self._note(name, self._inside(error))
        except ApplianceError as error:
            self._add(name, MismatchKind.SCHEMA, self._inside(error))
        return None

    def _inside(self, error: ApplianceError) -> str:
        """Return an error without the folder that the archive was copied to."""
        return str(error).replace(f"{self._read.folder}/", "")

    def _check_documents(self, opened: _Opened) -> None:
        entries = self._read.entries
        self._mismatches += checks.check_about(opened.about, opened.plan, self._read.root)
        self._mismatches += checks.check_plan(opened.plan, opened.facts)
        self._mismatches += checks.check_raw_files(entries, opened.facts)
        self._mismatches += checks.check_image(opened.plan, opened.facts, opened.lock)
        self._check_image_file(opened.plan)
        self._check_wheel(opened.about.maker)
        self._check_appliance_files(opened)
        for name, caution in opened.about.cautions.items():
            self._note(name, caution)
        for name, reason in opened.about.absent.items():
            self._note(name, f"not in the archive: {reason}")
        for name in opened.about.left_out:
            self._note(layout.SAMPLES + name, "left out: no record names it")

    def _check_wheel(self, made_by: Maker) -> None:
        """Look into the wheel: is it the code that made the archive? Nothing of it is executed."""
        wheels = list(filter(layout.is_wheel, self._read.entries))
        if not wheels:
            self._note(layout.APPLIANCE, "no wheel in the archive: made before they were carried")
        for name in wheels:
            files = self._parse(name, partial(read_wheel, self._read.content(name)))
            code = None if files is None else code_digest(files)
            if code not in (None, made_by.code_sha256):
                self._add(name, MismatchKind.CONTENT, f"is not the code that {layout.ABOUT} names")

    def _check_image_file(self, plan: Plan) -> None:
        """Look into the image as it lies in the archive, in a pass of its own."""
        if layout.IMAGE not in self._read.entries or plan.image is None:
            return
        try:
            check_image_file(read_file(self._path, layout.IMAGE), plan.image)
        except ApplianceError as error:
            self._add(layout.IMAGE, MismatchKind.IMAGE, error.what)

    def _check_appliance_files(self, opened: _Opened) -> None:
        """Compare the study with what is said of it, and configuration with the appliance's own."""
        about, study = opened.about, opened.study
        if about.study not in (None, study.identity):
            what = f"is {study.identity.label}, but {layout.ABOUT} says {about.study.label}"
            self._add(f"{layout.STUDIES}{study.id}", MismatchKind.CONTENT, what)
        self._note_other_study(study)
        others = [each.label for each in opened.facts.studies if each != study.identity]
        if others and layout.STUDIES not in about.cautions:
            what = f"its runs were planned for another study: {', '.join(others)}"
            self._note(layout.JOURNAL, what)
        for name in (layout.CONFIGS + name for name in layout.CONFIG_NAMES):
            own = resource_folder("configs") / name.removeprefix(layout.CONFIGS)
            entry = self._read.entries.get(name)
            if entry is None or entry.sha256 == hashlib.sha256(own.read_bytes()).hexdigest():
                continue
            # A catalogue of the user's own is as good: what it says stands in the archive.
            self._note(name, "is not this appliance's own" + self._versions(about.maker))

    def _note_other_study(self, study: Study) -> None:
        """Say where verdicts rest on another study than the one that is installed here."""
        name = f"{layout.STUDIES}{study.id}"
        try:
            own = read_study_identity(study.id)
        except ConfigError:
            self._note(name, "judged by this study of the archive; it is not installed here")
            return
        if own != study.identity:
            self._note(
                name,
                "judged by this study of the archive, which is not the one that is installed here: "
                f"{study.identity.label} / {own.label}",
            )

    def _recompute(self, opened: _Opened) -> dict[str, bytes] | None:
        """Make the derived files again and compare them."""
        image = self._read.entries.get(layout.IMAGE)
        basis = DerivedInputs(
            folder=self._read.folder / "session",
            plan=opened.plan,
            facts=opened.facts,
            study=opened.study,
            lock=opened.lock,
            image_sha256=image.sha256 if image else None,
        )
        expected = self._parse(layout.JOURNAL, lambda: derive_files(basis))
        if expected is None:
            return None
        for name in sorted(filter(has_values, self._read.entries)):
            self._compare_values(name, expected.get(present_name(name)))
        for name, content in expected.items() if self._is_same_code else ():
            self._compare(name, content, opened.about.maker)
        return expected

    def _compare_values(self, name: str, recomputed: bytes | None) -> None:
        """Compare the values of one file of the archive with those that the raw runs give."""
        if recomputed is None:
            if not self._is_same_code:
                self._note(name, "not compared: this appliance makes no such file")
            return
        if not self._read.has_copy(name):
            self._note(name, "not compared by its values: too large")
            return
        self._recomputed += not self._is_same_code
        self._tables += 1
        content = self._read.content(name)
        found = self._parse(name, lambda: list(compare_values(name, content, recomputed)))
        self._report(name, [each for each in found or () if not each.is_wording])
        worded = sum(each.is_wording for each in found or ())
        if worded and not self._is_same_code:
            self._note(name, f"{worded} texts are worded otherwise by this appliance")

    def _report(self, name: str, found: list[ValueDifference]) -> None:
        if not found:
            return
        told = "; ".join(each.what for each in found[:_TOLD])
        more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        if self._is_redefined:
            self._differences.append(Note(file=name, what=told + more))
        else:
            self._add(name, MismatchKind.VALUE, told + more)

    def _compare(self, name: str, content: bytes, made_by: Maker) -> None:
        entry = self._read.entries.get(name)
        if entry is None:
            return
        same = entry.sha256 == hashlib.sha256(content).hexdigest()
        if not same and name.endswith(_PICTURES) and not made_by.draws_like(self._maker):
            self._note(name, "not compared: drawn elsewhere; the SVG of the same figure is")
            return
        self._recomputed += 1
        if not same:
            about_image = name in (layout.STATEMENT, layout.IMAGE_SBOM)
            source = f"{layout.PLAN} and {layout.LOCK if about_image else layout.JOURNAL}"
            self._add(
                name,
                MismatchKind.IMAGE if about_image else MismatchKind.RECOMPUTED,
                f"is not what {source} give{self._versions(made_by)}",
            )

    def _versions(self, made_by: Maker) -> str:
        difference = made_by.difference(self._maker)
        return f" (made / verified with other software: {difference})" if difference else ""

    def _check_files(self, opened: _Opened, expected: Iterable[str]) -> None:
        absent = opened.about.absent
        raw = (layout.SAMPLES + name for name in opened.facts.raw)
        boxed = (layout.LOCK,) if opened.plan.image is not None else ()
        wanted = {layout.ABOUT, layout.PLAN, layout.JOURNAL, layout.CRATE, layout.MANIFEST, *raw}
        allowed: Iterable[str] = (layout.IMAGE,) if opened.plan.image is not None else ()
        if self._is_same_code:
            wanted |= {*layout.GIVEN, *boxed} - set(absent)
            wanted |= {*expected, *layout.study_files(opened.study)}
            wanted.add(layout.APPLIANCE + wheel_name(opened.about.maker.appliance.version))
        else:
            # Which files other code adds is not known here; that none was changed is.
            allowed = [name for name in self._read.entries if not name.startswith(layout.SAMPLES)]
        self._mismatches += checks.check_files(self._read.entries, wanted, allowed)

    def _check_crate(self, opened: _Opened, stated: checks.Stated) -> None:
        """Make the description again, of the digests that it states: those were compared."""
        if not self._is_same_code:
            return
        content = self._read.content(layout.CRATE)
        files = list(_as_stated(self._read, stated))
        described = CrateContent(
            files=files,
            about=opened.about,
            plan=opened.plan,
            facts=opened.facts,
            models=opened.study.configs.models,
        )
        self._recomputed += 1
        if build_crate(described) != content:
            what = "is not the description that the files give"
            self._add(
                layout.CRATE, MismatchKind.RECOMPUTED, what + self._versions(opened.about.maker)
            )

    def _add(self, file: str, kind: MismatchKind, what: str) -> None:
        self._mismatches.append(Mismatch(file=file, kind=kind, what=what))

    def _note(self, file: str, what: str) -> None:
        self._notes.append(Note(file=file, what=what))


def _as_stated(read: ReadArchive, stated: checks.Stated) -> Iterator[layout.FileEntry]:
    """Yield the files as a description states them, in their order."""
    for name in sorted(set(read.entries) - {layout.CRATE, layout.MANIFEST}):
        entry = read.entries[name]
        digest, size = stated.get(name, (entry.sha256, entry.size))
        yield replace(entry, sha256=digest, size=entry.size if size is None else size)
