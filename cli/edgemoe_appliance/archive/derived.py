"""The files of an archive that follow from the others.

They are made when it is written, and again when it is verified: pure functions of the session,
its configuration and the appliance's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.audit import judgement_document
from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.facts import JournalFacts
from edgemoe_appliance.archive.image import build_image_files
from edgemoe_appliance.archive.layout import json_bytes
from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.report.material import build_material
from edgemoe_appliance.report.render import render_material
from edgemoe_appliance.schema.configs import ModelEntry, ModelsConfig
from edgemoe_appliance.schema.imagelock import ImageLock
from edgemoe_appliance.schema.plan import EngineBuild, Plan, PlannedModel
from edgemoe_appliance.schema.records import PeriodRecord, records_json_schema
from edgemoe_appliance.studies import Study

# The ways in which an entry of models.yaml says where its file comes from.
_MODEL_KINDS: Final = ("repository", "url", "package", "path")
_README: Final = """\
# Session {session}

An archive of edgemoe-appliance: one measuring session with everything that its figures follow
from. `ro-crate-metadata.json` describes each file.

- `report/report.html`: the report; `report/tables/` and `report/figures/` hold its parts,
  `report/claims.json` the verdicts.
- `session/`: the plan, the journal of runs and the raw readings.
- `as-run/`: prompts, experiments, engines, models and host, as the plan and the journal have them.
- `configs/`: the appliance's configuration, and the study's figures and claims below `studies/`.
- `sbom.cdx.json`, `requirements.lock`: the software of the environment that made this archive.

To check every digest without the appliance, unpack the archive, then in its folder:

    sha256sum --check {manifest}

To check that tables, claims and pages follow from the raw runs, too:

    edgemoe-appliance verify FILE

It reports three levels. Integrity (digests, sizes, schemas) holds for any version. Numbers are
those that the raw runs give, and where a newer version defines one otherwise, it says so. Bytes can
be compared by the version alone that `about.json` names.

Both show that the archive agrees with itself. That it is the one its authors made is shown by the
sha256 of the file, which `archive` prints, from another place.
"""


@dataclass(frozen=True, kw_only=True)
class DerivedInputs:
    """What the derived files follow from; `folder` holds the plan and the journal.

    `lock` is that of the image, `image_sha256` that of the image file; None where there is none.
    """

    folder: Path
    plan: Plan
    facts: JournalFacts
    study: Study
    lock: ImageLock | None = None
    image_sha256: str | None = None


def derive_files(basis: DerivedInputs) -> dict[str, bytes]:
    """Return the derived files by name.

    Raises RecordError where the session is damaged or foreign.
    """
    plan = basis.plan
    files = {
        layout.README: _README.format(session=plan.session, manifest=layout.MANIFEST).encode(),
        layout.SCHEMA: json_bytes(records_json_schema()),
    }
    as_run: dict[str, Any] = {
        "target.json": {"id": plan.target_id, **plan.target.model_dump(mode="json")},
        "experiments.json": {k: v.model_dump(mode="json") for k, v in plan.experiments.items()},
        "engines.json": {pin: _engine(build) for pin, build in plan.engines.items()},
        "models.json": {k: _model(v, basis.study.configs.models) for k, v in plan.models.items()},
        "host.json": [_host(period.record) for period in basis.facts.periods],
    }
    files |= {layout.AS_RUN + name: json_bytes(value) for name, value in as_run.items()}
    files |= build_image_files(plan, basis.lock, basis.image_sha256)
    return {**files, **_prompts(plan), **_results(load_sessions([basis.folder]), basis.study)}


def _results(loaded: LoadedSessions, study: Study) -> dict[str, bytes]:
    material = build_material(loaded, study)
    judged = material.judgement
    document = judgement_document(judged.verdicts, judged.findings)
    files = {layout.REPORT + k: v for k, v in render_material(material).items()}
    return {**files, layout.CLAIMS: json_bytes(document)}


def _prompts(plan: Plan) -> Mapping[str, bytes]:
    """Return the text of each prompt, as it was sent."""
    files = {}
    for key, prompt in plan.prompts.items():
        experiment, _, rest = key.partition("/")
        if experiment not in plan.experiments or rest != prompt.id:
            raise RecordError(f"prompt {key!r} belongs to no experiment", where=layout.PLAN)
        files[f"{layout.AS_RUN}prompts/{experiment}/{prompt.id}.txt"] = prompt.text.encode(
            errors="replace"
        )
    return files


def _engine(build: EngineBuild) -> dict[str, Any]:
    """Return what identifies a build; where it lay on its machine does not."""
    data = build.model_dump(mode="json", exclude={"binary"})
    if data["probe"] is not None:
        del data["probe"]["path"]
    return data


def _model(model: PlannedModel, catalogue: ModelsConfig) -> dict[str, Any]:
    """Return digest, size and source of a model file."""
    data = model.model_dump(mode="json", exclude={"path"})
    entry = catalogue.models.get(model.id)
    return {**data, "source": model_source(model, entry)}


def model_source(model: PlannedModel, entry: ModelEntry | None) -> dict[str, Any]:
    """Return where a model file comes from: a repository, or the appliance that wrote a twin."""
    if model.twin_scale is not None:
        return {"kind": "twin", "written_by": "edgemoe-appliance models twin"}
    if entry is None or entry.sha256 != model.sha256:
        return {"kind": "unknown", "why": "no model of configs/models.yaml has this digest"}
    kept = {"file", "licence", "gated", "quantization"}
    kind = next(name for name in _MODEL_KINDS if getattr(entry, name) is not None)
    if kind == "repository":
        kept |= {"repository", "revision"}
    elif kind != "path":  # where a file lay on one machine says nothing on another
        kept.add(kind)
    return {"kind": kind, **entry.model_dump(mode="json", include=kept)}


def _host(period: PeriodRecord) -> dict[str, Any]:
    """Return what a measuring period says of its machine."""
    kept = {"started_utc", "host", "power", "heat", "cgroup", "findings", "appliance"}
    data: dict[str, Any] = period.model_dump(mode="json", include=kept)
    return data
