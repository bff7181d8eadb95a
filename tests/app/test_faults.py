"""Ordinary faults, met by the program as it is typed: one line each, and the right exit code."""

import errno
import os
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import pydantic
import pytest
import requests
import yaml
from docker.errors import DockerException

from edgemoe_appliance.app.faults import as_ours, usage_error
from edgemoe_appliance.app.main import _invoke
from edgemoe_appliance.app.report import session_folders
from edgemoe_appliance.bench.paths import default_folders, default_session
from edgemoe_appliance.bench.prepare import BenchRequest
from edgemoe_appliance.errors import (
    ApplianceError,
    ConfigError,
    HostError,
    RecordError,
    VerificationError,
)
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale
from edgemoe_appliance.schema.text import printable
from tests.analysis.journals import write_session

PROGRAM = "from edgemoe_appliance.app import main; main()"
SESSION = "synthetic"
# What a user can read who is not the owner; the interpreter of the tests may lie in root's home.
OTHER_USER = 12345
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one session, which no test changes."""
    root = tmp_path_factory.mktemp("work")
    write_session(root / "data" / "raw")
    return root


def run(
    work: Path, *arguments: str, shell: str = 'exec "$@"', **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run the program as it is typed in a shell, which may set limits and redirect before."""
    return subprocess.run(
        ["bash", "-c", shell, "bash", sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"EDGEMOE_WORK": str(work)} | environment,
        cwd=work,
        check=False,
    )


def assert_one_line(done: "subprocess.CompletedProcess[str]", code: int, *words: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


NO_NAMES = ["..", "a/b", "a b", "x" * 300, "", "-x", ".hidden", "\u00fc", "A", "x\x1b[31m"]


@pytest.mark.parametrize("name", NO_NAMES, ids=range(len(NO_NAMES)))
def test_a_request_cannot_have_a_bad_session_name(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a session name; use at most 64 lower-case"):
        BenchRequest(target="host", experiments=("x",), session=name, pin=None, twins=None)


@pytest.mark.parametrize(
    ("command", "name"),
    [(("bench", "--twins", "tiny"), "a/b"), (("evaluate", "--kick-the-tires"), "")],
    ids=["bench", "evaluate"],
)
def test_a_bad_session_name_is_refused_before_any_work(
    tmp_path: Path, command: tuple[str, ...], name: str
) -> None:
    done = run(tmp_path, *command, "--force", f"--session={name}")
    assert_one_line(done, 2, "is not a session name")
    assert (done.stdout, list(tmp_path.iterdir())) == ("", [])


@pytest.mark.parametrize("name", NO_NAMES[1:7], ids=range(6))
def test_what_is_no_session_at_all_is_said_so(
    work: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EDGEMOE_WORK", str(work))
    with pytest.raises(ConfigError, match="is not a session name"):
        session_folders([name], default_folders())


def test_a_name_longer_than_any_file_s_is_one_line(work: Path) -> None:
    assert_one_line(run(work, "compare", SESSION, "x" * 300), 2, "is not a session name")


@pytest.mark.parametrize("count", [1, 4, 40])
def test_names_from_many_parts_can_be_kept_and_told_apart(count: int) -> None:
    parts = [f"experiment-{number}" for number in range(count)]
    native, container = RuntimeKind
    names = [
        *(
            default_session(each, twins=None, runtime=native)
            for each in (parts, [*parts, "x"], [*parts[::-1], "y"])
        ),
        # Whatever makes another plan makes another name, in whichever command it is said.
        *(default_session(parts, twins=twins, runtime=native) for twins in TwinScale),
        default_session(parts, twins=None, runtime=container),
        default_session(parts, twins=None, runtime=native, pin="b4404"),
        default_session(parts, twins=None, runtime=native, portable=True),
        default_session(parts, twins=None, runtime=native, by_need=True),
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) <= 64 for name in names)


def no_space(path: str | None = None) -> OSError:
    return OSError(errno.ENOSPC, "No space left on device", path)


class _Form(pydantic.BaseModel):
    number: int


def refusal(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:  # noqa: BLE001  that is what is asked for
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize(
    ("error", "family", "words"),
    [
        (no_space("/x/y"), HostError, "/x/y: the system refuses this (No space left"),
        (no_space(), HostError, "free disk space and inodes"),
        (PermissionError(errno.EACCES, "Permission denied", b"/b"), HostError, "/b: "),
        (OSError("odd"), HostError, "(odd)"),
        (BlockingIOError(errno.EAGAIN, "unavailable"), HostError, "ulimit -u"),
        (OSError(errno.EMFILE, "Too many open files"), HostError, "ulimit -n"),
        (MemoryError(), HostError, "not enough memory"),
        (RecursionError(), RecordError, "nested too deeply"),
        (subprocess.TimeoutExpired(["x"], 3), HostError, "timed out after 3"),
        (refusal(b"\xff".decode), RecordError, "not UTF-8"),
        (refusal(lambda: zlib.decompress(b"x")), RecordError, "damaged archive"),
        (tarfile.ReadError("bad"), RecordError, "damaged archive (bad)"),
        (refusal(lambda: duckdb.sql("nonsense")), HostError, "the runs cannot be kept"),
        (duckdb.OutOfMemoryException("full"), HostError, "not enough memory or room"),
        (refusal(lambda: yaml.safe_load("{")), ConfigError, "not valid YAML"),
        (refusal(lambda: _Form(number="x")), RecordError, "another form"),
        (DockerException("gone"), HostError, "Docker engine failed (gone)"),
        (requests.ConnectionError("refused"), HostError, "connection failed (refused)"),
        (VerificationError("ours"), VerificationError, "ours"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_others_raise_is_one_of_ours(
    error: Exception, family: type[ApplianceError], words: str
) -> None:
    ours = as_ours(error)
    assert type(ours) is family
    assert words in str(ours)
    assert "\n" not in str(ours)


@pytest.mark.parametrize("error", [ValueError(), KeyError("x"), AssertionError(), TypeError()])
def test_a_bug_of_ours_is_none_of_these(error: Exception) -> None:
    assert as_ours(error) is None


QUICK = [("models", "list", "--json"), ("--help",)]


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", QUICK, ids=" ".join)
def test_a_full_standard_output_is_one_line(work: Path, command: tuple[str, ...]) -> None:
    done = run(work, *command, shell='exec "$@" > /dev/full')
    assert_one_line(done, 3, "standard output: cannot be written (No space left")


@pytest.mark.parametrize(
    "shell", ['exec "$@" >&-', 'exec "$@" >&- <&-', '"$@" | true; exit ${PIPESTATUS[0]}']
)
@pytest.mark.parametrize("command", QUICK, ids=" ".join)
def test_nobody_needs_to_read_what_is_printed(
    work: Path, command: tuple[str, ...], shell: str
) -> None:
    done = run(work, *command, shell=shell)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_that_nobody_can_read_keeps_its_exit_code(work: Path) -> None:
    assert run(work, "bench", "--nope", shell='exec "$@" 2>/dev/full').returncode == 2


def test_a_terminal_that_knows_ascii_alone_is_enough(work: Path) -> None:
    done = run(work, "--help", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("bench", "--nope\x1b[31m"), ("No such option", "\\x1b[31m", "bench --help")),
        (("non\u202esense",), ("No such command", "\\u202e")),
        (("models",), ("a command is missing", "models --help")),
        (("bench", "--twins", "huge"), ("--twins", "one of tiny, thin, full")),
        (("bench", "--target", "\x9b31m"), ("unknown target", "\\x9b")),
    ],
    ids=["option", "command", "none", "choice", "target"],
)
def test_a_mistake_on_the_command_line_is_one_line(
    arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    raised = refusal(lambda: _invoke(arguments))
    ours = usage_error(raised) or as_ours(raised)
    assert type(ours) is ConfigError
    assert str(ours).isprintable() or "\x9b" in str(ours)
    assert all(word in printable(str(ours)) for word in words), str(ours)


SIGNALS = """
import os, signal, time
from edgemoe_appliance.app.main import Signals
Signals().install()
closed = False
try:
    os.kill(os.getpid(), NUMBER)
    time.sleep(9)
except KeyboardInterrupt:
    for _ in range(2):
        os.kill(os.getpid(), NUMBER)
        time.sleep(0.01)
    closed = True
print(closed)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_three_signals_close_what_is_open_once(name: str) -> None:
    code = SIGNALS.replace("NUMBER", f"signal.{name}")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True\n", b"")


def test_a_hang_up_that_is_ignored_stays_so() -> None:
    code = (
        "import os, signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from edgemoe_appliance.app.main import Signals; Signals().install()\n"
        "os.kill(os.getpid(), signal.SIGHUP); print('on')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"on\n")
