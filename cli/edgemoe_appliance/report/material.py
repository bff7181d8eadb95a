"""What a page is made of: what was loaded, computed, drawn and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from edgemoe_appliance.analysis.audit import AuditFinding, audit
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    SessionEvidence,
    StudyEvidence,
    judge_claims,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.tables import Tables, build_tables
from edgemoe_appliance.analysis.threats import twin_scales
from edgemoe_appliance.report.drawing import FILE_KINDS, FileKind
from edgemoe_appliance.report.figures import WHOLE_TWINS, FigureSet, build_figures
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts and findings that a page is about; `own` are the study's beside a reader's.

    Without sessions the study's are the ones that the page is about, and there are no others.
    """

    verdicts: tuple[ClaimVerdict, ...]
    findings: tuple[AuditFinding, ...]
    own_verdicts: tuple[ClaimVerdict, ...] | None = None
    own_findings: tuple[AuditFinding, ...] | None = None

    @property
    def all_findings(self) -> tuple[AuditFinding, ...]:
        """Return the findings on the reader's figures, then those on the study's."""
        return self.findings + (self.own_findings or ())


def judge(loaded: LoadedSessions | None, study: Study) -> Judgement:
    """Judge the claims and audit the figures, of sessions and of the study, or of the study."""
    printed = StudyEvidence(study)
    own = judge_claims(printed), audit(printed)
    if loaded is None:
        return Judgement(verdicts=own[0], findings=own[1])
    measured = SessionEvidence(loaded, study)
    return Judgement(
        verdicts=judge_claims(measured),
        findings=audit(measured),
        own_verdicts=own[0],
        own_findings=own[1],
    )


@dataclass(frozen=True, kw_only=True)
class Material:
    """What sections are made of; `loaded` is None in a report without sessions.

    `tables` are as the page shows them, `full_tables` have every group of rows. `figure_files` are
    the forms in which each figure is written.
    """

    loaded: LoadedSessions | None
    study: Study
    tables: Tables
    full_tables: Tables
    figures: tuple[FigureSet, ...]
    judgement: Judgement
    figure_files: tuple[FileKind, ...]

    @cached_property
    def twin_scales(self) -> tuple[str, ...]:
        """Return the scales of the twins that were run."""
        return twin_scales(self.loaded) if self.loaded else ()

    @property
    def is_reduced(self) -> bool:
        """Return whether reduced twins ran, whose figures bear no finding."""
        return any(scale != WHOLE_TWINS for scale in self.twin_scales)

    @property
    def bears_no_finding(self) -> bool:
        """Return whether reduced twins ran, or a driver on the processor in a device's place."""
        settings = self.loaded.settings if self.loaded else ()
        return self.is_reduced or any(each.software_device for each in settings)

    def figure(self, name: str | None) -> FigureSet | None:
        """Return a figure by id, None where it has no panel."""
        return next((figure for figure in self.figures if figure.id == name), None)


def build_material(
    loaded: LoadedSessions | None, study: Study, figure_files: Sequence[FileKind] = FILE_KINDS
) -> Material:
    """Return the tables, figures and verdicts of a report."""
    full, judgement = build_tables(loaded, study), judge(loaded, study)
    tables = full.limited()
    return Material(
        loaded=loaded,
        study=study,
        tables=tables,
        full_tables=full,
        figures=build_figures(tables, study, judgement.all_findings),
        judgement=judgement,
        figure_files=tuple(figure_files),
    )
