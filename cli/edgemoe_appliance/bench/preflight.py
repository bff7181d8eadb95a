"""Whether the host is fit for a bench, asked before anything is built or measured."""

from __future__ import annotations

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.prepare import (
    BenchRequest,
    check_computed,
    expected_model_bytes,
    wanted_models,
)
from edgemoe_appliance.bench.trial import check_engines
from edgemoe_appliance.doctor import DockerCheck, check_target
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.studies import Study


def check_host(
    study: Study, request: BenchRequest, folders: Folders, docker: DockerCheck | None
) -> tuple[Finding, ...]:
    """Return the findings of the host checks. Raises ConfigError for an unknown target."""
    target = study.configs.target(request.target)
    folders.models.mkdir(parents=True, exist_ok=True)
    checks = (
        *check_target(
            target,
            folder=folders.models,
            model_bytes=expected_model_bytes(
                study.configs, wanted_models(study, request), request.twins, folders.models
            ),
            docker=docker,
        ),
        *check_computed(study, request),
        *(() if docker else check_engines(study.configs, target, folders)),
    )
    return tuple(checks)


def require_fit(target_id: str, findings: tuple[Finding, ...]) -> None:
    """Raise HostError where a check has failed."""
    failed = [finding.check for finding in findings if finding.level is Level.FAIL]
    if failed:
        raise HostError(
            f"this host fails: {', '.join(failed)}",
            hint=f"edgemoe-appliance doctor --target {target_id} says more; "
            "--force measures anyway",
        )
