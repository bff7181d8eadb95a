"""Session folders are opened through `schema.sessionfolder` alone, read from the code itself.

The rule. An expression is *of a session* where it holds

- a name that a file of a session has (the constants of `schema.journal`, or their text),
- in a module that imports `schema.journal` or `schema.sessionfolder`: anything called `folder`,
  `session_folder` or `host_folder`, or an attribute of that name, with or without `_` before it,
- or a variable or attribute that the same module sets to such an expression.

No such expression may be opened, listed, looked at or changed: neither as what a method of `Path`
is called on, nor as an argument of `open`, of a function of `os` or `shutil` that takes a path, or
of our own functions that do. `SessionFolder` and what is built on it may be given it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from edgemoe_appliance.schema import journal
from tests.test_architecture import KNOWN, NAME

DOOR = {f"{NAME}.schema.sessionfolder", f"{NAME}.schema.files"}
HANDLES_SESSIONS = {f"{NAME}.schema.journal", f"{NAME}.schema.sessionfolder"}
CONSTANTS = {name for name in vars(journal) if name.endswith("_NAME") or name == "SAMPLES_FOLDER"}
TEXTS = {getattr(journal, name) for name in CONSTANTS} - {"samples"}
FOLDERS = {"folder", "session_folder", "host_folder"}
# Functions in which `folder` is one that this program makes for itself: of a visit that it makes
# as the same user, of a parcel or an image that it unpacks under names of its own, or of a build.
OWN_FOLDERS = {
    "container.export": {"unpack_saved", "_add"},
    "kit.parcel": {"measured_bytes", "_visit_files", "_settle", "_keep_visit"},
    "kit.visit": {"_unpack_rest", "unpack"},
    "kit.workplace": {"open_visit", "pack", "_keep_log"},
}
METHODS = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "touch", "unlink", "mkdir"),
    *("exists", "is_file", "is_dir", "is_symlink", "is_fifo", "stat", "lstat", "owner", "samefile"),
    *("iterdir", "glob", "rglob", "walk", "rename", "replace", "rmdir", "chmod", "readlink"),
    *("symlink_to", "hardlink_to"),
}
FUNCTIONS = {"open", "write_atomically", "open_atomically", "sync_folder", "file_sha256"}
OF_SYSTEM = {
    *("open", "stat", "lstat", "listdir", "scandir", "walk", "mkdir", "makedirs", "unlink"),
    *("remove", "rename", "replace", "rmdir", "chmod", "chown", "link", "symlink", "readlink"),
    *("rmtree", "copy", "copy2", "copyfile", "copytree", "move", "disk_usage", "truncate"),
    *("exists", "isfile", "isdir", "getsize"),
}


def breaches(source: str) -> Iterator[tuple[str, int]]:
    """Yield the functions and lines of a module that go round the door."""
    tree = ast.parse(source)
    marks = _Marks(tree)
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and any(map(marks.is_of_session, _touched(node))):
                yield function.name, node.lineno


def _touched(call: ast.Call) -> list[ast.expr]:
    """Return the paths that a call looks up, where it is one that does."""
    made = call.func
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if isinstance(made, ast.Name):
        return given if made.id in FUNCTIONS else []
    if not isinstance(made, ast.Attribute):
        return []
    if isinstance(made.value, ast.Name) and made.value.id in ("os", "shutil"):
        return given if made.attr in OF_SYSTEM else []
    return [made.value] if made.attr in METHODS else []


class _Marks:
    """The names of a module that stand for something of a session."""

    def __init__(self, tree: ast.Module) -> None:
        imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        self._names = set(FOLDERS) if imported & HANDLES_SESSIONS else set()
        known = -1
        while known != len(self._names):
            known = len(self._names)
            for node in ast.walk(tree):
                self._follow(node)

    def _follow(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign) and self.is_of_session(node.value):
            self._names |= {n for target in node.targets for n in _named(target)}
        if isinstance(node, ast.For) and self.is_of_session(node.iter):
            self._names |= _named(node.target)

    def is_of_session(self, expression: ast.expr) -> bool:
        """Return whether an expression is built of something of a session.

        What a call returns is its own: `SessionFolder(folder)` is no path any more.
        """
        if isinstance(expression, ast.Call) and not _makes_path(expression):
            return False
        if isinstance(expression, ast.Name):
            return expression.id in CONSTANTS or expression.id.lstrip("_") in self._names
        if isinstance(expression, ast.Attribute):
            named = expression.attr.lstrip("_") in self._names
            return named or self.is_of_session(expression.value)
        if isinstance(expression, ast.Constant):
            return isinstance(expression.value, str) and expression.value in TEXTS
        children = [c for c in ast.iter_child_nodes(expression) if isinstance(c, ast.expr)]
        return any(map(self.is_of_session, children))


def _named(target: ast.expr) -> set[str]:
    names = {n.id for n in ast.walk(target) if isinstance(n, ast.Name)} - {"self"}
    names |= {n.attr for n in ast.walk(target) if isinstance(n, ast.Attribute)}
    return {name.lstrip("_") for name in names}


def _makes_path(call: ast.Call) -> bool:
    """Return whether a call gives a path again: `Path(...)`, `str(...)`, `path.absolute()`."""
    kept = {"Path", "str", "host_folder", "absolute", "resolve", "joinpath", "with_name"}
    made = call.func
    named = made.id if isinstance(made, ast.Name) else getattr(made, "attr", "")
    return named in {*kept, "with_suffix"}


HEAD = f"from {NAME}.schema.journal import JOURNAL_NAME, PLAN_NAME\n"
ROUND = (
    "def f(folder): return (folder / PLAN_NAME).read_bytes()",
    "def f(folder): return open(folder / PLAN_NAME)",
    "def f(folder):\n    path = folder / JOURNAL_NAME\n    return path.exists()",
    "class A:\n    def __init__(self, folder): self._path = folder / JOURNAL_NAME\n"
    "    def f(self): return self._path.open('rb')",
    "def f(folder): return list(folder.iterdir())",
    "def f(folder): return [p.stat() for p in ()] or os.listdir(folder)",
    "def f(folder): return os.open(str(folder / 'x'), 0)",
    "def f(folder): shutil.rmtree(folder)",
    "def f(self): return self._folder.rglob('*')",
    "def f(folder): return host_folder(folder).mkdir()",
    "def f(root): return (root / 'runs.jsonl').read_text()",
    "def f(folder): return file_sha256(folder.absolute() / PLAN_NAME)",
    "def f(folder):\n    for name in (PLAN_NAME, JOURNAL_NAME):\n        (folder / name).unlink()",
)
THROUGH = (
    "def f(folder):\n    with SessionFolder(folder) as s:\n        return s.read_bytes(PLAN_NAME)",
    "def f(folder): return iterate_journal(folder / JOURNAL_NAME)",
    "def f(folder):\n    plan = read_plan(folder / PLAN_NAME)\n    return Path(plan.path).stat()",
    "def f(cache): return (cache / 'builds').exists()",
    "def f(folder): return folder.resolve(), folder.name, folder.parent",
)


@pytest.mark.parametrize("code", ROUND)
def test_a_way_round_is_seen(code: str) -> None:
    assert list(breaches(HEAD + code))


@pytest.mark.parametrize("code", THROUGH)
def test_the_way_through_is_open(code: str) -> None:
    assert not list(breaches(HEAD + code))


@pytest.mark.parametrize("module", KNOWN, ids=lambda module: module.removeprefix(NAME + "."))
def test_no_module_goes_round_the_door(module: str) -> None:
    if module in DOOR:
        return
    path, allowed = KNOWN[module], OWN_FOLDERS.get(module.removeprefix(f"{NAME}."), set())
    found = list(breaches(path.read_text(encoding="utf-8")))
    assert [f"{path}:{line}" for function, line in found if function not in allowed] == []
    assert allowed <= {function for function, _ in found}, "an exception that is none any more"
