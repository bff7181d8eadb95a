"""Which appliance made an archive, and what the archive says of itself."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

from pydantic import Field, ValidationError

from edgemoe_appliance.archive.wheel import code_digest, read_code
from edgemoe_appliance.schema.base import CountFromOne, Frozen
from edgemoe_appliance.schema.configs import Identifier, Sha256
from edgemoe_appliance.schema.plan import ApplianceIdentity, StudyIdentity
from edgemoe_appliance.schema.versions import as_record_error, upgrade_about, upgraded_json

ABOUT_SCHEMA: Final = 2
# Their versions decide how figures are drawn and sums are rounded.
_DRAWING: Final = ("numpy", "pandas", "duckdb", "jinja2", "reportlab", "pypdfium2", "pillow")


class Maker(Frozen):
    """An appliance at work: two of equal `code_sha256` and libraries render the same bytes."""

    appliance: ApplianceIdentity
    code_sha256: Sha256
    python: str
    machine: str
    libraries: dict[str, str]

    @property
    def label(self) -> str:
        """Return a short name: `edgemoe-appliance 0.1.0, code 0123456789ab`."""
        return f"edgemoe-appliance {self.appliance.version}, code {self.code_sha256[:12]}"

    def draws_like(self, other: Maker) -> bool:
        """Return whether pictures of both can be compared byte for byte."""
        return (self.libraries, self.machine) == (other.libraries, other.machine)

    def difference(self, other: Maker) -> str:
        """Return in what two makers differ that can change what they render; empty for nothing."""
        parts = [] if self.code_sha256 == other.code_sha256 else [f"{self.label} / {other.label}"]
        parts += [
            f"{name} {self.libraries.get(name, 'unknown')} / {other.libraries.get(name, 'unknown')}"
            for name in sorted({*self.libraries, *other.libraries})
            if self.libraries.get(name) != other.libraries.get(name)
        ]
        return "; ".join(parts)


class About(Frozen):
    """about.json: the maker, and the reason for each file that the archive lacks.

    `semantics` says what figures and verdicts mean (`analysis.semantics`), `study` by which study
    they were made; None in archives from before it was kept. `cautions` are what a reader of a file
    should know of it, `left_out` files of the session folder that no record names.
    """

    schema_version: Literal[2] = ABOUT_SCHEMA
    kind: Literal["edgemoe-appliance archive"] = "edgemoe-appliance archive"
    session: Identifier
    maker: Maker
    semantics: CountFromOne
    study: StudyIdentity | None
    absent: dict[str, str] = Field(default_factory=dict)
    cautions: dict[str, str] = Field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def parse_about(content: bytes) -> About:
    """Parse about.json of this or an earlier version.

    Raises RecordError where it is damaged, NewerRecordError where it is newer.
    """
    content = upgraded_json(content, upgrade_about) or content
    try:
        return About.model_validate_json(content)
    except ValidationError as error:
        raise as_record_error(error, content, None, kind="about", newest=ABOUT_SCHEMA) from error


def read_maker(identity: ApplianceIdentity) -> Maker:
    """Return the appliance that runs here."""
    return Maker(
        appliance=identity,
        code_sha256=code_digest(read_code()),
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        libraries={name: _version(name) for name in _DRAWING},
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
