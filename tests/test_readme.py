import re

from edgemoe_appliance.app.main import app
from edgemoe_appliance.study.configs import Configs
from edgemoe_appliance.study.resources import resource_folder
from tests.tools.readme import README, rendered

TEXT = README.read_text(encoding="utf-8")


def test_the_metric_page_is_that_of_the_registry() -> None:
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
