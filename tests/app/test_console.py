"""The one place that prints: what it shows is escaped, and nothing else in the package prints."""

import ast
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeGuard

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

import edgemoe_appliance
from edgemoe_appliance.app import console
from edgemoe_appliance.bench.progress import BenchProgress, ModelProgress
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema import streams

PACKAGE = Path(edgemoe_appliance.__file__).parent
# The terminal of the whole program, and the streams of those that have to do without it.
PRINTERS = {PACKAGE / "app" / "console.py", PACKAGE / "schema" / "streams.py"}
HOSTILE = {
    "colour": "\x1b[31mred",
    "clear": "\x1b[2J\x1b[H",
    "title": "\x1b]0;title\x07",
    "clipboard": "\x1b]52;c;aGk=\x1b\\",
    "8-bit": "\x9b31m\x9d0;title\x9c",
    "backspace": "good\x08\x08\x08\x08evil",
    "return": "good\revil",
    "line": "good\nerror: all is well",
    "separators": "a\u2028b\u2029c\x85d",
    "bidi": "\u202egpj.exe\u2066\u200f",
    "nul": "a\x00b\x7f",
    "surrogate": "\udc9b31m",
    "markup": "[bold red]no[/][link=file:///etc/passwd]x[/link]",
    "emoji": ":skull:",
}


def progress(name: str) -> BenchProgress:
    return BenchProgress(
        total=4,
        by_need=False,
        done=4,
        not_ok=1,
        current=None,
        state=name,
        models={name: ModelProgress(runs=1, median_gen_tok_s=1.0)},
    )


def table_of(text: str) -> Table:
    table = Table("column", box=None)
    table.add_row(text)
    return table


def _update_board(text: str) -> None:
    with console.BenchBoard().shown() as board:
        board.update(progress(text))


def _update_bar(text: str) -> None:
    with console.percent_bar(text) as bar:
        bar.update(0.5)


def _step(text: str) -> None:
    with console.TerminalSteps().step(text):
        pass


WAYS: dict[str, Callable[[str], None]] = {
    "say": console.say,
    "error": console.say_error,
    "json": console.print_json,
    "text": lambda text: console.show_text(Text(text, style="red")),
    "table": lambda text: console.show_table(table_of(text)),
    "board": _update_board,
    "bar": _update_bar,
    "step": _step,
}


@pytest.fixture(params=[False, True], ids=["file", "terminal"])
def written(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[io.StringIO]:
    """Give what is written, to a file and to a terminal that has all there is."""
    stream = io.StringIO()
    terminal = console._Terminal(
        file=stream,
        force_terminal=request.param,
        color_system=None,
        width=300,
        highlight=False,
        markup=False,
        emoji=False,
    )
    monkeypatch.setattr(console, "_OUT", terminal)
    monkeypatch.setattr(console, "_ERR", terminal)
    yield stream


def without_own_marks(shown: str) -> str:
    """Return what was shown without the marks by which moving bars are drawn."""
    for mark in ("\x1b[?25l", "\x1b[?25h", "\x1b[2K", "\x1b[1A", "\r"):
        shown = shown.replace(mark, "")
    return shown.replace("\n", "")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_foreign_text_is_escaped_whichever_way_it_is_shown(
    written: io.StringIO, way: Callable[[str], None], text: str
) -> None:
    way(text)
    shown = written.getvalue()
    assert without_own_marks(shown).isprintable(), repr(shown)
    if text.startswith("["):
        assert "[link=" in shown or way in (_update_board, _update_bar)


@pytest.mark.parametrize("way", [console.say, console.say_error], ids=["say", "error"])
def test_a_message_is_one_line(written: io.StringIO, way: Callable[[str], None]) -> None:
    way("one\ntwo\r\nthree")
    assert written.getvalue() == "one\\ntwo\\r\\nthree\n"


def test_ordinary_text_stays_as_it_is(written: io.StringIO) -> None:
    console.say("größer als 3 µs · 語 é")
    assert written.getvalue() == "größer als 3 µs · 語 é\n"


def test_the_bars_of_the_library_pass_through_the_same_place() -> None:
    assert isinstance(console.PercentBar("x").progress, Progress)
    assert console.PercentBar("x").progress.console is console._OUT


PRINTING_NAMES = {"print", "input", "breakpoint"}
PRINTING_ATTRIBUTES = {
    ("sys", "stdout"),
    ("sys", "stderr"),
    ("sys", "__stdout__"),
    ("sys", "__stderr__"),
    ("typer", "echo"),
    ("typer", "secho"),
    ("typer", "style"),
    ("typer", "confirm"),
    ("typer", "prompt"),
    ("typer", "progressbar"),
    ("warnings", "warn"),
    ("traceback", "print_exc"),
    ("pprint", "pprint"),
}
PRINTING_MODULES = {
    "rich.console",
    "rich.live",
    "rich.progress",
    "rich",
    "logging",
    "click",
    "tqdm",
}


def printing(tree: ast.AST) -> Iterator[int]:
    """Yield the lines on which something prints, or gets hold of what prints."""
    into_files = {id(node.func) for node in ast.walk(tree) if _prints_into_a_file(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in PRINTING_NAMES and id(node) not in into_files:
            yield node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in PRINTING_ATTRIBUTES:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module, alias.name) for alias in node.names}
            if node.module in PRINTING_MODULES or names & PRINTING_ATTRIBUTES:
                yield node.lineno
        elif isinstance(node, ast.Import):
            if {alias.name for alias in node.names} & PRINTING_MODULES:
                yield node.lineno
        elif isinstance(node, ast.Call) and _writes_to_standard_stream(node):
            yield node.lineno


def _prints_into_a_file(node: ast.AST) -> TypeGuard[ast.Call]:
    """A standard stream that is named there is found by its own name."""
    return isinstance(node, ast.Call) and any(word.arg == "file" for word in node.keywords)


def _writes_to_standard_stream(call: ast.Call) -> bool:
    is_write = isinstance(call.func, ast.Attribute) and call.func.attr == "write"
    first = call.args[0] if call.args else None
    return is_write and isinstance(first, ast.Constant) and first.value in (1, 2)


def starts_a_program_that_prints(tree: ast.AST) -> Iterator[int]:
    """Yield the lines that start a program whose output goes where ours goes."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner = node.func.value
        if isinstance(owner, ast.Name) and (owner.id, node.func.attr) == ("os", "system"):
            yield node.lineno
        if isinstance(owner, ast.Name) and owner.id == "subprocess":
            given = {keyword.arg for keyword in node.keywords}
            if node.func.attr in {"run", "Popen", "call", "check_call"} and not (
                "capture_output" in given or {"stdout", "stderr"} <= given
            ):
                yield node.lineno


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_module_prints(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path not in PRINTERS:
        assert list(printing(tree)) == []
    assert list(starts_a_program_that_prints(tree)) == []


@pytest.mark.parametrize(
    "code",
    [
        "print(1)",
        "import sys; print(1, file=sys.stderr)",
        "import sys; sys.stderr.write('x')",
        "from sys import stdout",
        "from rich.console import Console",
        "from rich import print as shown",
        "import logging",
        "import os; os.write(2, b'x')",
        "import typer; typer.echo('x')",
    ],
)
def test_what_prints_is_found(code: str) -> None:
    assert list(printing(ast.parse(code)))


def test_a_program_that_inherits_the_terminal_is_found() -> None:
    code = "import subprocess\nsubprocess.run(['ls'], stdout=subprocess.PIPE)"
    assert list(starts_a_program_that_prints(ast.parse(code))) == [2]


@pytest.mark.parametrize(
    "code",
    [
        "print('\\x1b[31mred')",
        "import sys; sys.stderr.write('\\x9b31m')",
        "import warnings; warnings.warn('\\x1b]0;t\\x07')",
        "import logging; logging.warning('\\x1b[2J')",
        "raise ValueError('\\x1b[31mred')",
    ],
    ids=["print", "stderr", "warning", "log", "traceback"],
)
def test_what_libraries_and_python_print_is_escaped_too(code: str) -> None:
    command = f"from edgemoe_appliance.app.console import open_streams; open_streams()\n{code}"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=False)
    shown = (done.stdout + done.stderr).decode()
    assert "\\x" in shown
    assert shown.replace("\n", "").isprintable(), repr(shown)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_programs_without_a_terminal_escape_too(
    capfd: pytest.CaptureFixture[str], text: str
) -> None:
    streams.print_line(text)
    assert streams.print_error(HostError(text)) == 3
    out, err = capfd.readouterr()
    assert (out.count("\n"), err.count("\n")) == (1, 1)
    assert (out + err).replace("\n", "").isprintable()


def test_closed_streams_are_not_taken_by_the_next_file(tmp_path: Path) -> None:
    command = (
        "from edgemoe_appliance.app.console import open_streams, say; open_streams()\n"
        f"file = open({str(tmp_path / 'kept')!r}, 'w')\n"
        "say('a message'); print('another'); file.write('whole'); file.close()"
    )
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" >&- 2>&- <&-', sys.executable, command],
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0
    assert (tmp_path / "kept").read_text() == "whole"


@pytest.mark.parametrize(("columns", "width"), [("0", 80), ("7", 80), ("20", 20), ("120", 120)])
def test_a_terminal_that_says_it_has_no_width_is_written_to_like_any(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    terminal = console._Terminal(file=io.StringIO())
    assert terminal.width == width
    terminal.print(table_of("found"))
    assert "found" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_a_board_keeps_its_name_on_a_screen_of_80_columns() -> None:
    screen = console.BoardsScreen({"this-machine": 2}, is_quiet=True)
    screen.line("this-machine", "this-machine-2", f"verify: {'a/long/path/' * 20}")
    out = io.StringIO()
    Console(width=80, file=out).print(screen.table())
    (row,) = [line for line in out.getvalue().splitlines() if "verify" in line]
    assert row.startswith("this-machine  0 of 2 ")
    assert "this-machine-2  verify: a/long/path/a/" in row
    assert row.endswith("\N{HORIZONTAL ELLIPSIS}")
