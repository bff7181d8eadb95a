"""Compares native with container runs of one twin: `python -m tests.bench.native_vs_container`.

The same flags, the same twin, the same `measure`; runs alternate in pairs, and each pair gives one
ratio. Prints the median ratio of generation rates and of peak anonymous memory, each with the
95 % interval of a median. Needs a Docker engine; `--base` names a base image it holds.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgemoe_appliance.bench.launcher import Launcher, NativeLauncher
from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.bench.runtime import (
    ContainerRuntime,
    EngineRequest,
    ImageOptions,
    NativeRuntime,
)
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import open_engine
from edgemoe_appliance.models.store import planned_model, read_model_file
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import (
    Configs,
    DevicesConfig,
    read_configs,
    require_container,
)
from edgemoe_appliance.schema.journal import JOURNAL_NAME, JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.records import EndRecord
from edgemoe_appliance.schema.resources import resource_folder
from tests.bench.plans import small_plan
from tests.bench.rig import SpokenSteps

_METRICS = {"gen_tok_s": "generation tokens/s", "peak_rss_anon_bytes": "peak anonymous memory"}
_Z_95 = 1.96


def portable(configs: Configs) -> Configs:
    """Return configs whose host target is built natively with the image's flags."""
    host = configs.target("host")
    flags = {**host.cmake, **require_container("host", host).cmake}
    targets = configs.devices.targets | {"host": host.model_copy(update={"cmake": flags})}
    return configs.model_copy(update={"devices": DevicesConfig(targets=targets)})


def measure_once(plan: Plan, launcher: Launcher, folder: Path) -> EndRecord:
    """Make the only run of a plan and return its record."""
    run_bench(plan, folder, launcher, lambda _progress: None)
    lines = iterate_journal(folder / JOURNAL_NAME)
    (end,) = (
        line.record
        for line in lines
        if isinstance(line, JournalLine) and isinstance(line.record, EndRecord)
    )
    return end


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and its 95 % interval by order statistics (normal approximation)."""
    ordered = sorted(values)
    n = len(ordered)
    reach = _Z_95 * math.sqrt(n) / 2
    low = ordered[max(0, math.floor(n / 2 - reach))]
    high = ordered[min(n - 1, math.ceil(n / 2 + reach))]
    middle = (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
    return middle, low, high


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--model", default="llama-3.2-1b")
    parser.add_argument("--base", help="base image of both stages")
    options = parser.parse_args()
    configs, folders = portable(read_configs(resource_folder("configs"))), default_folders()
    wanted = EngineRequest(target_id="host", pins=[configs.engines.fallback])
    with tempfile.TemporaryDirectory() as scratch, open_engine() as engine:
        path = write_twin(
            configs.model(options.model), options.model, TwinScale.THIN, Path(scratch)
        ).path
        model = planned_model(options.model, configs.model(options.model), read_model_file(path))
        native = NativeRuntime(folders).supply(configs, wanted, SpokenSteps())
        images = ImageOptions(base=options.base, runtime=options.base)
        boxed = ContainerRuntime(engine, folders, images).supply(configs, wanted, SpokenSteps())
        plans = {
            kind: small_plan(
                configs,
                next(iter(supply.engines.values())),
                {options.model: model},
                session=kind,
                n_predict=64,
                ignore_eos=True,
            ).model_copy(update={"runtime": kind, "image": supply.image})
            for kind, supply in (("native", native), ("container", boxed))
        }
        launchers: dict[str, Launcher] = {"native": NativeLauncher(), "container": boxed.launcher}
        ratios: dict[str, list[float]] = {key: [] for key in _METRICS}
        for index in range(options.pairs):
            ends = {}
            # The first of a pair changes each time, so that a drift favours neither.
            for kind in ("native", "container")[:: 1 if index % 2 else -1]:
                folder = Path(scratch) / f"{kind}-{index}"
                ends[kind] = measure_once(plans[kind], launchers[kind], folder)
            for key, values in ratios.items():
                pair = [ends[kind].metrics.get(key) for kind in ("container", "native")]
                if pair[0] is not None and pair[1]:
                    values.append(pair[0] / pair[1])
    print(f"container / native, {options.model} thin twin, one thread, {options.pairs} pairs")
    for key, title in _METRICS.items():
        middle, low, high = median_interval(ratios[key])
        print(f"{title:24s} {middle:.4f}  ({low:.4f} to {high:.4f}), n = {len(ratios[key])}")


if __name__ == "__main__":
    main()
