"""Tables as printed: footnotes for reasons, empty columns named, text of others made harmless."""

from __future__ import annotations

from edgemoe_appliance.analysis.statistics import Absent, Interval
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent
from edgemoe_appliance.report.context import TableView
from edgemoe_appliance.report.views import build_table_view, printable


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
    cells = [each.cells[1] for each in view.groups[0].rows]
    assert (cells[0].text, cells[0].interval, cells[0].mark) == ("1.2", "1.0\N{EN DASH}1.5", "")
    assert [cell.mark for cell in cells[1:]] == ["a", "b", "a"]
    assert cells[1].is_absent
    assert [note.text for note in view.footnotes] == ["no sensor", "no interval: too few"]
    assert [column.numeric for column in view.columns] == [False, True]


def test_a_column_without_values_is_named_with_its_reason() -> None:
    view = view_of(table_of(row("a", absent("no sensor"))))
    assert [column.title for column in view.columns] == ["Name"]
    assert view.notes == ("Left out: X (no sensor).",)


def test_a_digest_is_shortened_and_kept_as_a_hint() -> None:
    cell = view_of(table_of(row("e" * 64, Cell(value=1)))).groups[0].rows[0].cells[0]
    assert (cell.text, cell.hint) == ("e" * 12, "e" * 64)


def test_twins_of_one_scale_are_said_once_and_mixed_ones_on_each_row() -> None:
    same = view_of(table_of(row("a", Cell(value=1), "thin"))).groups[0]
    assert (same.twin, same.rows[0].twin) == ("thin", "")
    mixed = view_of(table_of(row("a", Cell(value=1), "thin"), row("b", Cell(value=1)))).groups[0]
    assert (mixed.twin, [each.twin for each in mixed.rows]) == ("", ["thin", ""])


def test_what_cannot_be_printed_is_marked() -> None:
    assert printable("a\x00b\x1b[31m\u202ec\u2066d\te\nf") == (
        "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}c"
        "\N{REPLACEMENT CHARACTER}d\te\nf"
    )
    assert printable("Zürich, 東京, שלום") == "Zürich, 東京, שלום"
