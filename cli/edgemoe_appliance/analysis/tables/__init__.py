"""The study's tables in its order, each with the reader's figures and the study's."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from edgemoe_appliance.analysis.conditions import Pool, pools
from edgemoe_appliance.analysis.row_limits import shown_groups
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.table_model import Table
from edgemoe_appliance.analysis.tables.energy import energy_table
from edgemoe_appliance.analysis.tables.energy_windows import energy_windows_table
from edgemoe_appliance.analysis.tables.engine_arm import engine_arm_table
from edgemoe_appliance.analysis.tables.heat import heat_table
from edgemoe_appliance.analysis.tables.memory import memory_table
from edgemoe_appliance.analysis.tables.memory_arms import memory_arms_table
from edgemoe_appliance.analysis.tables.prompt_length import prompt_length_table
from edgemoe_appliance.analysis.tables.routing import routing_table
from edgemoe_appliance.analysis.tables.runs import caveats_table, failures_table, runs_table
from edgemoe_appliance.analysis.tables.setup import (
    experiments_table,
    hardware_table,
    models_table,
    procedure_table,
    prompts_table,
)
from edgemoe_appliance.analysis.tables.stability import stability_table
from edgemoe_appliance.analysis.tables.stated_figures import stated_table
from edgemoe_appliance.analysis.tables.threads import threads_table
from edgemoe_appliance.analysis.tables.throughput import throughput_table
from edgemoe_appliance.analysis.tables.timing import time_table
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class Tables:
    """All tables of a report; without sessions they hold the study's figures alone."""

    hardware: Table
    models: Table
    procedure: Table
    experiments: Table
    prompts: Table
    threads: Table
    throughput: Table
    time: Table
    memory: Table
    memory_arms: Table
    prompt_length: Table
    stability: Table
    energy: Table
    energy_windows: Table
    heat: Table
    routing: Table
    engine_arm: Table
    stated: Table
    caveats: Table
    failures: Table
    runs: Table

    def shown(self) -> Tables:
        """Return the tables as a page shows them: the runs are chosen already, groups are here."""
        limited = {table.id: shown_groups(table) for table in self.all()}
        names = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: limited[table.id] for name, table in names.items()}
        return replace(self, **kept | {"runs": self.runs, "failures": self.failures})

    def all(self) -> tuple[Table, ...]:
        """Return the tables in the order of the report."""
        return tuple(getattr(self, field.name) for field in fields(self))


def build_tables(loaded: LoadedSessions | None, study: Study) -> Tables:
    """Return all tables for sessions, or for the study alone."""
    headline = _pools(loaded, study, Feeds.HEADLINE)
    return Tables(
        hardware=hardware_table(loaded, study),
        models=models_table(loaded, study),
        procedure=procedure_table(loaded, study),
        experiments=experiments_table(loaded),
        prompts=prompts_table(loaded),
        threads=threads_table(loaded, study),
        throughput=throughput_table(headline, study),
        time=time_table(headline, study),
        memory=memory_table(headline, study),
        memory_arms=memory_arms_table(loaded, study),
        prompt_length=prompt_length_table(_pools(loaded, study, Feeds.PROMPT_LENGTH), study),
        stability=stability_table(headline, study),
        energy=energy_table(headline, study),
        energy_windows=energy_windows_table(headline, study),
        heat=heat_table(headline, study),
        routing=routing_table(loaded, study),
        engine_arm=engine_arm_table(loaded, study),
        stated=stated_table(study),
        caveats=caveats_table(loaded),
        failures=failures_table(loaded),
        runs=runs_table(loaded),
    )


def _pools(loaded: LoadedSessions | None, study: Study, feeds: Feeds) -> tuple[Pool, ...]:
    return pools(loaded, study, feeds) if loaded else ()
