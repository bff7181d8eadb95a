"""The tables of the README's artifact appendix, from configuration, claims and estimates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from edgemoe_appliance.analysis.claims.formatting import limits_in_words
from edgemoe_appliance.analysis.claims.tests import Question, questions
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.evaluation.config import EvaluationConfig, StepId, read_evaluation
from edgemoe_appliance.evaluation.estimates import Cost, Estimator
from edgemoe_appliance.evaluation.request import EvaluationOptions, resolve
from edgemoe_appliance.evaluation.state import read_present
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.plan import expand_runs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.units import human_bytes, human_duration
from edgemoe_appliance.studies import Study, read_study
from edgemoe_appliance.studies.claims import Claim

_EVALUATE = "edgemoe-appliance evaluate --target T"
_TARGETS = ("host", "jetson", "m2")
# Which runs each table of the paper comes from; Tables 1 and 2 are told of whatever was run.
_PAPER = (
    ("Table 1, hardware and backend", "3.1, 3.2", Feeds.HEADLINE),
    ("Table 2, models", "3.3", Feeds.HEADLINE),
    ("thread sweep", "3.5", Feeds.THREADS),
    ("Table 3 and Figure 1, throughput", "4.1", Feeds.HEADLINE),
    ("Table 4 and Figure 2, memory", "4.2", Feeds.HEADLINE),
    ("Table 5, prompt length", "4.3", Feeds.PROMPT_LENGTH),
    ("stability", "4.4", Feeds.HEADLINE),
    ("Table 6 and Figure 3, energy", "4.5", Feeds.HEADLINE),
    ("Table 7 and slowdown, routing", "4.6", Feeds.ROUTING),
    ("not in the paper: memory arms", "", Feeds.MEMORY),
    ("not in the paper: two engines", "", Feeds.ENGINE),
)
# A folder that is not there: estimates are those of a fresh checkout.
_NOWHERE = Path("/nonexistent")


def claims_table(study: Study) -> str:
    """Return the map from claims to experiments."""
    rows = [
        (
            claim_id,
            claim.section,
            claim.says,
            *_tested(study, claim),
        )
        for claim_id, claim in study.claims.items()
    ]
    titles = ("claim", "section", "the study says", "experiments", "on", "counts as reproduced")
    return _table(titles, rows)


def revised_table(study: Study) -> str:
    """Return the claims whose test was another before, and which."""
    rows = [(name, claim.revised) for name, claim in study.claims.items() if claim.revised]
    return _table(("claim", "how it was tested before"), rows)


def experiments_table(study: Study) -> str:
    """Return what each experiment takes, by target."""
    config = read_evaluation(resource_folder("configs"))
    rows = []
    for name, experiment in study.experiments.items():
        if experiment.prompt_scale < 1:
            continue
        costs = [_cost(name, target, study, config) for target in _TARGETS]
        rows.append(
            (
                f"`{name}`",
                f"{config.human_min_per_experiment:g} min",
                *(_duration(cost) for cost in costs),
                human_bytes(costs[0].disk_bytes),
                f"`{_EVALUATE} --experiment {name}`",
            )
        )
    titles = ("experiment", "person", *_TARGETS, "disk", "command")
    return _table(titles, rows)


def paper_table(study: Study) -> str:
    """Return which command makes each table of the paper."""
    rows = []
    for title, section, table in _PAPER:
        options = [f"--experiment {name}" for name in _experiments(study, table)]
        rows.append((title, section, f"`{' '.join([_EVALUATE, *options])}`"))
    return _table(("table", "section", "command"), rows)


def appendix_blocks() -> dict[str, str]:
    """Return the generated blocks of the README by name."""
    study = read_study()
    return {
        "claims": claims_table(study),
        "revised": revised_table(study),
        "experiments": runs_table(study),
        "costs": experiments_table(study),
        "paper": paper_table(study),
    }


def runs_table(study: Study) -> str:
    """Return what each experiment is, and how many runs it has on a target with a single pin."""
    rows = (
        (f"`{name}`", experiment.title, str(_count_runs(name, study)))
        for name, experiment in study.experiments.items()
        if not name.startswith("demo")
    )
    return _table(("experiment", "what it is", "runs"), rows)


def _count_runs(name: str, study: Study) -> int:
    experiment = {name: study.experiment(name)}
    return len(expand_runs(experiment, target="host", pin="b4447", threads=6, seed=1))


def _tested(study: Study, claim: Claim) -> tuple[str, str, str]:
    """Return experiments, devices and limits of a claim's test."""
    if claim.untestable:
        return "none", "", f"not testable: {claim.untestable}"
    asked = list(questions(claim))
    names = [name for question in asked for name in _experiments(study, question.table)]
    return (
        _joined(f"`{name}`" for name in names),
        _devices(study, asked),
        _joined(_limits(question) for question in asked),
    )


def _devices(study: Study, asked: Sequence[Question]) -> str:
    if all(question.anywhere for question in asked):
        return "any"
    devices = study.devices
    return _joined(devices[device].label for question in asked for device in question.devices)


def _limits(question: Question) -> str:
    if question.about == "same-side":
        return "the same side of 1"
    return limits_in_words(question.asked, question.unit)


def _experiments(study: Study, table: Feeds) -> Iterator[str]:
    """Yield the experiments of full length that feed a table."""
    for name, experiment in study.experiments.items():
        if table in experiment.feeds and experiment.prompt_scale == 1:
            yield name


def _cost(name: str, target: str, study: Study, config: EvaluationConfig) -> Cost:
    asked = EvaluationOptions(target=target, experiments=(name,), twins=TwinScale.FULL)
    evaluation = resolve(asked, study, config)
    folders = Folders(
        cache=_NOWHERE, models=_NOWHERE, sessions=_NOWHERE, results=_NOWHERE, images=_NOWHERE
    )
    estimator = Estimator(
        evaluation=evaluation,
        study=study,
        paces=config.paces,
        present=read_present(evaluation, study, folders, cores=2),
    )
    return estimator.cost(StepId.BENCH)


def _duration(cost: Cost) -> str:
    return "not known" if cost.machine_s is None else human_duration(cost.machine_s)


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        cells = (cell.replace("|", "\\|") for cell in row)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
