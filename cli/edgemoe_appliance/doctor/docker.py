"""Checks of a Docker engine: does one answer, and can it give a target what it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from edgemoe_appliance.container.client import DockerFacts, open_engine
from edgemoe_appliance.errors import ApplianceError
from edgemoe_appliance.schema.configs import Target
from edgemoe_appliance.schema.findings import Finding, Level

# From this version on the engine needs a kernel option for bridged networks (CONFIG_IP_NF_RAW)
# that the kernel of JetPack 6 lacks.
_NEEDS_RAW_TABLE = 28
_JETSON_KERNEL = re.compile(r"-tegra\b")


def check_docker(target: Target, docker_host: str | None) -> Iterator[Finding]:
    """Ask the engine that would run the target's containers."""
    try:
        with open_engine(docker_host) as engine:
            yield from judge_engine(target, engine.facts, engine.host)
    except ApplianceError as error:
        yield Finding(check="Docker engine", level=Level.FAIL, seen=error.what, hint=error.hint)


def judge_engine(target: Target, facts: DockerFacts, host: str) -> Iterator[Finding]:
    """Judge what an engine says about itself."""
    yield Finding(
        check="Docker engine",
        level=Level.OK,
        seen=f"{facts.version} at {host}, {facts.operating_system}, kernel {facts.kernel}",
    )
    yield from _runtime(target, facts)
    yield from _kernel_trap(facts)
    version = facts.cgroup_version
    yield Finding(
        check="engine cgroup",
        level=Level.UNKNOWN if version is None else Level.OK,
        seen="the engine does not tell" if version is None else f"version {version}",
    )
    if not facts.limits_swap:
        yield Finding(
            check="swap limit",
            level=Level.WARN,
            seen="the kernel does not account swap by container",
            hint="a memory limit holds for memory without swap only",
        )


def _runtime(target: Target, facts: DockerFacts) -> Iterator[Finding]:
    if target.container is None:
        return
    wanted = target.container.runtime
    there = wanted in facts.runtimes
    yield Finding(
        check="container runtime",
        level=Level.OK if there else Level.FAIL,
        seen=f"{wanted} {'is' if there else 'is not'} among {', '.join(facts.runtimes)}",
        hint="" if there else f"install the {wanted} container toolkit and restart the engine",
    )


def _kernel_trap(facts: DockerFacts) -> Iterator[Finding]:
    major = re.match(r"(\d+)\.", facts.version)
    if major and int(major[1]) >= _NEEDS_RAW_TABLE and _JETSON_KERNEL.search(facts.kernel):
        yield Finding(
            check="engine and kernel",
            level=Level.WARN,
            seen=f"engine {facts.version} on {facts.kernel}",
            hint="this kernel has no raw table of iptables, so the engine cannot bridge: build "
            "images with --build-network host (the steps then use the board's own network), or "
            "hold the engine at 27; measuring uses no network and works",
        )
