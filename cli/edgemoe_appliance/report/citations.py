"""Where the cells of a table come from, for citations: condition, session, journal, version."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance import __version__
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts
from edgemoe_appliance.analysis.table_model import RowGroup, Table
from edgemoe_appliance.studies import Study

_DIGEST_LETTERS = 12
_MOST_SESSIONS = 3


@dataclass(frozen=True, kw_only=True)
class Citations:
    """What the groups of a report's tables are cited as."""

    loaded: LoadedSessions | None
    study: Study

    def of(self, table: Table, group: RowGroup) -> str:
        """Return the source of a group's rows in one line."""
        if group.source == "study":
            return self._printed(table, group)
        condition = "" if group.label in group.sessions else group.label
        return "; ".join(part for part in (condition, self._measured(group)) if part)

    def _printed(self, table: Table, group: RowGroup) -> str:
        where = ", ".join(part for part in (self.study.source.authors, table.where) if part)
        label = group.label.removeprefix("Study: ")
        version = f"edgemoe-appliance {__version__}"
        return "; ".join(part for part in (label, where, version) if part)

    def _measured(self, group: RowGroup) -> str:
        """Return sessions with their journals, those of all the report where a group names none."""
        known = self.loaded.sessions if self.loaded else ()
        found = [s for s in known if not group.sessions or s.key in group.sessions]
        named = [_session(each) for each in found[:_MOST_SESSIONS]]
        more = len(found) - len(named)
        return "; ".join(named) + (f" and {more} more sessions" if more > 0 else "")


def _session(session: SessionFacts) -> str:
    digest = session.journal_sha256[:_DIGEST_LETTERS]
    version = session.plan.appliance.version
    return f"session {session.key} (journal sha256 {digest}, edgemoe-appliance {version})"
