"""The tables of a report, each with the reader's figures and the study's.

Those of rows per model are declared in the study's tables.yaml and built by one engine
(`model_tables`); those of the setup, of routing and of single runs have a module each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edgemoe_appliance.analysis.row_limits import limit_groups
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.analysis.tables.frontier import build_frontier_table
from edgemoe_appliance.analysis.tables.model_tables import build_model_table
from edgemoe_appliance.analysis.tables.printed_figures import stated_table
from edgemoe_appliance.analysis.tables.routing import routing_table
from edgemoe_appliance.analysis.tables.runs import caveats_table, failures_table, runs_table
from edgemoe_appliance.analysis.tables.setup import (
    experiments_table,
    hardware_table,
    models_table,
    procedure_table,
    prompts_table,
)
from edgemoe_appliance.studies import Study

# Rows that are bounded when they are chosen.
_BOUNDED = ("runs", "failures")


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All tables of a report by id; `sections` names the declared ones of each section.

    Without sessions they hold the study's figures alone.
    """

    by_id: Mapping[str, Table]
    sections: Mapping[str, tuple[str, ...]]

    def __getitem__(self, name: str) -> Table:
        """Return a table. Raises KeyError where there is none of the name."""
        return self.by_id[name]

    def __iter__(self) -> Iterator[Table]:
        """Yield all tables."""
        return iter(self.by_id.values())

    def of_section(self, section: str) -> tuple[Table, ...]:
        """Return the declared tables of a section, in their order."""
        return tuple(self.by_id[name] for name in self.sections.get(section, ()))

    def limited(self) -> Tables:
        """Return the tables with as many groups of rows as a page shows."""
        kept = {
            name: table if name in _BOUNDED else limit_groups(table)
            for name, table in self.by_id.items()
        }
        return replace(self, by_id=kept)


def build_tables(loaded: LoadedSessions | None, study: Study) -> Tables:
    """Return all tables for sessions, or for the study alone."""
    sections: dict[str, list[str]] = {}
    for name, spec in study.table_specs.items():
        sections.setdefault(spec.section, []).append(name)
    for name, frontier in study.frontier_specs.items():
        sections.setdefault(frontier.section, []).append(name)
    declared = {
        name: build_model_table(name, spec, loaded, study)
        for name, spec in study.table_specs.items()
    }
    tables = [
        hardware_table(loaded, study),
        models_table(loaded, study),
        procedure_table(loaded, study),
        experiments_table(loaded, study),
        prompts_table(loaded, study),
        *declared.values(),
        *(
            build_frontier_table(name, spec, declared)
            for name, spec in study.frontier_specs.items()
        ),
        routing_table(loaded, study),
        stated_table(study),
        caveats_table(loaded),
        failures_table(loaded),
        runs_table(loaded),
    ]
    return Tables(
        by_id={table.id: table for table in tables},
        sections={section: tuple(names) for section, names in sections.items()},
    )
