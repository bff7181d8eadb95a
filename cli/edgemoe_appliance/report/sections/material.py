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
        return (
            "The model files of these sessions hold random weights in the tensor shapes of the "
            f"real models (scale {self.twin_scales}). Rates and sizes are those of such files, not "
            "of the models they are named after. Ratios between them can be read; the generated "
            "text means nothing."
        )
