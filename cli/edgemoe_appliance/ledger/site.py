"""The pages of a ledger: claims by device, engine and quantisation, as static files. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from markupsafe import Markup

from edgemoe_appliance import __version__
from edgemoe_appliance.analysis.claims import Number, Verdict
from edgemoe_appliance.analysis.claims.estimates import Basis
from edgemoe_appliance.analysis.claims.formatting import in_words, number_in_words, with_unit
from edgemoe_appliance.analysis.claims.verdicts import TOLD_ORDER
from edgemoe_appliance.analysis.csvfile import texts_csv
from edgemoe_appliance.analysis.statistics import Absent, Interval
from edgemoe_appliance.ledger.cells import LedgerCell, LedgerPart, PooledNumber, build_cells
from edgemoe_appliance.ledger.entries import LedgerEntry, Refusal
from edgemoe_appliance.report.palette import css_variables
from edgemoe_appliance.report.range_plot import LimitBand, ValueAxis, draw_row
from edgemoe_appliance.report.render import environment_of
from edgemoe_appliance.schema.resources import resource_folder

INDEX_NAME: Final = "index.html"
# Stands in the head of the index: by it a ledger knows its own folder again.
MARK: Final = b'name="generator" content="edgemoe-appliance ledger"'
_TEMPLATES: Final = "report_templates"
_STYLES: Final = ("report.css", "ledger.css")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")
_CSV_COLUMNS: Final = (
    *("study", "claim", "device", "engine", "quantization", "twins", "verdict", "part", "asked"),
    *("value", "low", "high", "unit", "interval_covers", "boards", "sessions"),
    *("sd_between_boards", "sd_between_sessions", "archives"),
)


@dataclass(frozen=True, kw_only=True)
class ClaimHistory:
    """A claim on one device with one engine after another, from old to new."""

    device: str
    models: str
    cells: tuple[LedgerCell, ...]

    @property
    def shown(self) -> tuple[LedgerPart, ...]:
        """Return the part that stands for the claim with each engine."""
        return tuple(cell.shown for cell in self.cells)

    @property
    def told(self) -> str:
        """Return between which engines the verdict changed."""
        changes = [
            f"{_in_words(old.verdict)} with {old.key.engine}, "
            f"{_in_words(new.verdict)} with {new.key.engine}"
            for old, new in pairwise(self.cells)
            if old.verdict is not new.verdict
        ]
        same = f"{_in_words(self.cells[0].verdict)} with each of {len(self.cells)} engines"
        return "; ".join(changes) or same


def _in_words(verdict: Verdict) -> str:
    return verdict.value.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class LedgerPage:
    """The cells of a claim, a device or an engine, and the path of the page that shows them."""

    title: str
    path: str
    cells: tuple[LedgerCell, ...]

    def alike(self, part: LedgerPart) -> tuple[LedgerPart, ...]:
        """Return the parts of the page that ask the same: they are drawn on one axis."""
        parts = (each for cell in self.cells for each in cell.parts)
        asked = (part.label, part.asked, part.unit)
        return tuple(each for each in parts if (each.label, each.asked, each.unit) == asked)

    @property
    def histories(self) -> tuple[ClaimHistory, ...]:
        """Return how a claim fared from engine to engine; none where the page is not of a claim."""
        found: dict[tuple[object, ...], list[LedgerCell]] = {}
        if len({(cell.key.study, cell.key.claim) for cell in self.cells}) == 1:
            for cell in self.cells:
                key = cell.key
                found.setdefault((key.device, key.models, key.family), []).append(cell)
        return tuple(
            ClaimHistory(device=cells[0].key.device, models=cells[0].key.models, cells=tuple(cells))
            for cells in found.values()
            if len(cells) > 1
        )

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """Return how many cells have which verdict, in the order in which they are told."""
        found = [cell.verdict for cell in self.cells]
        return {verdict: found.count(verdict) for verdict in TOLD_ORDER if verdict in found}


@dataclass(frozen=True, kw_only=True)
class LedgerSite:
    """Everything that the pages of a ledger show."""

    style: str
    version: str
    entries: tuple[LedgerEntry, ...]
    refusals: tuple[Refusal, ...]
    cells: tuple[LedgerCell, ...]
    claims: tuple[LedgerPage, ...]
    devices: tuple[LedgerPage, ...]
    engines: tuple[LedgerPage, ...]

    @property
    def boards(self) -> int:
        """Return how many machines are told apart."""
        return len({entry.board for entry in self.entries})

    @property
    def columns(self) -> tuple[tuple[str, str, str], ...]:
        """Return device, engine and models of each column of the overview."""
        return tuple(dict.fromkeys(map(_column, self.cells)))

    def at(self, claim: LedgerPage, column: tuple[str, str, str]) -> tuple[LedgerCell, ...]:
        """Return the cells of a claim in a column: one for each family of verdicts."""
        return tuple(cell for cell in claim.cells if _column(cell) == column)


def render_site(entries: Sequence[LedgerEntry], refusals: Sequence[Refusal]) -> dict[str, bytes]:
    """Return the files of a ledger by relative path."""
    folder = resource_folder(_TEMPLATES)
    style = css_variables() + "".join((folder / name).read_text("utf-8") for name in _STYLES)
    site = _site(entries, refusals, style)
    environment = environment_of(folder)
    environment.filters.update(value=value_text, covers=covers_text, plot=plot_of)

    def page(template: str, root: str, **values: object) -> bytes:
        rendered = environment.get_template(template).render(site=site, root=root, **values)
        return rendered.encode()

    files = {INDEX_NAME: page("ledger.html.j2", "")}
    for group in (*site.claims, *site.devices, *site.engines):
        files[group.path] = page("ledger-group.html.j2", "../", group=group)
    for entry in entries:
        files[f"entries/{entry.sha256}.json"] = entry.model_dump_json(indent=1).encode() + b"\n"
    files["ledger.json"] = _json(site)
    files["ledger.csv"] = _csv(site.cells)
    return files


def value_text(part: LedgerPart) -> str:
    """Return the number of a part with its unit, and its interval where it has one."""
    if part.number is None:
        return ""
    interval = part.number.interval
    if not isinstance(interval, Interval):
        return with_unit(part.number.value, part.unit)
    number = Number(
        key="",
        label=part.label,
        unit=part.unit,
        value=part.number.value,
        low=interval.low,
        high=interval.high,
        basis=Basis.INTERVAL,
    )
    return number_in_words(number)


def covers_text(number: PooledNumber) -> str:
    """Return between what an interval is, or why there is none, and how much what scatters."""
    interval = number.interval
    told = f"no interval: {interval.reason}" if isinstance(interval, Absent) else number.covers
    parts = [
        f"{in_words(spread)} between {what}"
        for spread, what in (
            (number.sd_between_boards, "boards"),
            (number.sd_between_sessions, "sessions of a board"),
        )
        if spread is not None
    ]
    return f"{told}; standard deviation {', '.join(parts)}" if parts else told


def plot_of(part: LedgerPart, parts: Iterable[LedgerPart]) -> Markup:
    """Return a part's interval as a drawing, on the axis that all of `parts` share."""
    numbers = [each.number for each in parts if each.number is not None]
    ends = [end for number in numbers for end in (number.value, *_bounds(number))]
    limits = part.limits
    asked = LimitBand(low=limits.low, high=limits.high) if limits else LimitBand(line=1.0)
    axis = ValueAxis.around(asked, ends)
    if axis is None or part.number is None:
        return Markup()
    bounds = _bounds(part.number)
    return draw_row(axis, part.number.value, (bounds[0], bounds[1]) if bounds else None)


def _bounds(number: PooledNumber) -> tuple[float, ...]:
    interval = number.interval
    return (interval.low, interval.high) if isinstance(interval, Interval) else ()


def _site(entries: Sequence[LedgerEntry], refusals: Sequence[Refusal], style: str) -> LedgerSite:
    cells = build_cells(entries)
    return LedgerSite(
        style=style,
        version=__version__,
        entries=tuple(entries),
        refusals=tuple(refusals),
        cells=cells,
        claims=_groups("claims", cells, lambda cell: f"{cell.key.claim} of {cell.key.study}"),
        devices=_groups("devices", cells, lambda cell: cell.key.device),
        engines=_groups("engines", cells, lambda cell: cell.key.engine),
    )


def _groups(
    folder: str, cells: Iterable[LedgerCell], title: Callable[[LedgerCell], str]
) -> tuple[LedgerPage, ...]:
    found: dict[str, list[LedgerCell]] = {}
    for cell in cells:
        found.setdefault(title(cell), []).append(cell)
    return tuple(
        LedgerPage(title=name, path=f"{folder}/{_file_name(name)}.html", cells=tuple(own))
        for name, own in found.items()
    )


def _file_name(title: str) -> str:
    """Return a name for a file; titles hold what strangers wrote, so a digest tells them apart."""
    plain = _NOT_IN_NAMES.sub("-", title).strip("-").lower()[:60]
    return f"{plain}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


def _column(cell: LedgerCell) -> tuple[str, str, str]:
    return (cell.key.device, cell.key.engine, cell.key.models)


def _json(site: LedgerSite) -> bytes:
    document = {
        "kind": "edgemoe-appliance ledger",
        "version": site.version,
        "archives": [entry.sha256 for entry in site.entries],
        "refused": [
            {"archive": each.archive, "sha256": each.sha256, "why": each.why}
            for each in site.refusals
        ],
        "cells": [_cell_document(cell) for cell in site.cells],
    }
    return json.dumps(document, indent=1, ensure_ascii=False).encode(errors="replace") + b"\n"


def _cell_document(cell: LedgerCell) -> dict[str, Any]:
    key = cell.key
    return {
        "study": key.study,
        "claim": key.claim,
        "statement": cell.statement,
        "device": key.device,
        "engine": key.engine,
        "quantization": key.quantization,
        "twins": key.twins,
        "family": key.family.value,
        "verdict": cell.verdict.value,
        "boards": cell.boards,
        "sessions": cell.sessions,
        "archives": [entry.sha256 for entry in cell.entries],
        "parts": [_part_document(part) for part in cell.parts],
    }


def _part_document(part: LedgerPart) -> dict[str, Any]:
    number = part.number
    told: dict[str, Any] = {"label": part.label, "unit": part.unit, "asked": part.asked}
    told["verdict"] = part.verdict.value
    if number is not None:
        bounds = _bounds(number)
        told["value"] = number.value
        told |= {"low": bounds[0], "high": bounds[1]} if bounds else {}
        told["interval_covers"] = number.covers if bounds else ""
        told["sd_between_boards"] = number.sd_between_boards
        told["sd_between_sessions"] = number.sd_between_sessions
    return told


def _csv(cells: Iterable[LedgerCell]) -> bytes:
    rows: list[Sequence[str]] = [_CSV_COLUMNS]
    for cell in cells:
        document = _cell_document(cell)
        archives = " ".join(document["archives"])
        for part in cell.parts:
            row = document | _part_document(part) | {"part": part.label, "archives": archives}
            rows.append(tuple(_plain(row.get(name)) for name in _CSV_COLUMNS))
    return texts_csv(rows)


def _plain(value: object) -> str:
    if value is None:
        return ""
    return format(value, ".10g") if isinstance(value, float) else str(value)
