"""What a kit holds and what it says of itself: names and types, shared by home and machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.base import CountFromOne, Frozen
from edgemoe_appliance.schema.configs import EngineSource, Identifier, Sha256
from edgemoe_appliance.schema.plan import ApplianceIdentity
from edgemoe_appliance.schema.units import MB

KIT_NAME: Final = "kit.json"
SUMS_NAME: Final = "SHA256SUMS"
RUN_NAME: Final = "run.sh"
WHEELS: Final = "wheels"
SOURCES: Final = "sources"
# Two lists of wheels: what the visit itself needs is there after a second, so that it can say what
# it will do while the large ones are still being unpacked.
FIRST_LOCK: Final = "first.lock"
REST_LOCK: Final = "rest.lock"
REST: Final = ("cmake", "gguf", "ninja", "numpy")
MOST_KIT_BYTES: Final = 60 * MB

PythonVersion = Annotated[str, Field(pattern=r"^3\.\d{1,2}$")]
Architecture = Literal["x86_64", "aarch64"]


class CarriedPin(Frozen):
    """A pin whose source travels; `tree_sha256` is the digest of its whole, verified tree."""

    pin: Identifier
    source: EngineSource
    tree_sha256: Sha256
    build_number: CountFromOne | None = None


class KitFacts(Frozen):
    """kit.json. The first pin is measured, the second, where there is one, compared with it."""

    schema_version: Literal[1] = 1
    study: Identifier
    target: Identifier
    python: PythonVersion
    architecture: Architecture
    appliance: ApplianceIdentity
    pins: tuple[CarriedPin, ...] = Field(min_length=1, max_length=2)


def read_kit(folder: Path) -> KitFacts:
    """Read kit.json of an unpacked kit. Raises RecordError where it is missing or foreign."""
    path = folder / KIT_NAME
    try:
        return KitFacts.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"no kit ({error.strerror})", where=str(path)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "kit"
        raise RecordError(f"{key}: {first['msg']}", where=str(path)) from error
