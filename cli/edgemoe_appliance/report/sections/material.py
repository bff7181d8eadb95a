"""What sections are made of: what was loaded, computed, drawn and judged."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.tables import Tables
from edgemoe_appliance.analysis.threats import twin_scales
from edgemoe_appliance.report.figures import FigureSet
from edgemoe_appliance.report.judgement import Judgement
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class Material:
    """What sections are made of; `loaded` is None in a report without sessions.

    `tables` are as the page shows them, `full_tables` have every group of rows.
    """

    loaded: LoadedSessions | None
    study: Study
    tables: Tables
    full_tables: Tables
    figures: tuple[FigureSet, ...]
    judgement: Judgement

    @property
    def twin_scales(self) -> str:
        """Return the scales of the twins that were run, nothing where there were none."""
        return ", ".join(twin_scales(self.loaded)) if self.loaded else ""

    @property
    def twin_text(self) -> str:
        """Return what is to be said of twins, nothing where there are none."""
        if not self.twin_scales:
            return ""
        worth = (
            "Rates, memory and energy are nearly those of the models, and bear directions; the "
            "generated text and the choice of experts mean nothing."
            if self.twin_scales == "full"
            else "They show that every step works and bear no verdict on the models: whole ones, "
            "written without a download by --twins full, bear directions."
        )
        return (
            "The model files of these sessions hold random weights in the tensor shapes of the "
            f"real models (scale {self.twin_scales}). {worth}"
        )
