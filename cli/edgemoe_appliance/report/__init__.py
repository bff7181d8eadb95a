"""Reports from tables: figures, one typed context, one page. Computes no statistic.

In come the values of `analysis`, out come `report.html` (one file without requests or scripts that
it needs), CSV and LaTeX tables, figures and a notebook. Equal sessions give equal bytes.

>>> from edgemoe_appliance.report.numbers import format_number
>>> format_number(0.98765, 3)
'0.988'

Text from records is foreign wherever it goes: page, CSV and LaTeX each escape it in one place.
"""

from __future__ import annotations

from edgemoe_appliance.report.render import (
    ReportPaths,
    check_report_place,
    render_reference_report,
    write_report,
)

__all__ = ["ReportPaths", "check_report_place", "render_reference_report", "write_report"]
