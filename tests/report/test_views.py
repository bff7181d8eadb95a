"""Tables as printed: footnotes for reasons, empty columns named, text of others made harmless."""

from __future__ import annotations

from markupsafe import Markup

from edgemoe_appliance.analysis.statistics import Absent, Interval
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent
from edgemoe_appliance.report.context import TableView
from edgemoe_appliance.report.filters import (
    cell_text,
    digest_of,
    interval_text,
    printable,
    reason_of,
)
from edgemoe_appliance.report.latex import render_latex
from edgemoe_appliance.report.render import environment_of
from edgemoe_appliance.report.views import build_table_view
from edgemoe_appliance.schema.resources import resource_folder


def table_of(*rows: Row, notes: tuple[str, ...] = ()) -> Table:
    return Table(
        id="t",
        title="T",
        columns=(Column(key="name", title="Name"), Column(key="x", title="X", digits=1)),
        groups=(RowGroup(label="g", source="reader", rows=rows),),
        notes=notes,
    )


def view_of(table: Table) -> TableView:
    return build_table_view(table, lambda table, group: f"{table.id}: {group.label}")


def row(name: str, x: Cell, twin: str | None = None) -> Row:
    return Row(cells={"name": Cell(value=name), "x": x}, model="olmoe-1b-7b", twin=twin)


def test_numbers_intervals_and_reasons() -> None:
    view = view_of(
        table_of(
            row("a", Cell(value=1.25, interval=Interval(low=1.0, high=1.5))),
            row("b", absent("no sensor")),
            row("c", Cell(value=2.0, interval=Absent(reason="too few"))),
            row("d", absent("no sensor")),
        )
    )
    cells = [each.cells["x"] for each in view.groups[0].rows]
    assert (cell_text(cells[0], 1), interval_text(cells[0], 1)) == ("1.2", "1.0\N{EN DASH}1.5")
    assert [view.marks.get(reason_of(cell), "") for cell in cells] == ["", "a", "b", "a"]
    assert cell_text(cells[1], 1) == "\N{EN DASH}"
    assert view.marks == {"no sensor": "a", "no interval: too few": "b"}
    assert view.numeric == {"x"}


def test_a_column_without_values_is_named_with_its_reason() -> None:
    view = view_of(table_of(row("a", absent("no sensor"))))
    assert [column.title for column in view.columns] == ["Name"]
    assert view.notes == ("Columns omitted: X (no sensor).",)


def test_a_digest_is_shortened_and_kept_as_a_hint() -> None:
    cell = Cell(value="e" * 64)
    assert (cell_text(cell, 0), digest_of(cell)) == ("e" * 12, "e" * 64)
    assert digest_of(Cell(value="e" * 63)) == ""


def test_twins_of_one_scale_are_said_once_and_mixed_ones_on_each_row() -> None:
    same = table_of(row("a", Cell(value=1), "thin"))
    mixed = table_of(row("a", Cell(value=1), "thin"), row("b", Cell(value=1)))
    assert [table.groups[0].twin for table in (same, mixed)] == ["thin", ""]
    assert render_latex(view_of(same)).count("thin") == 1
    assert "a (twin, thin)" in render_latex(view_of(mixed))


def test_whatever_a_template_prints_is_printable_and_escaped() -> None:
    template = environment_of(resource_folder("report_templates")).from_string(
        "{{ text }}{{ own }}"
    )
    printed = template.render(text="a\x1b<\u202e", own=Markup("<b>"))
    assert printed == "a\N{REPLACEMENT CHARACTER}&lt;\N{REPLACEMENT CHARACTER}<b>"


def test_what_cannot_be_printed_is_marked() -> None:
    assert printable("a\x00b\x1b[31m\u202ec\u2066d\te\nf") == (
        "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}c"
        "\N{REPLACEMENT CHARACTER}d\te\nf"
    )
    assert printable("Zürich, 東京, שלום") == "Zürich, 東京, שלום"
