"""Studies: what one paper printed and claims, as data, read from a folder by one reader.

In comes a folder (configs/studies/NAME/ or the user's own), out comes one frozen `Study`, which
plans, analysis, claims, audits, report and archive are given. No name of a paper, of a model, of
a device or of a table of it stands in code.

>>> study = read_study()
>>> study.models[study.baseline].name, study.claims["c1"].section
('Llama-3.2-1B-Instruct', '4.1')
"""

from __future__ import annotations

from edgemoe_appliance.studies.study import (
    Study,
    find_study,
    read_planned_study,
    read_study,
    read_study_identity,
)

__all__ = ["Study", "find_study", "read_planned_study", "read_study", "read_study_identity"]
