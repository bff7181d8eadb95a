"""The description of an archive as an RO-Crate, after the Process Run Crate profile.

A pure function of the files with their digests, of the plan and of the journal's facts: dates come
from records, identifiers from names. Each measuring period is an action: its instruments are the
appliance and the builds of llama.cpp, its objects the plan and the model files by digest, its
results the journal and the raw readings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rocrate.model import ContextEntity  # type: ignore[import-untyped]
from rocrate.rocrate import ROCrate  # type: ignore[import-untyped]

from edgemoe_appliance.archive import layout
from edgemoe_appliance.archive.about import About
from edgemoe_appliance.archive.derived import model_source
from edgemoe_appliance.archive.facts import JournalFacts, PeriodFacts
from edgemoe_appliance.archive.layout import FileEntry, json_bytes
from edgemoe_appliance.schema.configs import GitSource, ModelsConfig
from edgemoe_appliance.schema.plan import EngineBuild, Plan, PlannedModel

_RO_CRATE: Final = "1.1"  # the version that the profile is written for
_PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
_TERMS: Final = "https://w3id.org/ro/terms/workflow-run/context"
_DOCKER_IMAGE: Final = "https://w3id.org/ro/terms/workflow-run#DockerImage"
_LICENCE: Final = "https://spdx.org/licenses/MIT"
_LLAMA_CPP: Final = "https://github.com/ggml-org/llama.cpp"
_APPLIANCE: Final = "#edgemoe-appliance"
_RENDERER: Final = "#edgemoe-appliance-rendering"
_IMAGE: Final = "#image"


@dataclass(frozen=True, kw_only=True)
class CrateContent:
    """What a description follows from."""

    files: Sequence[FileEntry]
    about: About
    plan: Plan
    facts: JournalFacts
    models: ModelsConfig


def build_crate(described: CrateContent) -> bytes:
    """Return the content of ro-crate-metadata.json."""
    crate = ROCrate(version=_RO_CRATE)
    crate.metadata.extra_contexts.append(_TERMS)
    builder = _CrateBuilder(crate, described)
    builder.add_files()
    builder.add_software()
    builder.add_models()
    builder.add_actions()
    builder.describe_root()
    return json_bytes(crate.metadata.generate())


class _CrateBuilder:
    """Adds entities to a crate; every identifier is a name of ours."""

    def __init__(self, crate: ROCrate, described: CrateContent) -> None:
        self._crate = crate
        self._given = described
        self._names = {entry.name for entry in described.files}
        self._actions: list[str] = []

    def describe_root(self) -> None:
        plan, facts = self._given.plan, self._given.facts
        self._add(_PROFILE, "CreativeWork", name="Process Run Crate", version="0.5")
        self._add(_LICENCE, "CreativeWork", name="MIT License", url=_LICENCE)
        root = self._crate.root_dataset
        root["name"] = f"Session {plan.session} of edgemoe-appliance"
        root["description"] = (
            f"Runs of language models with llama.cpp on {plan.target.label}, with the report and "
            "the verdicts that follow from them"
        )
        root["datePublished"] = _moment(facts.ended_utc)
        root["license"] = _ref(_LICENCE)
        root["conformsTo"] = _ref(_PROFILE)
        root["mentions"] = [_ref(action) for action in self._actions]

    def add_files(self) -> None:
        for entry in self._given.files:
            properties = {
                "name": layout.description(entry.name),
                "contentSize": str(entry.size),
                "encodingFormat": layout.media_type(entry.name),
                "sha256": entry.sha256,
            }
            self._crate.add_file(dest_path=entry.name, properties=properties)

    def add_software(self) -> None:
        plan, maker = self._given.plan, self._given.about.maker
        for key, name, identity in (
            (_APPLIANCE, "edgemoe-appliance, as it measured", plan.appliance),
            (_RENDERER, "edgemoe-appliance, as it made this archive", maker.appliance),
        ):
            commit = {"identifier": identity.git_head} if identity.git_head else {}
            self._add(
                key, "SoftwareApplication", name=name, softwareVersion=identity.version, **commit
            )
        for pin, build in plan.engines.items():
            self._add_engine(pin, build)
        if plan.image is not None:
            self._add_image(plan.image)

    def _add_engine(self, pin: str, build: EngineBuild) -> None:
        source = build.source
        self._add(
            _engine_key(pin),
            "SoftwareApplication",
            name=f"llama.cpp {pin}, built with {build.compiler}",
            softwareVersion=pin,
            url=source.repository if isinstance(source, GitSource) else _LLAMA_CPP,
            identifier=build.build_key,
            sha256=build.binary_sha256,
        )

    def _add_image(self, image: str) -> None:
        self._add(
            _IMAGE,
            "ContainerImage",
            additionalType=_ref(_DOCKER_IMAGE),
            name=f"edgemoe-appliance/{self._given.plan.target_id}",
            sha256=image.removeprefix("sha256:"),
        )

    def add_models(self) -> None:
        for model in self._given.plan.models.values():
            self._add_model(model)

    def _add_model(self, model: PlannedModel) -> None:
        source = model_source(model, self._given.models.models.get(model.id))
        known = source["kind"] == "repository"
        self._add(
            _model_key(model.id),
            "CreativeWork",
            name=f"{model.name}: {model.file_name}",
            description=(
                f"A twin ({model.twin_scale}): exact shapes, random weights"
                if model.twin_scale
                else "Model weights, not in this archive"
            ),
            contentSize=str(model.file_bytes),
            encodingFormat="application/octet-stream",
            sha256=model.sha256,
            **({"identifier": f"{source['repository']}@{source['revision']}"} if known else {}),
        )

    def add_actions(self) -> None:
        for number, period in enumerate(self._given.facts.periods, start=1):
            self._add_period(f"#period-{number}", number, period)
        self._add_rendering()

    def _add_period(self, key: str, number: int, period: PeriodFacts) -> None:
        plan, record = self._given.plan, period.record
        instruments = [_APPLIANCE, *(_engine_key(pin) for pin in sorted(period.pins))]
        objects = [layout.PLAN, *(_model_key(model) for model in sorted(period.models))]
        results = [layout.JOURNAL, *(layout.SAMPLES + name for name in period.raw)]
        boxed = {"containerImage": _ref(_IMAGE)} if plan.image is not None else {}
        self._add_action(
            key,
            name=f"Measuring period {number} of session {plan.session}",
            description=f"{period.runs} runs on {record.host.system} {record.host.machine}",
            startTime=_moment(record.started_utc),
            endTime=_moment(period.ended_utc),
            instrument=self._refs(instruments),
            object=self._refs(objects),
            result=self._refs(results),
            **boxed,
        )

    def _add_rendering(self) -> None:
        """Add the making of the report; it has no time, as none decides what is in it."""
        results = [entry.name for entry in self._given.files if _is_result(entry.name)]
        study = [e.name for e in self._given.files if layout.is_of_study(e.name)]
        self._add_action(
            "#rendering",
            name="Tables, figures, verdicts and page from the journal",
            description="A function of the journal, the plan, and the study's figures",
            instrument=_ref(_RENDERER),
            object=self._refs([layout.JOURNAL, layout.PLAN, *study]),
            result=self._refs(results),
        )

    def _add_action(self, key: str, **properties: Any) -> None:
        self._add(key, "CreateAction", **properties)
        self._actions.append(key)

    def _refs(self, keys: Iterable[str]) -> list[dict[str, str]]:
        """Return references, without those to files that the archive does not have."""
        return [_ref(key) for key in keys if key.startswith("#") or key in self._names]

    def _add(self, key: str, kind: str, **properties: Any) -> None:
        known = {name: value for name, value in properties.items() if value is not None}
        entity = ContextEntity(self._crate, key, properties={"@type": kind, **known})
        self._crate.add(entity)


def _is_result(name: str) -> bool:
    return name.startswith(layout.REPORT)


def _engine_key(pin: str) -> str:
    return f"#engine-{pin}"


def _model_key(model_id: str) -> str:
    return f"#model-{model_id}"


def _ref(key: str) -> dict[str, str]:
    return {"@id": key}


def _moment(utc: str) -> str:
    """Return a moment with its offset written out, as the profile asks for."""
    return utc.removesuffix("Z") + "+00:00" if utc.endswith("Z") else utc
