"""Visits to this machine with tiny twins, for tests and for the check of cuts.

python -m tests.kit.visits KIT OUT WORK MINUTES    a visit of few short runs, as a process
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any
from unittest import mock

from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.tools import ToolResult, run_tool
from edgemoe_appliance.kit.__main__ import main as run_kit
from edgemoe_appliance.kit.carried import pack_source
from edgemoe_appliance.kit.contents import KIT_NAME, SOURCES, KitFacts
from edgemoe_appliance.kit.visit import VisitOutcome, make_visit
from edgemoe_appliance.kit.workplace import VisitRequest
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Experiment, Programme, Rounds, VisitSuite
from edgemoe_appliance.studies.study import Study, read_study
from tests.bench.plans import IDENTITY

# Few and short: what is tested is the visit, not the engine.
SHORT = {
    "models": ["olmoe-1b-7b", "llama-3.2-1b"],
    "prompts": ["qa-tides"],
    "repetitions": 1,
    "n_predict": 4,
    "context": 256,
    "prompt_scale": 0.1,
}


def short_study(rest: tuple[str, ...] = ("arms",)) -> Study:
    """Return the study with a visit of six runs, two of them before the second pin's turn."""
    short = Experiment.model_validate({"title": "Short runs", **SHORT})
    arms = Experiment.model_validate({"title": "Arms", **SHORT, "arms": ["plain", "no-mmap"]})
    engines = Experiment.model_validate({"title": "Engines", **SHORT, "pins": ["b4447", "b5763"]})
    programme = Programme(
        order=(Rounds(experiment="short", rounds=2),), engines="engines", rest=rest
    )
    suite = VisitSuite(longest_run_s=1000, whole=programme, small=programme)
    study = read_study()
    return dataclasses.replace(
        study,
        experiments={"short": short, "arms": arms, "engines": engines},
        suites=study.suites.model_copy(update={"visit": suite}),
    )


def write_small_kit(folder: Path, sources: list[PreparedSource]) -> Path:
    """Write a kit without wheels, for the Python that runs the tests."""
    (folder / SOURCES).mkdir(parents=True)
    facts = KitFacts(
        study=read_study().id,
        target="host",
        python="3.10",
        architecture="x86_64",
        appliance=IDENTITY,
        pins=tuple(pack_source(source, folder / SOURCES) for source in sources),
    )
    (folder / KIT_NAME).write_text(json.dumps(facts.model_dump(mode="json")))
    return folder


def run_in_process(argv: Sequence[str | Path], **options: Any) -> ToolResult:
    """Run the kit's own program without starting Python anew; any other tool as it is."""
    if tuple(argv[:3]) != (sys.executable, "-m", "edgemoe_appliance.kit"):
        return run_tool(argv, **options)
    return ToolResult(exit_code=run_kit(list(map(str, argv[3:]))), timed_out=False, lines=())


def visit(
    kit: Path,
    out: Path,
    work: Path,
    minutes: float = 5.0,
    *,
    study: Study | None = None,
    say: Callable[[str], None] = print,
    interruption: Interruption | None = None,
    run: Callable[..., ToolResult] = run_in_process,
    **changes: Any,
) -> VisitOutcome:
    """Make a visit of short runs in this process, its twins too; `run_tool` starts one for each."""
    request = VisitRequest(kit=kit, out=out, work=work, minutes=minutes, scale=TwinScale.TINY)
    request = dataclasses.replace(request, **changes)
    chosen = study or short_study()
    with (
        mock.patch("edgemoe_appliance.kit.workplace.read_study", lambda *_, **__: chosen),
        mock.patch("edgemoe_appliance.kit.visit.run_tool", run),
    ):
        return make_visit(request, say, interruption or Interruption())


class OnlyTheKit(MetaPathFinder):
    """Refuses to import what neither Python nor the kit's lock brings."""

    def __init__(self) -> None:
        lock = (Path(__file__).resolve().parents[2] / "kit" / "requirements.lock").read_text()
        locked = {name.replace("-", "_") for name in re.findall(r"^([\w-]+)==", lock, re.MULTILINE)}
        self._known = {"edgemoe_appliance", "tests", *sys.stdlib_module_names} | {
            module
            for module, distributions in metadata.packages_distributions().items()
            if any(name.lower().replace("-", "_") in locked for name in distributions)
        }

    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname.partition(".")[0] not in self._known:
            raise ModuleNotFoundError(f"{fullname} is not in the kit", name=fullname)


def main(kit: str, out: str, work: str, minutes: str) -> int:
    sys.meta_path.insert(0, OnlyTheKit())
    with Interruption() as asked:
        paths = (Path(kit), Path(out), Path(work))
        made = visit(*paths, float(minutes), interruption=asked, run=run_tool)
    print("\n".join(made.table), flush=True)
    return made.error.exit_code if made.error else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
