"""A study: one paper's figures, claims, experiments, prompts and words, read from its folder.

A folder below configs/studies/, or one of the user's own:

    study.yaml        what was studied, and every figure that is printed
    claims.yaml       each claim whole: words, printed numbers, test, limits
    experiments.yaml  which runs are made
    prompts.yaml      what is sent
    report.yaml       the words of the page, and its sections in their order
    tables.yaml       the tables of rows per model, if it has any

Everything else is given the Study; nothing but this module reads a study from disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.base import Frozen, digest_of
from edgemoe_appliance.schema.choices import guessed_name
from edgemoe_appliance.schema.configs import (
    CONFIG_FILES,
    NO_CATALOGUE,
    Catalogue,
    Configs,
    Experiment,
    ExperimentsConfig,
    Identifier,
    Programme,
    Prompt,
    PromptsConfig,
    Suites,
    find_catalogue,
    pick,
    read_configs,
)
from edgemoe_appliance.schema.plan import StudyIdentity
from edgemoe_appliance.schema.resources import (
    DEFAULT_STUDY_FILE,
    PAPER_FILE,
    named_study,
    resource_folder,
    study_names,
)
from edgemoe_appliance.schema.yamlfile import KeyPath, YamlDocument, read_yaml, validate
from edgemoe_appliance.studies.claims import (
    AuditCause,
    Claim,
    ClaimsConfig,
    Recomputation,
    UnitCheck,
    devices_of,
    figures_of,
    models_of,
    terms_of,
)
from edgemoe_appliance.studies.items import with_items
from edgemoe_appliance.studies.paper import (
    DevicePeaks,
    ExpertFacts,
    GraphFacts,
    MeanContext,
    Paper,
    Places,
    Procedure,
    StatedFigure,
    StudyDevice,
    StudyModel,
    StudySource,
    StudyTables,
)
from edgemoe_appliance.studies.printed import PrintedFigures, parse_printed
from edgemoe_appliance.studies.report import BUILT_TABLES, ReportConfig, names_in_report
from edgemoe_appliance.studies.tables import FrontierSpec, TablesConfig, TableSpec, names_in_table

CLAIMS_FILE: Final = "claims.yaml"
EXPERIMENTS_FILE: Final = "experiments.yaml"
PROMPTS_FILE: Final = "prompts.yaml"
TABLES_FILE: Final = "tables.yaml"
REPORT_FILE: Final = "report.yaml"
_NEEDED: Final = (PAPER_FILE, CLAIMS_FILE, EXPERIMENTS_FILE, PROMPTS_FILE, REPORT_FILE)
_OPTIONAL: Final = (TABLES_FILE,)
_STATED: Final = "stated"
# How the text says a number that it does not give as exact.
_SENSES: Final = {"exact": "", "about": "about ", "at-most": "at most ", "below": "below "}


class _StudiesConfig(Frozen):
    """studies.yaml: which study is meant where none is named."""

    default: Identifier


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """One study, whole.

    `sha256` is the digest of its folder, `files` the folder as it was read, `documents` the same
    files as YAML; `configs` is what exists in the world and is shared by studies, `common_files`
    the files that it was read from. `printed` has
    the digits of every printed figure.

    The methods named after tables return a cell for any device and model: where the study reports
    nothing for them, all figures of the cell are None.
    """

    id: str
    sha256: str
    files: Mapping[str, bytes]
    documents: Mapping[str, YamlDocument]
    common_files: Mapping[str, bytes]
    configs: Configs
    source: StudySource
    subject: str
    baseline: str
    roles: Mapping[str, str]
    places: Places
    devices: Mapping[str, StudyDevice]
    procedure: Procedure
    models: Mapping[str, StudyModel]
    tables: StudyTables
    stated: Mapping[str, StatedFigure]
    peaks: Mapping[str, DevicePeaks]
    graph: GraphFacts | None
    mean_context_tokens: MeanContext | None
    experts: ExpertFacts | None
    printed: PrintedFigures
    claims: Mapping[str, Claim]
    causes: Mapping[str, AuditCause]
    recomputed: tuple[Recomputation, ...]
    units: tuple[UnitCheck, ...]
    experiments: Mapping[str, Experiment]
    suites: Suites
    order_seed: int
    prompts: Mapping[str, Prompt]
    table_specs: Mapping[str, TableSpec]
    frontier_specs: Mapping[str, FrontierSpec]
    report: ReportConfig

    @property
    def identity(self) -> StudyIdentity:
        """Return what a plan says of it."""
        return StudyIdentity(id=self.id, sha256=self.sha256)

    def experiment(self, name: str) -> Experiment:
        """Return an experiment by name, or raise ConfigError that lists the known ones."""
        return pick(self.experiments, name, "experiment", EXPERIMENTS_FILE)

    def device_of(self, target: str) -> str | None:
        """Return the device that a target is, None where it is none of the study's."""
        found = (name for name, device in self.devices.items() if target in device.targets)
        return next(found, None)

    def role_of(self, model: str) -> str | None:
        """Return what a model stands for, None for one that is not among the study's."""
        known = self.models.get(model)
        return known.role if known else None

    @property
    def references(self) -> Mapping[str, str]:
        """Return what the answers of each known model are held against.

        For a file that is made here of another model that is the 16-bit one which the others are
        made of; else the study's baseline.
        """
        models = self.configs.models
        return {name: models.widest_of(name) or self.baseline for name in models.models}

    @property
    def lengths(self) -> tuple[str, ...]:
        """Return the classes of prompts by length, shortest first."""
        return tuple(self.procedure.prompt_length_words)

    @property
    def variation_limit(self) -> float | None:
        """Return the variation in per cent above which the study would not trust a rate."""
        named = self.procedure.variation_limit
        return self.stated[named].value if named else None

    @property
    def energy_devices(self) -> tuple[str, ...]:
        """Return the devices that the study reports energy for."""
        return tuple(name for name, device in self.devices.items() if device.energy_reported)

    def has_experts(self, model: str | None) -> bool:
        """Return whether a model is a Mixture-of-Experts, by what models.yaml knows of it."""
        entry = self.configs.models.models.get(model or "")
        if entry is None or entry.shape is not None:
            return entry is not None and entry.shape is not None and entry.shape.expert_count > 0
        total, active = entry.published_parameters_total, entry.published_parameters_active
        return total is not None and active is not None and active < total

    def layers(self, model: str) -> int:
        """Return the layers of a model by its published shape."""
        return self.configs.model(model).shape_of(model).block_count

    def model_name(self, model: str | None) -> str:
        """Return the name of a model as the study's tables shorten it."""
        known = self.models.get(model or "")
        return known.name.removesuffix("-Instruct").removesuffix("-0924") if known else str(model)

    def printed_value(self, table: str, device: str | None, row: str, figure: str) -> float | None:
        """Return a printed figure of a row of a table, None where the study prints none."""
        found = self.printed.in_table(table, device, row, figure)
        return found.value if found else None

    def printed_text(self, name: str) -> str:
        """Return a figure in its printed digits, as it is meant: `12.30`, `about 12`, `0.6 to 2`.

        Raises KeyError for a name that is not that of a printed figure.
        """
        figure = self.stated.get(name.removeprefix(f"{_STATED}/"))
        sense = _SENSES[figure.sense] if figure else ""
        return f"{sense}{self.printed.text(name)}"


def read_study(
    name: str | None = None, root: Path | None = None, catalogue: Catalogue | None = None
) -> Study:
    """Read a study and the configuration that it stands on.

    `name` is the id of a study below studies/ of the configs folder `root`, by default the
    appliance's own, or the path of a folder; None is the only study, else the default of
    studies.yaml. `catalogue` adds models and targets; None is what lies in the user's folder of
    them, or nothing beside another `root`. Raises ConfigError with file, line, key and what is
    allowed.
    """
    if catalogue is None:
        catalogue = NO_CATALOGUE if root else find_catalogue()
    root = root or resource_folder("configs")
    return _read_folder(find_study(name, root), root, catalogue)


def read_planned_study(name: str | None, planned: Iterable[StudyIdentity | None]) -> Study:
    """Read the study that sessions were planned for, unless another is named.

    Raises ConfigError as `read_study` does, and where the sessions are of several studies.
    """
    known = sorted({identity.id for identity in planned if identity is not None})
    if name is None and len(known) > 1:
        raise ConfigError(
            f"these sessions are of several studies: {', '.join(known)}",
            hint="name with --study the one to judge them by",
        )
    return read_study(name or next(iter(known), None))


def read_study_identity(name: str) -> StudyIdentity:
    """Return what a plan would say of one of the appliance's studies, which is not parsed for it.

    Raises ConfigError where there is no such study, or a file of it is missing.
    """
    folder = find_study(name, resource_folder("configs"))
    try:
        files = {path.name: path.read_bytes() for path in _paths(folder)}
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=str(folder)) from error
    return StudyIdentity(id=folder.name, sha256=_sha256_of(files))


def _sha256_of(files: Mapping[str, bytes]) -> str:
    return digest_of({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})


def find_study(name: str | None, root: Path) -> Path:
    """Return the folder of a study; see `read_study`."""
    if name is None:
        known = study_names(root)
        only = known[0] if len(known) == 1 else None
        name = only or validate(read_yaml(root / DEFAULT_STUDY_FILE), _StudiesConfig).default
    return named_study(name, root)


def _read_folder(folder: Path, root: Path, catalogue: Catalogue) -> Study:
    configs = read_configs(root, catalogue)
    documents = {path.name: read_yaml(path) for path in _paths(folder)}
    files = {name: document.path.read_bytes() for name, document in documents.items()}
    paper = validate(documents[PAPER_FILE], Paper)
    claims = validate(documents[CLAIMS_FILE], ClaimsConfig)
    experiments = validate(documents[EXPERIMENTS_FILE], ExperimentsConfig)
    tables = _read_tables(documents)
    study = Study(
        id=folder.resolve().name,
        sha256=_sha256_of(files),
        files=files,
        documents=documents,
        common_files=_common_files(root, configs, catalogue),
        configs=configs,
        **{name: getattr(paper, name) for name in Paper.model_fields},
        printed=parse_printed(files[PAPER_FILE].decode()),
        claims=claims.claims,
        causes=claims.causes,
        recomputed=claims.recomputed,
        units=claims.units,
        experiments=experiments.experiments,
        suites=experiments.suites,
        order_seed=experiments.order_seed,
        prompts={
            name: with_items(prompt)
            for name, prompt in validate(documents[PROMPTS_FILE], PromptsConfig).prompts.items()
        },
        table_specs=tables.tables,
        frontier_specs=tables.frontiers,
        report=validate(documents[REPORT_FILE], ReportConfig),
    )
    for references in (_of_paper, _of_claims, _of_recomputed, _of_experiments):
        for reference in references(study):
            reference.check(study)
    for reference in (*_of_tables(study, paper), *_of_report(study)):
        reference.check(study)
    return study


def _common_files(root: Path, configs: Configs, catalogue: Catalogue) -> dict[str, bytes]:
    """Return the shared files as they were read, with the entries that a catalogue adds."""
    files = {name: (root / name).read_bytes() for name in CONFIG_FILES}
    for name, added, value in (
        ("models.yaml", catalogue.models, configs.models),
        ("devices.yaml", catalogue.devices, configs.devices),
        ("engines.yaml", catalogue.engines, configs.engines),
    ):
        if added:
            data = value.model_dump(mode="json", exclude_none=True)
            files[name] = yaml.safe_dump(data, sort_keys=False).encode()
    return files


def _read_tables(documents: Mapping[str, YamlDocument]) -> TablesConfig:
    document = documents.get(TABLES_FILE)
    return validate(document, TablesConfig) if document else TablesConfig(tables={})


def _paths(folder: Path) -> Iterator[Path]:
    """Yield the files of a study's folder; raises ConfigError for one that is none of a study."""
    allowed = (*_NEEDED, *_OPTIONAL)
    for path in sorted(folder.glob("*.yaml")):
        if path.name not in allowed:
            hint = f"{guessed_name(path.name, allowed)}a study has: {', '.join(allowed)}"
            raise ConfigError("no file of a study", where=str(path), hint=hint)
    yield from (folder / name for name in allowed if name in _NEEDED or (folder / name).is_file())


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """A name in a file that must be one of some others; `kind` says what it names."""

    file: str
    at: KeyPath
    name: str
    kind: str
    allowed: Iterable[str]

    def check(self, study: Study) -> None:
        allowed = list(self.allowed)
        if self.name in allowed:
            return
        document = study.documents[self.file]
        raise ConfigError(
            f"{'.'.join(map(str, self.at))}: there is no {self.kind} {self.name!r}",
            where=f"{document.path}:{document.line_of(self.at)}",
            hint=f"{guessed_name(self.name, allowed)}allowed: {', '.join(allowed) or 'none'}",
        )


def _of_paper(study: Study) -> Iterator[_Reference]:
    names: list[tuple[KeyPath, str, str, Iterable[str]]] = [
        (("subject",), study.subject, "model", study.models),
        (("baseline",), study.baseline, "model", study.models),
    ]
    for name, model in study.models.items():
        known = study.configs.models.models
        names.append((("models", name), name, "model of models.yaml", known))
        names.append((("models", name, "role"), model.role, "role", study.roles))
    for device, facts in study.devices.items():
        targets = study.configs.devices.targets
        where = ("devices", device, "targets")
        names += [
            ((*where, i), target, "target", targets) for i, target in enumerate(facts.targets)
        ]
    names += [(("peaks", device), device, "device", study.devices) for device in study.peaks]
    for at, name, kind, allowed in (*names, *_in_tables(study), *_in_procedure(study)):
        yield _Reference(file=PAPER_FILE, at=at, name=name, kind=kind, allowed=allowed)


def _in_tables(study: Study) -> Iterator[tuple[KeyPath, str, str, Iterable[str]]]:
    for table, cells in study.tables:
        strata = study.procedure.routing_strata_tokens
        rows: Iterable[str] = strata if table == "routing" else study.models
        for device, named in cells.cells.items():
            at = ("tables", table, "cells", device)
            yield at, device, "device", study.devices
            yield from (((*at, row), row, "row", rows) for row in named)


def _in_procedure(study: Study) -> Iterator[tuple[KeyPath, str, str, Iterable[str]]]:
    procedure, text = study.procedure, "figure of the text"
    if procedure.thread_sweep is not None:
        at = ("procedure", "thread_sweep", "device")
        yield at, procedure.thread_sweep.device, "device", study.devices
    if procedure.variation_limit is not None:
        yield ("procedure", "variation_limit"), procedure.variation_limit, text, study.stated
    if study.graph is not None:
        counts = study.graph.stated
        for named in (counts.routing, counts.experts, counts.outside_ratio):
            yield ("graph", "stated"), named, text, study.stated


def _of_claims(study: Study) -> Iterator[_Reference]:
    lengths, strata = study.procedure.prompt_length_words, study.procedure.routing_strata_tokens
    for claim_id, claim in study.claims.items():
        for place, check in enumerate(claim.checks):
            terms = terms_of(check)
            file_types = study.experts.bytes_by_file_type if study.experts else ()
            names: tuple[tuple[str, Iterable[str | None], Iterable[str]], ...] = (
                ("model", models_of(check), study.models),
                ("device", devices_of(check), study.devices),
                ("length", (term.length for term in terms), lengths),
                ("stratum", (term.stratum for term in terms), strata),
                ("type of file", (term.file_type for term in terms), file_types),
                ("stated figure", figures_of(check), study.stated),
            )
            at: KeyPath = ("claims", claim_id, "checks", place)
            for kind, given, allowed in names:
                for name in filter(None, given):
                    yield _Reference(file=CLAIMS_FILE, at=at, name=name, kind=kind, allowed=allowed)


def _of_recomputed(study: Study) -> Iterator[_Reference]:
    declared: dict[str, Sequence[Recomputation | UnitCheck]] = {
        "recomputed": study.recomputed,
        "units": study.units,
    }
    kind = "printed figure"
    for key, entries in declared.items():
        for place, entry in enumerate(entries):
            found, at = list(study.printed.matching(entry.said)), (key, place)
            known = [entry.said] if found else []
            yield _Reference(
                file=CLAIMS_FILE, at=(*at, "said"), name=entry.said, kind=kind, allowed=known
            )
            for said, captures in found:
                for name in entry.part_names(said, captures):
                    near = _figures_like(study, name)
                    yield _Reference(file=CLAIMS_FILE, at=at, name=name, kind=kind, allowed=near)


def _figures_like(study: Study, name: str) -> Iterator[str]:
    """Yield a name where it is that of a printed figure or of a published count, else its like."""
    counts = [f"published/{model}/{kind}" for model in study.models for kind in ("active", "total")]
    if study.printed.find(name) is not None:
        yield name
    else:
        beside = name.rpartition("/")[0] + "/"
        yield from counts
        yield from (known for known in study.printed.digits if known.startswith(beside))


def _of_experiments(study: Study) -> Iterator[_Reference]:
    def reference(at: KeyPath, name: str, kind: str, allowed: Iterable[str]) -> _Reference:
        return _Reference(file=EXPERIMENTS_FILE, at=at, name=name, kind=kind, allowed=allowed)

    known: dict[str, tuple[str, Iterable[str]]] = {
        "models": ("model", study.configs.models.models),
        "prompts": ("prompt", study.prompts),
        "pins": ("pin", study.configs.engines.pins),
    }
    for name, experiment in study.experiments.items():
        for key, (kind, allowed) in known.items():
            for place, value in enumerate(getattr(experiment, key)):
                yield reference(("experiments", name, key, place), value, kind, allowed)
    suites = study.suites
    lists: dict[KeyPath, tuple[Any, ...]] = {
        ("suites", "bench"): suites.bench,
        ("suites", "demo"): suites.demo,
        ("suites", "kick_the_tires"): suites.kick_the_tires,
        ("suites", "directions"): suites.directions,
    }
    for target, names in suites.evaluate.items():
        at: KeyPath = ("suites", "evaluate", target)
        yield reference(at, target, "target", study.configs.devices.targets)
        lists[at] = names
    for kind, programme in suites.visit or {}:
        if isinstance(programme, Programme):
            lists["suites", "visit", kind] = (*programme.experiments, programme.engines)
    for at, names in lists.items():
        for place, name in enumerate(names):
            yield reference((*at, place), name, "experiment", study.experiments)


def _of_tables(study: Study, paper: Paper) -> Iterator[_Reference]:
    categories = list(dict.fromkeys(prompt.category for prompt in study.prompts.values()))
    for table, spec in study.table_specs.items():
        yield _Reference(
            file=TABLES_FILE,
            at=("tables", table, "section"),
            name=spec.section,
            kind="section of report.yaml",
            allowed=study.report.sections,
        )
        for each in names_in_table(spec, paper, categories):
            yield _Reference(
                file=TABLES_FILE,
                at=("tables", table, *each.at),
                name=each.name,
                kind=each.kind,
                allowed=each.allowed,
            )


def _of_report(study: Study) -> Iterator[_Reference]:
    columns = [f"{table}/{key}" for table, keys in _columns(study).items() for key in keys]
    allowed: Mapping[str, Iterable[str]] = {
        "figure": study.report.figures,
        "table": _columns(study),
        "column": columns,
        "model": study.models,
        "figure of the text": study.stated,
    }
    for each in names_in_report(study.report):
        yield _Reference(
            file=REPORT_FILE,
            at=each.at,
            name=each.name,
            kind=each.kind,
            allowed=[
                name
                for name in allowed[each.kind]
                if each.kind != "column" or name.startswith(each.name.partition("/")[0] + "/")
            ],
        )


def _columns(study: Study) -> Mapping[str, Iterable[str]]:
    """Return the columns of every table that a page may show, by table."""
    return {
        **BUILT_TABLES,
        **{name: spec.columns for name, spec in study.table_specs.items()},
        **{name: spec.columns for name, spec in study.frontier_specs.items()},
    }
