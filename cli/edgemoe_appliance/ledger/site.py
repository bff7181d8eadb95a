"""The pages of a ledger: claims by device, engine and quantisation, as static files. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, TypeVar

from markupsafe import Markup

from edgemoe_appliance import __version__
from edgemoe_appliance.analysis.claims import Number, Verdict
from edgemoe_appliance.analysis.claims.estimates import Basis
from edgemoe_appliance.analysis.claims.formatting import in_words, number_in_words, with_unit
from edgemoe_appliance.analysis.claims.verdicts import TOLD_ORDER
from edgemoe_appliance.analysis.csvfile import texts_csv
from edgemoe_appliance.analysis.results import Absent, Interval
from edgemoe_appliance.ledger.cells import (
    LedgerCell,
    LedgerPart,
    PooledNumber,
    build_cells,
    column_order,
)
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
# Of a cell, on a page; all of them are in the files.
_MOST_ARCHIVES_SHOWN: Final = 50
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")
Asked = tuple[str, str, str]  # label, what was asked, unit
_T = TypeVar("_T")
_K = TypeVar("_K")
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

    @cached_property
    def axes(self) -> Mapping[Asked, ValueAxis | None]:
        """Return an axis for all shown parts that ask the same."""
        return axes_of(cell.shown for cell in self.cells)

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

    @cached_property
    def axes(self) -> Mapping[Asked, ValueAxis | None]:
        """Return an axis for all parts of the page that ask the same."""
        return axes_of(part for cell in self.cells for part in cell.parts)

    @property
    def histories(self) -> tuple[ClaimHistory, ...]:
        """Return how a claim fared from engine to engine; none where the page is not of a claim."""
        if len({(cell.key.study, cell.key.claim) for cell in self.cells}) != 1:
            return ()
        alike = _grouped(
            self.cells, lambda cell: (cell.key.device, cell.key.models, cell.key.family)
        )
        return tuple(
            ClaimHistory(device=device, models=models, cells=cells)
            for (device, models, _), cells in alike.items()
            if len(cells) > 1
        )

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """Return how many cells have which verdict, in the order in which they are told."""
        return {verdict: len(cells) for verdict, cells in by_verdict(self.cells).items()}


@dataclass(frozen=True, kw_only=True)
class LedgerColumn:
    """What one device with one engine and one kind of models says of a study's claims."""

    device: str
    engine: str
    models: str
    cells: tuple[LedgerCell, ...]

    @cached_property
    def by_claim(self) -> Mapping[str, tuple[LedgerCell, ...]]:
        """Return the cells of each claim: one for each family of verdicts."""
        return _grouped(self.cells, lambda cell: cell.key.claim)

    @property
    def by_verdict(self) -> Mapping[Verdict, tuple[LedgerCell, ...]]:
        """Return the cells by verdict, in the order in which verdicts are told."""
        return by_verdict(self.cells)


@dataclass(frozen=True, kw_only=True)
class StudyLedger:
    """One study's claims: studies share no table, as claims of two may have one name.

    `pages` are those of the claims that any archive tested, by the claim's id.
    """

    label: str
    title: str
    archives: int
    pages: Mapping[str, LedgerPage]
    columns: tuple[LedgerColumn, ...]
    untested: tuple[str, ...]


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
    studies: tuple[StudyLedger, ...]

    @property
    def boards(self) -> int:
        """Return how many machines are told apart."""
        return len({entry.board for entry in self.entries})

    @property
    def kinds_of_device(self) -> int:
        """Return how many kinds of device there are archives of."""
        return len({entry.device for entry in self.entries})

    @property
    def engine_builds(self) -> int:
        """Return how many engines there are archives of, each on one backend."""
        return len({(entry.engine, entry.backend) for entry in self.entries})

    @cached_property
    def silent(self) -> frozenset[str]:
        """Return the digests of the archives that test no claim."""
        heard = {entry.sha256 for cell in self.cells for entry in cell.entries}
        return frozenset(entry.sha256 for entry in self.entries) - heard


def render_site(entries: Sequence[LedgerEntry], refusals: Sequence[Refusal]) -> dict[str, bytes]:
    """Return the files of a ledger by relative path."""
    folder = resource_folder(_TEMPLATES)
    style = css_variables() + "".join((folder / name).read_text("utf-8") for name in _STYLES)
    site = _site(entries, refusals, style)
    environment = environment_of(folder)
    environment.filters.update(value=value_text, covers=covers_text, plot=plot_of)

    def page(template: str, root: str, **values: object) -> bytes:
        values |= {"site": site, "root": root, "most_archives": _MOST_ARCHIVES_SHOWN}
        rendered = environment.get_template(template).render(values)
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


def axes_of(parts: Iterable[LedgerPart]) -> Mapping[Asked, ValueAxis | None]:
    """Return an axis for all parts that ask the same."""
    return {asked: _axis(alike) for asked, alike in _grouped(parts, _asked).items()}


def _axis(parts: Sequence[LedgerPart]) -> ValueAxis | None:
    """Return an axis for parts that ask the same; None where one is not finite."""
    numbers = [each.number for each in parts if each.number is not None]
    ends = [end for number in numbers for end in (number.value, *_bounds(number))]
    limits = parts[0].limits
    asked = LimitBand(low=limits.low, high=limits.high) if limits else LimitBand(line=1.0)
    return ValueAxis.around(asked, ends)


def plot_of(part: LedgerPart, axes: Mapping[Asked, ValueAxis | None]) -> Markup:
    """Return a part's interval as a drawing on its axis; empty where there is nothing to draw."""
    axis = axes[_asked(part)]
    if axis is None or part.number is None:
        return Markup()
    bounds = _bounds(part.number)
    return draw_row(axis, part.number.value, (bounds[0], bounds[1]) if bounds else None)


def by_verdict(cells: Iterable[LedgerCell]) -> Mapping[Verdict, tuple[LedgerCell, ...]]:
    """Return cells by verdict, in the order in which verdicts are told."""
    found = _grouped(cells, lambda cell: cell.verdict)
    return {verdict: found[verdict] for verdict in TOLD_ORDER if verdict in found}


def _asked(part: LedgerPart) -> Asked:
    return (part.label, part.asked, part.unit)


def _bounds(number: PooledNumber) -> tuple[float, ...]:
    interval = number.interval
    return (interval.low, interval.high) if isinstance(interval, Interval) else ()


def _site(entries: Sequence[LedgerEntry], refusals: Sequence[Refusal], style: str) -> LedgerSite:
    cells = build_cells(entries)
    claims = _pages("claims", cells, lambda cell: f"{cell.key.claim} of {cell.key.study}")
    from_old = sorted(cells, key=lambda cell: (cell.engine_age, cell.key.engine))
    return LedgerSite(
        style=style,
        version=__version__,
        entries=tuple(entries),
        refusals=tuple(refusals),
        cells=cells,
        claims=claims,
        devices=_pages("devices", cells, lambda cell: cell.key.device),
        engines=_pages("engines", from_old, lambda cell: cell.key.engine),
        studies=_studies(entries, cells, claims),
    )


def _pages(
    folder: str, cells: Iterable[LedgerCell], title: Callable[[LedgerCell], str]
) -> tuple[LedgerPage, ...]:
    return tuple(
        LedgerPage(title=name, path=f"{folder}/{_file_name(name)}.html", cells=own)
        for name, own in _grouped(cells, title).items()
    )


def _studies(
    entries: Sequence[LedgerEntry], cells: Iterable[LedgerCell], claims: Iterable[LedgerPage]
) -> tuple[StudyLedger, ...]:
    """Return the studies of all archives by label, with those whose claims nobody tested."""
    of_study = _grouped(cells, lambda cell: cell.key.study)
    pages = _grouped(claims, lambda page: page.cells[0].key.study)
    archives = _grouped(entries, lambda entry: entry.study.label)
    found = []
    for label, own in sorted(archives.items()):
        tested = {page.cells[0].key.claim: page for page in pages.get(label, ())}
        every = dict.fromkeys(claim for entry in own for claim in entry.claims)
        study = StudyLedger(
            label=label,
            title=own[0].study_title,
            archives=len(own),
            pages=tested,
            columns=_columns(of_study.get(label, ())),
            untested=tuple(claim for claim in every if claim not in tested),
        )
        found.append(study)
    return tuple(found)


def _columns(cells: Iterable[LedgerCell]) -> tuple[LedgerColumn, ...]:
    columns = _grouped(
        sorted(cells, key=column_order),
        lambda cell: (cell.key.device, cell.key.engine, cell.key.models),
    )
    return tuple(
        LedgerColumn(device=device, engine=engine, models=models, cells=own)
        for (device, engine, models), own in columns.items()
    )


def _grouped(values: Iterable[_T], key: Callable[[_T], _K]) -> dict[_K, tuple[_T, ...]]:
    """Return values by key, keys and values in the order in which they came."""
    found: dict[_K, list[_T]] = {}
    for value in values:
        found.setdefault(key(value), []).append(value)
    return {name: tuple(own) for name, own in found.items()}


def _file_name(title: str) -> str:
    """Return a name for a file; titles hold what strangers wrote, so a digest tells them apart."""
    plain = _NOT_IN_NAMES.sub("-", title).strip("-").lower()[:60]
    return f"{plain}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


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
