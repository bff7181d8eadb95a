"""Which checks a target gets, in the order in which they are shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from edgemoe_appliance.doctor import host, jetson
from edgemoe_appliance.study.configs import Target
from edgemoe_appliance.study.findings import Finding


def check_target(
    target: Target, *, folder: Path, model_bytes: tuple[int, ...], root: Path = Path("/")
) -> Iterator[Finding]:
    """Check a host for a target.

    `folder` is where models and builds will lie, `model_bytes` the sizes of the model files.
    """
    yield from host.check_tools()
    yield from host.check_disk(folder, sum(model_bytes))
    yield from host.check_memory(max(model_bytes, default=0))
    yield from host.check_swap(root)
    yield from host.check_governor(root)
    yield from host.check_virtual(root)
    yield from host.check_cgroup(root)
    yield from host.check_environment(os.environ)
    if target.study_device == "jetson":
        yield from jetson.check_jetson(root)
    yield from host.check_other_load()
