"""A real engine, its probe and a twin, for benchmarks that watch single runs."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.prepare import thread_count
from edgemoe_appliance.bench.runtime import EngineRequest, NativeRuntime
from edgemoe_appliance.engine.argv import build_argv, scrubbed_environment
from edgemoe_appliance.engine.probe import (
    ProbeMode,
    ProbeReport,
    parse_probe_report,
    probe_environment,
)
from edgemoe_appliance.engine.probe_build import read_probe
from edgemoe_appliance.engine.stream import EngineResult, OnEvent, run_engine
from edgemoe_appliance.measure.session import write_prompts
from edgemoe_appliance.models.store import planned_model, read_model_file
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Configs, read_configs
from edgemoe_appliance.schema.plan import EngineBuild, Plan, PlannedModel
from edgemoe_appliance.schema.resources import resource_folder
from tests.bench.plans import small_plan

_TIMEOUT_S = 3600.0


class SpokenSteps:
    """Says what is being prepared, a line each."""

    def step(self, title: str) -> _Silent:
        """Say what begins."""
        print(title, flush=True)
        return _Silent()

    def note(self, text: str) -> None:
        """Say something."""
        print(text, flush=True)


class _Silent:
    def __enter__(self) -> _Silent:
        return self

    def __call__(self, share: float) -> None:
        """Take a share done and show nothing."""

    def __exit__(self, *_: object) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """An engine process that ended well, and its probe's report."""

    result: EngineResult
    report: ProbeReport


@dataclass(frozen=True, kw_only=True)
class Rig:
    """What single runs need; `scratch` is removed at the end, the twin with it."""

    configs: Configs
    build: EngineBuild
    model: PlannedModel
    threads: int
    scratch: Path

    def plan(self, **changes: object) -> Plan:
        """Return a plan of runs of the twin; `changes` are keys of its experiment."""
        models = {self.model.id: self.model}
        keys = {"threads": [self.threads], "ignore_eos": True, "prompt_scale": 1.0, **changes}
        return small_plan(self.configs, self.build, models, session="bench", **keys)

    def run(
        self, mode: ProbeMode, on_event: OnEvent = lambda _event: None, **changes: object
    ) -> Ran:
        """Make one run with the probe loaded in a mode. Raises RuntimeError where it fails."""
        plan = self.plan(**changes)
        (spec,) = plan.runs
        write_prompts(plan, self.scratch)
        argv = build_argv(
            spec,
            engine=self.build,
            model=self.model,
            target=plan.target,
            prompt_file=self.scratch / f"{plan.prompt_of(spec).sha256}.txt",
        )
        out = self.scratch / "probe.jsonl"
        out.unlink(missing_ok=True)
        assert self.build.probe is not None
        extra = probe_environment(read_probe(Path(self.build.probe.path).parent), mode, out)
        environment = scrubbed_environment(os.environ, extra_env=extra)[0]
        result = run_engine(argv, environment, timeout_s=_TIMEOUT_S, on_event=on_event)
        if result.exit_code != 0:
            raise RuntimeError(f"the engine ended with {result.exit_code}: {result.stderr_text}")
        return Ran(result=result, report=parse_probe_report(out.read_bytes(), str(out)))


def add_options(parser: argparse.ArgumentParser, *, model: str, scale: TwinScale) -> None:
    """Add the options that choose a twin."""
    parser.add_argument("--model", default=model)
    parser.add_argument("--scale", type=TwinScale, choices=tuple(TwinScale), default=scale)
    parser.add_argument("--threads", type=int, help="default: those of the target host")


@contextmanager
def open_rig(options: argparse.Namespace) -> Iterator[Rig]:
    """Build or find the engine and its probe, and write the twin that the options name.

    It lies below EDGEMOE_WORK where that is set, else in a temporary folder; a full one takes
    4 GB there.
    """
    configs = read_configs(resource_folder("configs"))
    wanted = EngineRequest(target_id="host", pins=[configs.engines.fallback], is_probed=True)
    supply = NativeRuntime(default_folders()).supply(configs, wanted, SpokenSteps())
    where = os.environ.get("EDGEMOE_WORK")
    if where:
        Path(where).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=where) as scratch:
        entry = configs.model(options.model)
        print(f"{options.scale.value} twin of {options.model}", flush=True)
        path = write_twin(entry, options.model, options.scale, Path(scratch)).path
        yield Rig(
            configs=configs,
            build=next(iter(supply.engines.values())),
            model=planned_model(options.model, entry, read_model_file(path)),
            threads=options.threads or thread_count(configs.target("host")),
            scratch=Path(scratch),
        )
