"""The directions of dependency that the design lays down, read from the imports themselves."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import edgemoe_appliance

PACKAGE = Path(edgemoe_appliance.__file__).parent
NAME = "edgemoe_appliance"

# What each room may import, besides itself, `schema` and `errors`.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "schema": set(),
    "studies": set(),
    "engine": set(),
    "models": set(),
    "measure": {"engine"},
    "doctor": {"engine", "container", "measure"},
    "analysis": {"models"},
    "report": {"analysis"},
    "container": {"engine", "models"},
    "archive": {"analysis", "report", "models"},
    "ledger": {"analysis", "archive", "report"},
    "fleet": {"analysis", "archive", "engine", "ledger"},
    "bench": {"engine", "models", "measure", "container", "doctor"},
    "evaluation": {"analysis", "archive", "bench", "doctor", "engine", "models", "report"},
    "notebook": {"analysis", "archive", "bench"},
    "kit": {"archive", "bench", "doctor", "engine", "evaluation", "measure", "models"},
    "app": {
        "engine",
        "models",
        "measure",
        "container",
        "doctor",
        "analysis",
        "report",
        "archive",
        "bench",
        "evaluation",
        "kit",
        "fleet",
        "ledger",
        "notebook",
    },
}
# What a small measuring image does not carry.
HEAVY = (
    "pandas",
    "numpy",
    "duckdb",
    "matplotlib",
    "pypdfium2",
    "reportlab",
    "jinja2",
    "docker",
    "typer",
    "rich",
    "huggingface_hub",
)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join([NAME, *(part for part in parts if part != "__init__")]), path


def imports(path: Path, *, everywhere: bool) -> set[str]:
    """Return the modules of ours that a file imports; `everywhere` counts those in functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(NAME):
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith(NAME)}
    return found


def room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


KNOWN = dict(modules())


@pytest.mark.parametrize("module", KNOWN, ids=lambda module: module.removeprefix(NAME + "."))
def test_rooms_import_downward_only(module: str) -> None:
    own = room(module)
    if not own:
        return
    wanted = {room(name) for name in imports(KNOWN[module], everywhere=True)}
    assert wanted - {"", "__version__", own, "schema", "studies", "errors"} <= ALLOWED[own]


def test_there_are_no_cycles() -> None:
    graph = {name: imports(path, everywhere=True) & set(KNOWN) for name, path in KNOWN.items()}
    # A package's own module only gathers what lies below it.
    packages = {name for name, path in KNOWN.items() if path.name == "__init__.py"}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for target in sorted(graph[name]):
            if not (target in packages and name.startswith(target + ".")):
                visit(target, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("program", ["measure", "kit"])
def test_what_runs_elsewhere_loads_nothing_heavy(program: str) -> None:
    code = (
        f"import sys, edgemoe_appliance.{program}.__main__;"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_importing_the_package_loads_nothing_else() -> None:
    code = f"import sys, {NAME}; print([n for n in sys.modules if n.startswith('{NAME}.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


# What parsing a command line takes, of ours; everything else is loaded by the command that uses it.
PARSING = {
    "app",
    "errors",
    *(f"schema.{name}" for name in ("choices", "resources", "text", "units")),
}
LATE = {*HEAVY, "pydantic", "yaml", "psutil", "asyncio", "ssl"} - {"typer", "rich"}
LOADED = """
import json, sys
from edgemoe_appliance.app import main
sys.argv = ["edgemoe-appliance", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.__stderr__)
"""


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (("--help",), 0),
        (("--version",), 0),
        (("bench", "--help"), 0),
        (("evaluate", "--twins", "huge"), 2),
        (("models", "fetch", "--unknown"), 2),
        (("evaluate", "--sessions", "x"), 2),
        (("evaluate", "--minutes", "0.5"), 2),
        (("bench", "--at-most", "1.5"), 2),
        (("archive",), 2),
        (("nothing",), 2),
    ],
)
def test_a_command_line_is_parsed_without_what_commands_use(
    arguments: tuple[str, ...], exit_code: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, check=False
    )
    loaded = json.loads(done.stderr.splitlines()[-1])
    # The help of a command names the targets and pins there are.
    late = LATE - ({"yaml"} if arguments == ("bench", "--help") else set())
    assert done.returncode == exit_code
    assert {name.split(".")[0] for name in loaded} & late == set()
    ours = {name.removeprefix(f"{NAME}.") for name in loaded if name.startswith(f"{NAME}.")}
    assert {name for name in ours if room(f"{NAME}.{name}") != "app"} <= PARSING | {"schema"}


def public_types(path: Path) -> Iterator[str]:
    """Return the classes and type aliases that a module itself defines, without private ones."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            maker = node.value.func if isinstance(node.value, ast.Call) else None
            if isinstance(maker, ast.Name) and maker.id == "TypeVar":
                names = []
        else:
            continue
        yield from (name for name in names if re.match(r"[A-Z]+[a-z]", name))


def test_no_two_types_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for module, path in KNOWN.items():
        for name in public_types(path):
            places.setdefault(name, []).append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


# A wall clock can be set while a run goes on; a folder without an owner is never cleared.
FORBIDDEN = {
    ("time", "time"): "durations come from the monotonic clock",
    ("time", "time_ns"): "durations come from the monotonic clock",
    ("datetime", "utcnow"): "datetime.now(timezone.utc) says what it is",
    ("tempfile", "TemporaryDirectory"): "schema.files.scratch_folder is cleared after a kill",
}


@pytest.mark.parametrize("module", KNOWN, ids=lambda module: module.removeprefix(NAME + "."))
def test_clocks_and_scratch_folders_are_the_right_ones(module: str) -> None:
    for node in ast.walk(ast.parse(KNOWN[module].read_text(encoding="utf-8"))):
        found = None
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found = FORBIDDEN.get((node.value.id, node.attr))
        elif isinstance(node, ast.ImportFrom):
            found = next(
                (
                    FORBIDDEN[node.module or "", a.name]
                    for a in node.names
                    if (node.module or "", a.name) in FORBIDDEN
                ),
                None,
            )
        assert found is None, f"line {node.lineno}: {found}"  # type: ignore[attr-defined]


def test_the_study_alone_is_judged_without_what_reads_sessions() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "claims"], capture_output=True, check=False
    )
    assert done.returncode == 0
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert not {"numpy", "pandas", "duckdb", "matplotlib"} & set(loaded)
