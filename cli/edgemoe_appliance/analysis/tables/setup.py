"""Tables 1 and 2 of the study and what belongs to them: hardware, models, prompts, experiments.

As found by the measuring process and recorded, not as configured or assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgemoe_appliance.analysis.hardware import (
    NOT_TOLD,
    HardwareTexts,
    describe_hardware,
    describe_host,
)
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts, Setting
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    RowGroup,
    Table,
    absent,
    count,
    number,
    text,
)
from edgemoe_appliance.analysis.tables.common import (
    ACTIVE_COLUMN,
    MODEL_COLUMN,
    NOT_PRINTED,
    TOTAL_COLUMN,
    printed_cell,
    study_parameters,
)
from edgemoe_appliance.schema.configs import (
    Cooldown,
    CooldownRule,
    EngineSource,
    Experiment,
    GitSource,
    SdistSource,
)
from edgemoe_appliance.schema.plan import (
    LEAST_REPETITIONS,
    PlannedModel,
    PrecisionRule,
    QuantisedFile,
)
from edgemoe_appliance.schema.units import GB
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyDevice, TokenBounds


def hardware_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return hardware and backend, one row per fact, one column per setting and study device."""
    settings = loaded.settings if loaded else ()
    own = [_setting_facts(setting, study) for setting in settings]
    printed = [_device_facts(device, study) for device in study.devices.values()]
    columns = (
        Column(key="fact", title="Fact"),
        *(Column(key=f"setting_{setting.id}", title=setting.label) for setting in settings),
        *(
            Column(key=f"study_{key}", title=f"Study: {device.label}")
            for key, device in study.devices.items()
        ),
    )
    names = list(dict.fromkeys(name for facts in (*own, *printed) for name in facts))
    rows = []
    for name in names:
        cells = [
            text(name),
            *(facts.get(name, absent(NOT_TOLD)) for facts in own),
            *(facts.get(name, absent(NOT_PRINTED)) for facts in printed),
        ]
        keys = [column.key for column in columns]
        rows.append(Row(cells=dict(zip(keys, cells, strict=True))))
    return Table(
        id="hardware",
        title="Hardware and backend as found",
        where=study.places.hardware,
        columns=columns,
        groups=(RowGroup(label="", source="reader", rows=tuple(rows)),),
    )


def _setting_facts(setting: Setting, study: Study) -> dict[str, Cell]:
    engine = setting.engine
    return {
        "Device": text(setting.target.label),
        **_cells(describe_host(setting.host)),
        **_cells(describe_hardware(setting.hardware)),
        "Runtime": text(f"container {setting.image}" if setting.image else setting.runtime),
        "Backend": text(setting.target.backend.value.upper()),
        "llama.cpp": text(f"{engine.pin} ({_source(engine.source)})"),
        "Why this pin": text(engine.why),
        "Source sha256": text(engine.source_sha256),
        "llama-cli sha256": text(engine.binary_sha256),
        "CMake options": text(flags_in_words(engine.cmake), "none"),
        "Compiler": text(engine.compiler),
        "GPU layers": _layers(setting.target.n_gpu_layers),
        "Cool-down": text(cooldown_in_words(setting.target.cooldown)),
        "Sampling": text(f"{setting.target.sample_hz:g} Hz"),
        "Sessions": text(", ".join(setting.sessions)),
    }


def _device_facts(device: StudyDevice, study: Study) -> dict[str, Cell]:
    procedure = study.procedure
    mode = f", {device.power_mode_w:g} W mode" if device.power_mode_w else ""
    on_jetson = device.energy_reported
    return {
        "Device": text(device.name + mode),
        "Memory": text(f"{device.memory_gb:g} GB unified"),
        "Runtime": text("native"),
        "Backend": text(device.backend),
        "llama.cpp": text(procedure.engine_label),
        "CMake options": text(" ".join(flag.removeprefix("-D") for flag in device.cmake)),
        "GPU layers": _told(procedure.n_gpu_layers, "{:d}"),
        "Cool-down": _told(procedure.cooldown_s, "{:g} s") if on_jetson else absent(NOT_PRINTED),
        "Sampling": _told(
            procedure.rss_poll_s,
            "memory every {:g} s"
            + (f", power at {procedure.tegrastats_hz:g} Hz" if on_jetson else ""),
        ),
    }


def _told(value: float | None, words: str) -> Cell:
    """Return a value in words, absent where the study does not tell it."""
    return absent(NOT_PRINTED) if value is None else text(words.format(value))


def _cells(facts: HardwareTexts) -> dict[str, Cell]:
    return {
        name: absent(fact.reason) if isinstance(fact, Absent) else text(fact)
        for name, fact in facts.items()
    }


def _source(source: EngineSource) -> str:
    if isinstance(source, GitSource):
        return f"git {source.commit[:12]}"
    if isinstance(source, SdistSource):
        return f"in {source.package} {source.version}"
    return "local directory"


def flags_in_words(cmake: Mapping[str, str]) -> str:
    """Return build flags on one line."""
    return " ".join(f"{name}={value}" for name, value in cmake.items())


def _layers(n_gpu_layers: int | None) -> Cell:
    return text("no accelerator" if n_gpu_layers is None else str(n_gpu_layers))


def cooldown_in_words(rule: Cooldown) -> str:
    """Return how long a target pauses between runs."""
    if rule.rule is CooldownRule.NONE:
        return "none"
    limit = "" if rule.rule is CooldownRule.FIXED else "until cool, at most "
    return f"{limit}{rule.seconds:g} s"


_MODELS_COLUMNS = (
    MODEL_COLUMN,
    Column(key="role", title="Role"),
    ACTIVE_COLUMN,
    TOTAL_COLUMN,
    Column(key="file_gb", title="File", unit="GB", digits=2, meaning="10^9 bytes"),
    Column(
        key="read_gb",
        title="Read per token",
        unit="GB",
        digits=2,
        meaning="weight bytes that one generated token needs, counted in the file",
    ),
    Column(key="weights", title="Weights"),
    Column(key="sha256", title="sha256"),
)


_PRINTED = ("active_b", "total_b", "file_gb")


def models_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return the models as run, and as the study lists them."""
    planned = _planned_models(loaded)
    own = RowGroup(
        label="As run", source="reader", rows=tuple(_model_row(m, study) for m in planned)
    )
    rows = (_study_model_row(key, study) for key in study.models)
    # A study may name models of which it prints nothing, as files that it never had.
    told = tuple(row for row in rows if any(row.cells[key].number is not None for key in _PRINTED))
    printed = RowGroup(label="Study", source="study", rows=told)
    return Table(
        id="models",
        title="Models",
        where=study.places.models,
        columns=_MODELS_COLUMNS,
        groups=tuple(group for group in (own, printed) if group.rows),
    )


def _study_model_row(key: str, study: Study) -> Row:
    model = study.models[key]
    return Row(
        cells={
            "model": text(model.name),
            "role": text(study.roles[model.role]),
            **study_parameters(model),
            "file_gb": printed_cell(model.file_gb),
            "read_gb": absent(NOT_PRINTED),
            "weights": text(f"real, {study.procedure.quantization}"),
            "sha256": absent("in the study's bundle, not in its text"),
        },
        model=key,
    )


def _planned_models(loaded: LoadedSessions | None) -> list[PlannedModel]:
    """Return the model files of all sessions, each once."""
    sessions = loaded.sessions if loaded else ()
    files = {
        (model.id, model.sha256): model
        for session in sessions
        for model in session.plan.models.values()
    }
    return list(files.values())


def _model_row(model: PlannedModel, study: Study) -> Row:
    twin, role = model.twin_scale, model.role or study.role_of(model.id)
    return Row(
        cells={
            "model": text(model.name),
            "role": text(study.roles.get(role, role) if role else None, "of no role in the study"),
            "active_b": Cell(value=model.parameters_active / GB),
            "total_b": Cell(value=model.parameters_total / GB),
            "file_gb": Cell(value=model.file_bytes / GB),
            "read_gb": Cell(value=model.bytes_per_token / GB),
            "weights": text(f"random (twin, scale {twin})" if twin else _weights(model.quantised)),
            "sha256": text(model.sha256),
        },
        model=model.id,
        twin=twin,
    )


def _weights(made: QuantisedFile | None) -> str:
    """Return what the weights of a real file are, and how it was made where that was here."""
    if made is None:
        return "real"
    types = ", ".join(f"{count} {kind}" for kind, count in made.tensors.items())
    parts = [
        f"real; made here of {made.of} as {made.type} by the llama-quantize of {made.pin}",
        f"{made.bits_per_weight:.2f} bits a weight: {types}",
    ]
    if made.fallbacks:
        others = ", ".join(f"{count} {kind}" for kind, count in made.fallbacks.items())
        parts.append(f"rows that do not fit {made.type}: {others}")
    if made.imatrix_sha256 is not None:
        matrix = f"importance matrix sha256 {made.imatrix_sha256[:12]}"
        text_sha256 = made.calibration_sha256
        over = f" over configs/calibration.txt, sha256 {text_sha256[:12]}" if text_sha256 else ""
        parts.append(matrix + over)
    return "; ".join(parts)


def prompts_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return the prompts as sent, without their texts."""
    columns = (
        Column(key="prompt", title="Prompt"),
        Column(key="category", title="Category"),
        Column(key="words", title="Words sent"),
        Column(key="experiments", title="Experiments"),
        Column(key="sha256", title="sha256 of the text"),
    )
    found: dict[str, tuple[str, str, int, set[str]]] = {}
    for session in loaded.sessions if loaded else ():
        for key, prompt in session.plan.prompts.items():
            entry = (prompt.id, prompt.category, prompt.words, set[str]())
            found.setdefault(prompt.sha256, entry)[3].add(key.split("/")[0])
    rows = tuple(
        Row(
            cells={
                "prompt": text(name),
                "category": text(category),
                "words": count(words),
                "experiments": text(", ".join(sorted(experiments))),
                "sha256": text(sha256),
            }
        )
        for sha256, (name, category, words, experiments) in found.items()
    )
    return Table(
        id="prompts",
        title="Prompts as sent",
        where=study.places.prompts,
        columns=columns,
        groups=(RowGroup(label="", source="reader", rows=rows),) if rows else (),
    )


def procedure_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return how the study measured, fact by fact, and where repetitions here went by need."""
    given = study.procedure
    words = {str(key): bounds for key, bounds in given.prompt_length_words.items()}
    strata = {str(key): bounds for key, bounds in given.routing_strata_tokens.items()}
    facts = {
        "Prompts": f"{given.prompts} in {given.prompt_categories} categories, and three of "
        "different length"
        if given.prompts
        else "",
        "Words by prompt length": "; ".join(
            f"{name} {low} to {high}" for name, (low, high) in words.items()
        ),
        "Repetitions": f"{given.repetitions}; {given.repetitions_when_hot} where a run passes "
        f"{given.thermal_threshold_c:g} °C"
        if given.repetitions
        else "",
        "Runs per device and model": str(given.headline_runs_per_cell or ""),
        "Tokens to generate": f"at most {given.max_new_tokens}" if given.max_new_tokens else "",
        "Sampling of tokens": f"temperature {given.temperature:g}, top-p {given.top_p:g}, "
        f"seed {given.seed}"
        if given.temperature is not None
        else "",
        "Threads": f"{given.threads}{_after_sweep(study)}" if given.threads else "",
        "Quantization": given.quantization,
        "Experts of the MoE model": "; ".join(
            f"{model.experts_used} of {model.experts} in each of {model.layers} layers"
            for model in study.models.values()
            if model.experts
        ),
        "Prompts by tokens, for routing": "; ".join(
            f"{name} {bounds_in_words(bounds)}" for name, bounds in strata.items()
        ),
    }
    rows = tuple(Row(cells={"fact": text(k), "value": text(v)}) for k, v in facts.items() if v)
    return Table(
        id="procedure",
        title="How the study measured",
        where=study.places.procedure,
        columns=(Column(key="fact", title="Fact"), Column(key="value", title="Study")),
        groups=(RowGroup(label="", source="study", rows=rows),),
        notes=tuple(
            f"Session {session.key}: {_need_in_words(session.plan.precision)}"
            for session in (loaded.sessions if loaded else ())
            if session.plan.precision is not None
        ),
    )


def _after_sweep(study: Study) -> str:
    sweep = study.procedure.thread_sweep
    if sweep is None:
        return ""
    counts, device = ", ".join(map(str, sweep.threads)), study.devices[sweep.device].label
    return f", after a sweep over {counts} ({sweep.runs} runs on {device})"


def _need_in_words(rule: PrecisionRule) -> str:
    return (
        "repetitions were not fixed but went by need: a model's runs of an experiment were "
        f"repeated, {LEAST_REPETITIONS} to {rule.at_most} times, until the 90 % interval of their "
        f"mean generation rate was within {100 * rule.within:g} % of it, or until more "
        "repetitions of the same prompts would hardly have narrowed it."
    )


def _repetitions(session: SessionFacts, experiment: Experiment) -> Cell:
    rule = session.plan.precision
    if rule is None:
        return count(experiment.repetitions)
    return text(f"{LEAST_REPETITIONS} to {rule.at_most}, by need")


def bounds_in_words(bounds: TokenBounds) -> str:
    """Return which prompts a stratum holds."""
    if bounds.at_most is not None:
        return f"at most {bounds.at_most} tokens"
    return f"at least {bounds.at_least} tokens"


def experiments_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return what was planned, and how far it came, by session and experiment."""
    columns = (
        Column(key="experiment", title="Experiment"),
        Column(key="feeds", title="Goes into"),
        Column(key="prompts", title="Prompts"),
        Column(key="repetitions", title="Repetitions"),
        Column(key="n_predict", title="Tokens", meaning="to generate at most"),
        Column(key="words_pct", title="Words sent", unit="%"),
        Column(key="order", title="Order"),
        Column(key="planned", title="Planned"),
        Column(key="ok", title="Ok"),
        Column(key="not_ok", title="Failed"),
        Column(key="missing", title="Not run", meaning="planned, without a final record"),
    )
    sessions = loaded.sessions if loaded else ()
    return Table(
        id="experiments",
        title="Experiments",
        where=study.places.experiments,
        columns=columns,
        groups=tuple(
            RowGroup(
                label=session.key,
                source="reader",
                rows=tuple(_experiment_rows(session)),
                sessions=(session.key,),
            )
            for session in sessions
        ),
    )


def _experiment_rows(session: SessionFacts) -> Sequence[Row]:
    rows = []
    for name, experiment in session.plan.experiments.items():
        counts = session.experiments[name]
        cells = {
            "experiment": text(name),
            "feeds": text(", ".join(feeds.value for feeds in experiment.feeds), "the runs only"),
            "prompts": count(len(experiment.prompts)),
            "repetitions": _repetitions(session, experiment),
            "n_predict": count(experiment.n_predict),
            "words_pct": number(100 * experiment.prompt_scale),
            "order": text(experiment.order.value),
            "planned": count(counts.planned),
            "ok": count(counts.ok),
            "not_ok": count(counts.not_ok),
            "missing": count(counts.missing),
        }
        rows.append(Row(cells=cells))
    return rows
