import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.testing import CliRunner

from edgemoe_appliance.app.main import app
from edgemoe_appliance.evaluation.config import read_evaluation
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.plan import expand_runs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies.reference import read_study
from tests.tools.readme import README, rendered

TEXT = README.read_text(encoding="utf-8")


def commands(within: object = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command by its words on the command line, those of groups too."""
    group: Any = within or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_generated_parts_are_those_of_the_code() -> None:
    assert rendered(TEXT) == TEXT, "run: python -m tests.tools.readme"


def test_every_command_is_in_the_readme_and_no_other() -> None:
    named = {
        command.name or getattr(command.callback, "__name__", "")
        for command in app.registered_commands
    }
    named |= {str(group.name) for group in app.registered_groups}
    told = set(re.findall(r"^\| `edgemoe-appliance (\w+)", TEXT, re.MULTILINE))
    assert told == named - {"demo"}


def test_the_experiments_and_their_runs_are_those_of_the_configuration(configs: Configs) -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| .* \| (\d+) \|$", TEXT, re.MULTILINE))
    runs = {
        name: len(experiment.models)
        * len(experiment.prompts)
        * experiment.repetitions
        * max(1, len(experiment.threads))
        * len(experiment.arms)
        * max(1, len(experiment.pins))
        for name, experiment in configs.experiments.experiments.items()
        if not name.startswith("demo")
    }
    assert {name: int(count) for name, count in told.items()} == runs


def test_the_targets_are_told(configs: Configs) -> None:
    for target in configs.devices.targets:
        assert f"`{target}`" in TEXT


def test_named_files_exist() -> None:
    root = resource_folder("configs").parent
    for name in re.findall(r"`((?:configs|data/schema|data/reference)/[\w.]+)`", TEXT):
        assert (root / name).exists(), name


def test_every_command_explains_itself() -> None:
    for words, command in commands():
        shown = CliRunner().invoke(app, [*words.split(), "--help"])
        assert shown.exit_code == 0, words
        assert command.help.splitlines()[0].split(":")[0] in " ".join(shown.output.split()), words


def test_options_that_the_readme_shows_are_those_of_the_program() -> None:
    known = dict(commands())
    shown = re.findall(r"edgemoe-appliance ((?:models )?\w+)([^`\n#]*)", TEXT)
    assert len(shown) > 20
    for words, rest in shown:
        if words not in known:
            continue
        has = {option for each in known[words].params for option in each.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= has, f"{words}{rest}"


def test_make_targets_that_the_readme_names_are_there() -> None:
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z0-9-]+)", TEXT, re.MULTILINE)) <= there


def test_every_claim_and_every_experiment_of_a_claim_has_a_row(configs: Configs) -> None:
    block = TEXT.split("<!-- claims:begin -->")[1].split("<!-- claims:end -->")[0]
    costs = TEXT.split("<!-- costs:begin -->")[1].split("<!-- costs:end -->")[0]
    rows = re.findall(r"^\| (c\d+) \|", block, re.MULTILINE)
    assert rows == [claim.id for claim in read_study().claims]
    named = set(re.findall(r"`(\w+)`", block))
    assert named <= set(re.findall(r"^\| `(\w+)`", costs, re.MULTILINE))
    assert named <= set(configs.experiments.experiments)


def test_the_runs_of_kicking_the_tires_are_those_of_its_experiments(configs: Configs) -> None:
    names = read_evaluation(resource_folder("configs"), configs).kick_the_tires.experiments
    experiments = {name: configs.experiment(name) for name in names}
    runs = expand_runs(experiments, target="host", pin="b4447", threads=2, seed=1)
    assert f"makes {len(runs)} short runs" in " ".join(TEXT.split())
