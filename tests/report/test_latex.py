"""LaTeX: what the page shows, and no text of a stranger becomes a command."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent
from edgemoe_appliance.report.latex import escape_latex, render_latex
from edgemoe_appliance.report.views import build_table_view

# What our own escapes may put in; everything else with a backslash would be a stranger's.
OURS = re.compile(
    r"\\(?:text(?:backslash|asciitilde|asciicircum|less|greater|bar|quotedbl|asciigrave"
    r"|quotesingle)\{\}|textdegree\{\}|[{}$&#%_,])"
)


def latex_of(name: str, label: str = "A: here") -> str:
    table = Table(
        id="t",
        title="Rates",
        columns=(
            Column(key="name", title="Name"),
            Column(key="x", title="Rate", unit="tok/s", digits=1, has_interval=True),
        ),
        groups=(
            RowGroup(
                label=label,
                source="reader",
                rows=(
                    Row(
                        cells={
                            "name": Cell(value=name),
                            "x": Cell(value=-1.25, interval=Interval(low=-2, high=1)),
                        },
                        twin="thin",
                    ),
                    Row(cells={"name": Cell(value="b"), "x": absent("no 5 % sensor")}),
                ),
            ),
        ),
    )
    return render_latex(build_table_view(table, lambda _, group: group.label))


def test_a_table() -> None:
    assert latex_of("a_1").splitlines() == [
        r"\begin{table}",
        r"\centering",
        r"\caption{Rates.}\label{tab:t}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"Name & Rate (tok/s) \\",
        r"\midrule",
        r"\multicolumn{2}{l}{\textit{A: here}} \\",
        r"a\_1 (twin, thin) & $-$1.2 {\footnotesize $-$2.0 to 1.0} \\",
        r"b & --\textsuperscript{a} \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip\footnotesize\raggedright",
        r"\textsuperscript{a} no 5 \% sensor",
        r"\end{table}",
    ]


@pytest.mark.parametrize(
    "hostile",
    [
        r"\input{/etc/passwd}",
        r"\end{tabular}",
        "a & b \\\\ c",
        "$x$ %",
        "[2cm]*",
        "^^41 ~ #1",
        "`'\"",
    ],
)
def test_a_command_is_printed_and_not_run(hostile: str) -> None:
    lines = [line for line in latex_of(hostile).splitlines() if "(twin, thin)" in line]
    assert len(lines) == 1
    assert lines[0].count(" & ") == 1 + hostile.count("§")
    assert lines[0].endswith(r"\\")


@given(st.text())
def test_an_escaped_text_holds_no_command(text: str) -> None:
    left = OURS.sub("", escape_latex(text))
    left = left.replace("$-$", "").replace("{[}", "").replace("{]}", "").replace("{*}", "")
    assert not set("\\{}$&#%_~^\n\r") & set(left)
