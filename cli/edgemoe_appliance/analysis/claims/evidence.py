"""Evidence: where numbers come from, printed or measured, behind one interface.

A place is one condition that numbers may be read in together: a device of the study as printed,
or a condition of the reader's runs. Whether it is the hardware of the study is part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, Protocol

from edgemoe_appliance.analysis.claims.estimates import Estimate
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.analysis.table_model import Source
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyDeviceId
from edgemoe_appliance.studies.quantities import Term


class Scope(str, Enum):
    """How far a verdict reaches."""

    FULL = "full"
    DIRECTION = "direction"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class Place:
    """One condition. `device` is the study's device that its hardware is, None for another.

    `shortfalls` say where the study's conditions were not met, so that only directions can be
    read from it, even for that device; `cautions` are to be told with every verdict that rests on
    it. `has_twins` says whether any model was a twin, `twin_scale` is the smallest of reduced
    ones that ran there, `prompt_scale` the share of the prompts' words that was sent,
    `software_device` the driver that stood in for the target's device, `pretended_meter` the
    program that stood in for a meter, None for real ones. Places of a table come closest to the
    study first.
    """

    id: str
    label: str
    table: Feeds
    device: StudyDeviceId | None
    shortfalls: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    twin_scale: Literal["tiny", "thin"] | None = None
    has_twins: bool = False
    prompt_scale: float = 1.0
    software_device: str | None = None
    pretended_meter: str | None = None

    @property
    def is_reduced(self) -> bool:
        """Return whether reduced twins ran in place of the models."""
        return self.twin_scale is not None


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why figures may not mean what is said of them: one cause may touch many.

    A hypothesis is a reading that is put to the test on the figures, and is none of them.
    """

    id: str
    title: str
    is_hypothesis: bool = False


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A number that is said to follow from others, and what follows from them.

    `said_text` is the number as it stands there. `how` says in words how `again` was worked out,
    `parts` are the numbers by name. Where units are in question `again` is in like units and
    `numerals` is what comes out without them. `cause` is why the two may differ, where that is
    known; `other_reading` says how both can be right, so that a difference decides nothing.
    """

    id: str
    subject: str
    where: str
    said: Estimate
    said_text: str
    again: Estimate | Absent
    unit: str
    how: str
    parts: tuple[tuple[str, float], ...] = ()
    numerals: Estimate | Absent | None = None
    cause: Cause | None = None
    other_reading: str = ""


class Evidence(Protocol):
    """Numbers by place and term."""

    @property
    def source(self) -> Source:
        """Return whose numbers these are."""

    @property
    def study(self) -> Study:
        """Return what the numbers are held against."""

    def places(self, table: Feeds) -> Sequence[Place]:
        """Return the places with runs for a table, closest to the study first."""

    def models(self, place: Place) -> Sequence[str]:
        """Return the models of a place, in the order of the study."""

    def read(self, place: Place, term: Term) -> Estimate | Absent:
        """Return a number that is not derived, or why there is none."""

    def ratio(self, place: Place, top: Term, bottom: Term) -> Estimate | Absent:
        """Return a ratio of two such numbers; what prompts do to both cancels where it can."""

    def sensor_share(self, place: Place, term: Term) -> float:
        """Return how far the sensor leaves a number open, in all runs alike, as a share of it.

        With 90 %, as intervals are; 0 where no sensor is in it or none told.
        """

    def statements(self) -> Sequence[Statement]:
        """Return the numbers that are said to follow from others."""
