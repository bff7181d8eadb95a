"""What many tests share: a real llama.cpp, built once by the appliance itself, and tiny twins."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.bench.paths import default_folders
from edgemoe_appliance.engine.build import build_engine
from edgemoe_appliance.engine.source import prepare_source
from edgemoe_appliance.models.store import planned_model, read_model_file
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Configs, read_configs
from edgemoe_appliance.schema.plan import EngineBuild, PlannedModel
from edgemoe_appliance.schema.resources import resource_folder
from tests.needs import lacking_line

# What a shell without job control runs in the background ignores interrupts, and so would every
# program that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What nohup runs ignores hang-ups.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Rooms whose tests share what takes long to prepare: one worker runs all of them.
_WHOLE_ROOMS = re.compile(r"tests/(archive|models)/")
# Tests in containers that use one image, or one name on the engine.
_OF_ONE_IMAGE = {
    f"tests/container/test_{name}.py": f"containers of the {image}"
    for image, names in {
        "measurement image": ("board", "demo", "measuring", "packages", "ssh"),
        "small recipe": ("image", "registry"),
        "scripts": ("containers", "hostile", "offline"),
    }.items()
    for name in names
}
# What takes longest begins first, so that in the end no worker waits for another.
_LONGEST = (
    "tests/container/test_measuring.py",
    "tests/container/test_dockerfiles.py",
    "tests/hostile/test_fuzz.py",
    "tests/archive/",
    "tests/kit/test_visit.py",
    "tests/measure/power/test_outside.py",
    "tests/app/",
    "tests/hostile/",
    "tests/fleet/",
    "tests/report/",
    "tests/evaluation/",
    "tests/bench/",
)
_MOST_WORKERS = 4


def pytest_report_header(config: pytest.Config) -> str:
    """Say at the start what this machine lacks, and which tests will be skipped for it."""
    selected = str(config.getoption("markexpr"))
    return lacking_line(re.findall(r"not (\w+)", selected))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first; files stay whole and in their order."""

    def rank(item: pytest.Item) -> int:
        return next((n for n, name in enumerate(_LONGEST) if item.nodeid.startswith(name)), 99)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run one more than there are cores: many tests wait. Many more would want for memory."""
    return min((os.cpu_count() or 1) + 1, _MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole files, or whole rooms, so that nothing is prepared twice."""
    from xdist.scheduler import (  # type: ignore[import-untyped]  # noqa: PLC0415
        LoadScopeScheduling,
    )

    def scope_of(nodeid: str) -> str:
        room = _WHOLE_ROOMS.match(nodeid)
        file = nodeid.split("::", 1)[0]
        return room[0] if room else _OF_ONE_IMAGE.get(file, file)

    # In the order of the collection; xdist would begin with what has the most tests.
    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = scope_of
    return scheduler


@dataclass(frozen=True, kw_only=True)
class RealEngine:
    """The embedded default pin, built for this host, and its source."""

    build: EngineBuild
    source: Path

    @property
    def llama_cli(self) -> Path:
        return Path(self.build.binary)


@pytest.fixture(scope="session")
def configs() -> Configs:
    return read_configs(resource_folder("configs"))


@pytest.fixture(scope="session")
def engine(configs: Configs) -> RealEngine:
    """Build llama.cpp, or take the build of an earlier run out of the cache folder."""
    cache = default_folders().cache
    name = configs.engines.fallback
    source = prepare_source(name, configs.pin(name), cache, why="the tests ask for it")
    build = build_engine(source, cache, cmake=configs.target("host").cmake)
    return RealEngine(build=build, source=source.folder)


@pytest.fixture(scope="session")
def llama_cli(engine: RealEngine) -> Path:
    return engine.llama_cli


@pytest.fixture(scope="session")
def tiny_models(
    configs: Configs, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, PlannedModel]:
    """Write the four tiny twins, a few MB each."""
    folder = tmp_path_factory.mktemp("twins")
    models: dict[str, PlannedModel] = {}
    for name, entry in configs.models.models.items():
        # None of which a twin can be written, or that stands for files of fewer bits.
        if entry.shape is None or entry.quantised or name in configs.models.quantised:
            continue
        path = write_twin(entry, name, TwinScale.TINY, folder).path
        models[name] = planned_model(name, entry, read_model_file(path))
    return models
