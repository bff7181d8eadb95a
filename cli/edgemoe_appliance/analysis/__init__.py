"""What journals say: frames, statistics and the study's tables. Reads no hardware."""

from __future__ import annotations

from edgemoe_appliance.analysis.sessions import LoadedSessions, load_sessions

__all__ = ["LoadedSessions", "load_sessions"]
