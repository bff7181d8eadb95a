"""Table 4 of the study: peak resident memory, its parts, and its ratio to the model file.

The study divides GiB by decimal GB. Here the ratio of like units stands beside that one, for the
study's figures too.
"""

from __future__ import annotations

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    sample_of,
    sums_sample,
    why_not_comparable,
)
from edgemoe_appliance.analysis.statistics import Sample
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, Table, absent, number
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    TOTAL_COLUMN,
    highest_cell,
    mean_cell,
    model_cell,
    parameter_cells,
    plain_mean_cell,
    ratio_to_study,
    reader_groups,
    run_counts,
    sample_cell,
    study_cell,
    study_groups,
    study_parameters,
)
from edgemoe_appliance.schema.units import GB, GIB
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyDeviceId, StudyModel

_RSS = "peak_rss_bytes"
_FILE_PART = "peak_rss_file_bytes"
RECLAIMABLE_COLUMN = Column(
    key="reclaimable_pct",
    title="Reclaimable",
    unit="%",
    digits=1,
    has_interval=True,
    metric=_FILE_PART,
    meaning="file-backed part of the peak: pages that the kernel may drop and read again, no "
    "demand for memory",
)
COLUMNS = (
    MODEL_COLUMN,
    TOTAL_COLUMN,
    Column(key="file_gb", title="File", unit="GB", digits=2, meaning="10^9 bytes"),
    Column(
        key="peak_rss_gib",
        metric="peak_rss_bytes",
        title="Peak RSS",
        unit="GiB",
        digits=2,
        has_interval=True,
        meaning="mean over runs of the peak of each run; 2^30 bytes",
    ),
    Column(key="max_rss_gib", title="Highest", unit="GiB", digits=2, meaning="of all runs"),
    Column(
        key="anon_gib",
        metric="peak_rss_anon_bytes",
        title="Anonymous",
        unit="GiB",
        digits=2,
        meaning="heap, KV cache",
    ),
    Column(
        key="file_part_gib",
        title="File-backed, reclaimable",
        unit="GiB",
        digits=2,
        metric=_FILE_PART,
        meaning="mapped model pages; the kernel may drop them",
    ),
    RECLAIMABLE_COLUMN,
    Column(key="shmem_gib", title="Shared", unit="GiB", digits=2),
    Column(
        key="peak_over_file",
        title="Peak/file",
        unit="B/B",
        digits=2,
        meaning="bytes over bytes",
    ),
    Column(
        key="peak_over_file_as_study",
        title="Peak/file as in the study",
        unit="GiB/GB",
        digits=2,
        meaning="GiB over decimal GB: 7 % below the ratio of like units",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(key="study_peak_rss_gib", title="Study peak", unit="GiB", digits=2),
    Column(key="to_study", title="Peak to study", unit="ratio", digits=3, has_interval=True),
)


def memory_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return the peak resident memory of the reader's runs and of the study."""
    return Table(
        id="memory",
        title="Peak memory",
        where=str(study.tables.memory.where),
        columns=COLUMNS,
        groups=(
            *reader_groups(pools, study, lambda pool, models: _row(pool, models, study)),
            *study_groups(
                study,
                study.tables.memory,
                lambda device, model, counted: _study_cells(study, device, model, counted),
            ),
        ),
    )


def _row(pool: Pool, models: ModelRuns, study: Study) -> Row:
    reasons = why_not_comparable(pool, study)
    printed = study.memory(pool.condition.setting.target.study_device, models.model)
    peak = mean_cell(models, _RSS, GIB)
    file_bytes = float(models.file["file_bytes"])
    cells = {
        "model": model_cell(models, pool),
        "total_b": parameter_cells(models)["total_b"],
        "file_gb": Cell(value=file_bytes / GB),
        "peak_rss_gib": peak,
        "max_rss_gib": highest_cell(models, _RSS, GIB),
        "anon_gib": plain_mean_cell(models, "peak_rss_anon_bytes", GIB),
        "file_part_gib": plain_mean_cell(models, _FILE_PART, GIB),
        "reclaimable_pct": sample_cell(reclaimable_share(models), models.why_absent(_FILE_PART)),
        "shmem_gib": plain_mean_cell(models, "peak_rss_shmem_bytes", GIB),
        **_over_file(peak, file_bytes),
        **run_counts(sample_of(models.ok, _RSS).n, models),
        "study_peak_rss_gib": study_cell(printed.peak_rss_gib, reasons),
        "to_study": ratio_to_study(peak, printed.peak_rss_gib, reasons),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def reclaimable_share(models: ModelRuns) -> Sample:
    """Return the file-backed part of each run's peak in per cent of the peak."""
    return sums_sample(models.ok, (_FILE_PART,), (_RSS,)).scaled(100)


def _over_file(peak: Cell, file_bytes: float) -> dict[str, Cell]:
    """Return peak over file in like units, and in the study's."""
    if peak.number is None:
        return {key: absent(peak.absent) for key in ("peak_over_file", "peak_over_file_as_study")}
    return {
        "peak_over_file": Cell(value=peak.number * GIB / file_bytes),
        "peak_over_file_as_study": Cell(value=peak.number / (file_bytes / GB)),
    }


def _study_cells(
    study: Study, device: StudyDeviceId, model: str, counted: StudyModel
) -> dict[str, Cell]:
    printed = study.memory(device, model)
    peak = number(printed.peak_rss_gib, NOT_PRINTED)
    parts = ("max_rss_gib", "anon_gib", "file_part_gib", "reclaimable_pct", "shmem_gib")
    return {
        "total_b": study_parameters(counted)["total_b"],
        "file_gb": Cell(value=counted.file_gb),
        "peak_rss_gib": peak,
        **{key: absent(NOT_PRINTED) for key in parts},
        "peak_over_file": _over_file(peak, counted.file_gb * GB)["peak_over_file"],
        "peak_over_file_as_study": number(printed.peak_over_file_ratio, NOT_PRINTED),
        "n": Cell(value=study.procedure.headline_runs_per_cell),
        "not_ok": absent(NOT_PRINTED),
        "study_peak_rss_gib": absent(STUDY_ROW),
        "to_study": absent(STUDY_ROW),
    }
