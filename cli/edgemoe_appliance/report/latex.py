"""Tables as LaTeX in the style of booktabs, with the text that the page shows.

Needs the packages booktabs and longtable. No text of a journal can become a command: what LaTeX
reads as one is written as a character.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.report.context import CellView, ColumnView, GroupView, RowView, TableView

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
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
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
    return " ".join(text.split()).translate(_ESCAPES)


def _head(columns: tuple[ColumnView, ...]) -> str:
    return _row(
        escape_latex(f"{column.title} ({column.unit})" if column.unit else column.title)
        for column in columns
    )


def _body(table: TableView) -> Iterator[str]:
    for place, group in enumerate(table.groups):
        if place:
            yield r"\addlinespace"
        yield from _group(group, len(table.columns))


def _group(group: GroupView, columns: int) -> Iterator[str]:
    label = f"{group.label} (twins, {group.twin})" if group.twin else group.label
    if label:
        yield rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{escape_latex(label)}}}}} \\"
    for row in group.rows:
        yield _row(_cell(row, place, cell) for place, cell in enumerate(row.cells))


def _cell(row: RowView, place: int, cell: CellView) -> str:
    text = escape_latex(cell.text)
    if not place and row.twin:
        text += f" (twin, {escape_latex(row.twin)})"
    if cell.interval:
        text += rf" {{\footnotesize {escape_latex(cell.interval)}}}"
    return text + (rf"\textsuperscript{{{cell.mark}}}" if cell.mark else "")


def _row(cells: Iterator[str]) -> str:
    return " & ".join(cells) + r" \\"


def _notes(table: TableView) -> Iterator[str]:
    """Yield notes and footnotes below the table."""
    lines = [escape_latex(note) for note in table.notes]
    lines += [
        rf"\textsuperscript{{{note.mark}}} {escape_latex(note.text)}" for note in table.footnotes
    ]
    if lines:
        yield r"\par\smallskip\footnotesize\raggedright"
        yield r"\par ".join(lines)
