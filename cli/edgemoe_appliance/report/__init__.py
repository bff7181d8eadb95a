"""Reports from tables: figures, one typed context, one page. Computes no statistic."""

from __future__ import annotations

from edgemoe_appliance.report.render import ReportPaths, render_reference_report, write_report

__all__ = ["ReportPaths", "render_reference_report", "write_report"]
