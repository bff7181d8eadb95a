"""Completion as a person meets it: in real shells, at a real terminal."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgemoe_appliance.app.completion import SHELLS, install
from tests.app.test_commands import COMMAND

HOSTILE = ("$(touch pwned)", "`touch pwned`", "night;touch pwned", "night 2", "night\n3", "'n", "*")
# Bash and zsh are asked by keys at a terminal, as are whoever uses them.
STARTED = {
    "bash": ("bash", "--noprofile", "-i"),
    "zsh": ("zsh", "-i"),
    "fish": ("fish", "--private"),
}


def run(*arguments: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run the program as a shell does: what it offers, it reads when it is started."""
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"} | dict(environment),
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two sessions, folders with hostile names beside them, and the program."""
    for name in ("night-1", "night-2", *HOSTILE):
        (tmp_path / "data/raw" / name).mkdir(parents=True)
    program = tmp_path / "bin/edgemoe-appliance"
    program.parent.mkdir()
    code = "from edgemoe_appliance.app import main; main()"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
    program.chmod(0o755)
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a shell that is at home there."""
    kept = {key: os.environ[key] for key in ("PYTHONPATH", "LD_LIBRARY_PATH") if key in os.environ}
    return kept | {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "EDGEMOE_WORK": str(home),
        "TERM": "dumb",
        "PS1": "ready> ",
        "LANG": "C.UTF-8",
    }


def asked(home: Path, *words: str, at: int | None = None) -> list[str]:
    """Return what the program offers for the last of these words."""
    place = len(words) if at is None else at
    done = subprocess.run(
        [str(home / "bin/edgemoe-appliance")],
        env=environment(home)
        | {
            "COMP_WORDS": "\n".join(("edgemoe-appliance", *words)),
            "COMP_CWORD": str(place),
            "_EDGEMOE_APPLIANCE_COMPLETE": "complete_bash",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("cla",), ["claims"]),
        (("report", "night-"), ["night-1", "night-2"]),
        (("archive", "night-1"), ["night-1"]),
        (("compare", "night-1", "night-1,night-2"), ["night-1,night-2"]),
        (("bench", "--session", "night-2"), ["night-2"]),
        (("bench", "--target", "v"), ["vulkan"]),
        (("bench", "--target", "=", "v"), ["vulkan"]),
        (("evaluate", "--target=v"), ["vulkan"]),
        (("evaluate", "--study", "q"), ["quantisation"]),
        (("evaluate", "--experiment", "thread"), ["thread_sweep"]),
        (("bench", "--study", "quantisation", "--experiment", "bits_s"), ["bits_speed"]),
        (("bench", "--model", "gem"), ["gemma-2-2b"]),
        (("models", "fetch", "smollm2-135m-q8"), ["smollm2-135m-q8_0"]),
        (("build", "--pin", "b57"), ["b5763"]),
        (("claims", "--show", "c6c"), ["c6c"]),
        (("doctor", "--runtime", ""), ["native", "container"]),
        (("bench", "--dev"), ["--devices"]),
        (("report", "nothing-begins-so"), []),
        (("bench", "--study", "nosuch", "--experiment", "e"), []),
    ],
    ids=" ".join,
)
def test_names_are_offered(home: Path, words: tuple[str, ...], offered: list[str]) -> None:
    assert sorted(asked(home, *words)) == sorted(offered)


def test_no_name_is_offered_that_a_shell_would_have_to_quote(home: Path) -> None:
    assert sorted(asked(home, "report", "")) == ["night-1", "night-2"]


def test_one_s_own_targets_and_models_are_offered_and_told_in_the_help(home: Path) -> None:
    (home / "catalogue").mkdir()
    (home / "catalogue/devices.yaml").write_text("targets:\n  shelf-7: {label: x}\n")
    (home / "catalogue/models.yaml").write_text(
        "models: {zephyr: {name: [a, b]}}\nquantised: {zephyr: [Q8_0]}\n"
    )
    assert asked(home, "bench", "--target", "sh") == ["shelf-7"]
    assert asked(home, "bench", "--model", "ze") == ["zephyr", "zephyr-q8_0"]
    told = run("bench", "--help", environment={"EDGEMOE_WORK": str(home)}).stdout
    assert "ascend, shelf-7" in told


@pytest.mark.parametrize("broken", ["targets: [", "targets: {x: &a [*a], y: *a}\n", "\x00", "- 1"])
def test_a_broken_file_offers_what_the_others_hold_and_says_nothing(
    home: Path, broken: str
) -> None:
    (home / "catalogue").mkdir()
    (home / "catalogue/devices.yaml").write_text(broken)
    assert asked(home, "bench", "--target", "asc") == ["ascend"]


@pytest.mark.parametrize("variable", [("COMP_CWORD", "x"), ("COMP_WORDS", "e\nnosuch\n-")])
def test_a_question_of_another_form_is_answered_with_nothing(
    home: Path, variable: tuple[str, str]
) -> None:
    question = {"COMP_WORDS": "e\nbe", "COMP_CWORD": "1", "_EDGEMOE_APPLIANCE_COMPLETE": "?"}
    done = run(environment=question | dict([variable]))
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_neither_completion_nor_a_mistyped_name_loads_what_measures_or_judges(home: Path) -> None:
    code = (
        "import sys\nfrom edgemoe_appliance.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('pandas', 'numpy', 'pydantic', 'matplotlib') if m in sys.modules])"
    )
    question = {
        "COMP_WORDS": "e\nbench\n--study\nmoe-edge\n--experiment\neff",
        "COMP_CWORD": "5",
        "_EDGEMOE_APPLIANCE_COMPLETE": "complete_bash",
    }
    for variables, arguments in ((question, ()), ({}, ("report", "x")), ({}, ("verify", "x"))):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment(home) | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.splitlines()[-1] == "[]", (arguments, done)


@contextmanager
def shell(name: str, home: Path) -> Iterator["Screen"]:
    """Start a shell at a terminal of its own."""
    process, descriptor = pty.fork()
    if process == 0:
        os.chdir(home)
        os.execvpe(STARTED[name][0], STARTED[name], environment(home))
    screen = Screen(descriptor)
    try:
        yield screen
    finally:
        os.close(descriptor)
        os.waitpid(process, 0)


class Screen:
    """What a shell has shown, and the keys that it is sent."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.shown = ""

    def send(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def wait_for(self, words: str) -> None:
        """Wait until a text is shown; a machine may be busy, so for long."""
        end = time.monotonic() + 120
        while words not in self.shown:
            assert time.monotonic() < end, f"{words!r} is not in {self.shown!r}"
            if select.select([self.descriptor], [], [], 1)[0]:
                self.shown += os.read(self.descriptor, 4096).decode(errors="replace")


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_that_was_taught_completes(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    for key, value in environment(home).items():
        monkeypatch.setenv(key, value)
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(variable, raising=False)
    written = install(name)
    assert [path.read_bytes() for path in install(name)] == [p.read_bytes() for p in written]
    if name == "fish":
        question = 'complete -C "edgemoe-appliance archive --st"; complete -C "edgemoe-appliance '
        question += 'report night-"; complete -C "edgemoe-appliance bench --target=vu"'
        done = subprocess.run(
            ["fish", "--command", question], capture_output=True, text=True, check=False
        )
        assert sorted(done.stdout.split()) == ["--study", "--target=vulkan", "night-1", "night-2"]
        return
    with shell(name, home) as screen:
        screen.send("echo be''gun\n")
        screen.wait_for("begun")
        # One fits, and is written out; the line then runs as it stands.
        screen.send("echo it is edgemoe-app")
        screen.send("\x15edgemoe-appliance report --study moe\t\x01echo \n")
        screen.wait_for("edgemoe-appliance report --study moe-edge\r\n")
        screen.send("edgemoe-appliance bench --target=vul\t\x01echo \n")
        screen.wait_for("edgemoe-appliance bench --target=vulkan\r\n")
        # Two fit, and no other of that folder's names is shown.
        screen.send("edgemoe-appliance report n\t\t\t")
        screen.wait_for("night-2")
        screen.send("\x15exit\n")
    assert not (home / "pwned").exists()
    assert not any(each in screen.shown for each in ("touch", "Traceback"))
