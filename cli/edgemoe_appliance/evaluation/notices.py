"""What is said of models, twins and estimates, before an evaluation and at its end."""

from __future__ import annotations

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.evaluation.config import Paces
from edgemoe_appliance.evaluation.request import Evaluation
from edgemoe_appliance.evaluation.state import Present
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale
from edgemoe_appliance.schema.units import human_bytes
from edgemoe_appliance.studies import Study

_TWINS = {
    TwinScale.FULL: "Full-scale twins have every tensor of the models, with random weights: rates, "
    "memory, energy and heat are those of the models. What depends on the weights is not: the "
    "text, and which experts are chosen, so how far caches help.",
    TwinScale.THIN: "Thin twins have an eighth of the layers and of the vocabulary: they show that "
    "every step works, and give no verdict on the models. --twins full does, on directions.",
    TwinScale.TINY: "Tiny twins fit into the processor's caches: they show that everything works, "
    "and say nothing about the models.",
}


def twins_note(scale: TwinScale) -> str:
    """Return what twins of a scale can and cannot show."""
    return _TWINS[scale]


def target_note(evaluation: Evaluation, not_target: str) -> str:
    """Return that this host is not the target, and where the evaluation can be made."""
    start = f"This host is not target {evaluation.bench.target}: {not_target}."
    if evaluation.runtime is RuntimeKind.CONTAINER:
        return f"{start} Give the command there, or name the target's Docker engine: --docker-host."
    return f"{start} Give the command there."


def models_note(evaluation: Evaluation, present: Present) -> str:
    """Return what the models of an evaluation mean, and what there is in their place."""
    scale = evaluation.bench.twins
    if scale is not None:
        return twins_note(scale)
    missing = [model for model in present.models if not (model.is_there or model.is_made)]
    if not missing:
        return "The real models are there; their digests are checked before they are run."
    size = human_bytes(sum(model.file_bytes for model in missing))
    gated = [model.id for model in missing if model.is_gated]
    licence = f", and a licence to accept for {', '.join(gated)}" if gated else ""
    if any(run.assesses for run in present.runs_left):
        return (
            f"The real models want {size}{licence}; files of fewer bits are made of them. Nothing "
            "can be measured in their place: how good answers are, twins do not say."
        )
    return (
        f"The real models want {size} from the hub{licence}. Without them, --twins full measures "
        f"in their place. {twins_note(TwinScale.FULL)}"
    )


def place_note(folders: Folders) -> str:
    """Return where everything is written."""
    return (
        f"Written below {folders.results.parent}: results/ (report, archive) and data/ (models, "
        f"runs). What can be fetched or built again lies in {folders.cache}."
    )


def pace_note(evaluation: Evaluation, study: Study, paces: Paces) -> str:
    """Return what the estimate of the runs rests on."""
    name = evaluation.bench.target
    ends = "expect half to twice as much"
    if study.device_of(name) is not None:
        rates = "the study's own generation rates on this device"
    elif (pace := paces.weights_gb_s.get(name)) is not None:
        rates = f"{pace:g} GB/s of weights (configs/evaluation.yaml says why)"
        ends = "as on a machine with other work; the shorter total is that of a quiet one"
    else:
        return "Nothing is known about the pace of this target, so the runs have no estimate."
    return (
        f"The time of the runs is worked out run by run from {rates}, the sizes of the files, the "
        f"lengths of the prompts and the pauses: {ends}."
    )
