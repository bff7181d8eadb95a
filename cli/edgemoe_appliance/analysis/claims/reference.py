"""What evidence is held against: the study's figures and digits, the configuration, the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.analysis.claims.config import CLAIMS_FILE, ClaimsConfig, read_claims
from edgemoe_appliance.analysis.claims.printed import PrintedFigures, read_printed
from edgemoe_appliance.schema.configs import Configs, ModelRole, read_configs
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies.reference import Study, read_study


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The study with its digits, the configuration with its models and devices, the tests."""

    study: Study
    printed: PrintedFigures
    configs: Configs
    tests: ClaimsConfig

    @property
    def moe(self) -> str:
        """Return the id of the study's Mixture-of-Experts model."""
        models = self.study.models.items()
        return next(name for name, model in models if model.role is ModelRole.MOE)

    @property
    def moe_layers(self) -> int:
        """Return the layers of that model."""
        return self.configs.model(self.moe).shape_of(self.moe).block_count

    def is_moe(self, model: str) -> bool:
        """Return whether a model is a Mixture-of-Experts by the study's roles."""
        known = self.study.models.get(model)
        return known is not None and known.role is ModelRole.MOE

    def model_name(self, model: str | None) -> str:
        """Return the name of a model as the study's tables shorten it."""
        known = self.study.models.get(model or "")
        return known.name.removesuffix("-Instruct").removesuffix("-0924") if known else str(model)


def read_reference(study_path: Path | None = None, configs: Path | None = None) -> Reference:
    """Read everything; the appliance's own files unless others are named.

    Raises ConfigError with file, line and key.
    """
    folder = configs or resource_folder("configs")
    study, printed = read_study(study_path), read_printed(study_path)
    tests = read_claims(folder, study)
    for said in (*(e.said for e in tests.recomputed), *(e.said for e in tests.units)):
        if not any(printed.matching(said)):
            printed.check(said, str(folder / CLAIMS_FILE))
    return Reference(study=study, printed=printed, configs=read_configs(folder), tests=tests)
