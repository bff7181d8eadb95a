"""Tables as LaTeX in the style of booktabs, with the text that the page shows.

Needs the packages booktabs and longtable. No text of a journal can become a command: what LaTeX
reads as one is written as a character.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.table_model import Cell, Column, RowGroup
from edgemoe_appliance.report.context import TableView
from edgemoe_appliance.report.filters import cell_text, interval_text, printable, reason_of

# A bracket or star after the end of a row would be read as its argument.
_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "$": r"\$",
        "&": r"\&",
        "#": r"\#",
        "%": r"\%",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': r"\textquotedbl{}",
        "[": "{[}",
        "]": "{]}",
        "*": "{*}",
        "`": r"\textasciigrave{}",
        "'": r"\textquotesingle{}",
        "\N{MINUS SIGN}": "$-$",
        "\N{EN DASH}": "--",
        "\N{NARROW NO-BREAK SPACE}": r"\,",
        "\N{DEGREE SIGN}": r"\textdegree{}",
        "\N{REPLACEMENT CHARACTER}": "?",
    }
)


def render_latex(table: TableView) -> str:
    """Return a table as a document's part: a float, or one that breaks over pages where long."""
    columns = "".join("r" if column.key in table.numeric else "l" for column in table.columns)
    body = [r"\toprule", _head(table.columns), r"\midrule", *_body(table), r"\bottomrule"]
    caption = rf"\caption{{{escape_latex(table.title)}.}}\label{{tab:{table.id}}}"
    if table.is_long:
        begin, end = [rf"\begin{{longtable}}{{{columns}}}", caption + r"\\"], [r"\end{longtable}"]
    else:
        begin = [r"\begin{table}", r"\centering", caption, rf"\begin{{tabular}}{{{columns}}}"]
        end = [r"\end{tabular}", *_notes(table), r"\end{table}"]
    return "\n".join((*begin, *body, *end, ""))


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line."""
    return " ".join(printable(text).split()).translate(_ESCAPES)


def _head(columns: tuple[Column, ...]) -> str:
    return _row(
        escape_latex(f"{column.title} ({column.unit})" if column.unit else column.title)
        for column in columns
    )


def _body(table: TableView) -> Iterator[str]:
    for place, group in enumerate(table.groups):
        if place:
            yield r"\addlinespace"
        yield from _group(table, group)


def _group(table: TableView, group: RowGroup) -> Iterator[str]:
    label = f"{group.label} (twins, {group.twin})" if group.twin else group.label
    if label:
        yield rf"\multicolumn{{{len(table.columns)}}}{{l}}{{\textit{{{escape_latex(label)}}}}} \\"
    for row in group.rows:
        twin = "" if group.twin else row.twin
        yield _row(
            _cell(table, column, row.cells[column.key], "" if place else twin)
            for place, column in enumerate(table.columns)
        )


def _cell(table: TableView, column: Column, cell: Cell, twin: str | None) -> str:
    text = escape_latex(cell_text(cell, column.digits))
    interval, mark = interval_text(cell, column.digits), table.marks.get(reason_of(cell))
    if twin:
        text += f" (twin, {escape_latex(twin)})"
    if interval:
        text += rf" {{\footnotesize {escape_latex(interval)}}}"
    return text + (rf"\textsuperscript{{{mark}}}" if mark else "")


def _row(cells: Iterator[str]) -> str:
    return " & ".join(cells) + r" \\"


def _notes(table: TableView) -> Iterator[str]:
    """Yield notes and footnotes below the table."""
    lines = [escape_latex(note) for note in table.notes]
    lines += [
        rf"\textsuperscript{{{mark}}} {escape_latex(reason)}"
        for reason, mark in table.marks.items()
    ]
    if lines:
        yield r"\par\smallskip\footnotesize\raggedright"
        yield r"\par ".join(lines)
