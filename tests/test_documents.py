import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.testing import CliRunner

from edgemoe_appliance.app.main import app
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import read_study
from tests.tools.documents import README, ROOT, blocks, documents, rendered

TEXTS = documents()
README_TEXT = TEXTS[README]
TEXT = "\n".join(TEXTS.values())


def commands(within: object = None, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command by its words on the command line, those of groups too."""
    group: Any = within or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def test_generated_parts_are_those_of_the_code() -> None:
    texts = rendered()
    wrong = [path.name for path, text in texts.items() if text != TEXTS[path]]
    assert wrong == [], "run: python -m tests.tools.documents"


def test_every_generated_part_stands_in_one_document() -> None:
    for name in blocks():
        assert TEXT.count(f"<!-- {name}:begin -->") == TEXT.count(f"<!-- {name}:end -->") == 1, name


def test_links_between_documents_lead_somewhere() -> None:
    for path, text in TEXTS.items():
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if "://" not in target:
                assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README_TEXT.splitlines()) <= 170


def test_every_command_is_in_the_readme_and_no_other() -> None:
    named = {
        command.name or getattr(command.callback, "__name__", "")
        for command in app.registered_commands
    }
    named |= {str(group.name) for group in app.registered_groups}
    told = set(re.findall(r"^\| `edgemoe-appliance (\w+)", README_TEXT, re.MULTILINE))
    assert told == named - {"demo"}


def test_the_targets_are_told(configs: Configs) -> None:
    for target in configs.devices.targets:
        assert f"`{target}`" in TEXT
        # One whose backend lacks types of weights is told where it is told what that means.
        assert configs.limits(target) is not None or f"`{target}`" in README_TEXT


def test_named_files_exist() -> None:
    root = resource_folder("configs").parent
    for name in re.findall(r"`((?:configs|data/schema)/[\w./-]+)`", TEXT):
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
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z][a-z0-9-]+)", TEXT, re.MULTILINE)) <= there


def test_every_claim_and_every_experiment_of_a_claim_has_a_row(configs: Configs) -> None:
    block = TEXT.split("<!-- claims:begin -->")[1].split("<!-- claims:end -->")[0]
    costs = TEXT.split("<!-- costs:begin -->")[1].split("<!-- costs:end -->")[0]
    rows = re.findall(r"^\| (c\d+[a-z]?) \|", block, re.MULTILINE)
    assert rows == list(read_study().claims)
    named = set(re.findall(r"`(\w+)`", block))
    assert named <= set(re.findall(r"^\| `(\w+)`", costs, re.MULTILINE))
    assert named <= set(read_study().experiments)
