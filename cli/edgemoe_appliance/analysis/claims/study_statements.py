"""Printed figures that follow from other printed figures, worked out again as declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from edgemoe_appliance.analysis.claims.estimates import (
    Estimate,
    combine,
    exact,
    printed_estimate,
    ratio,
    scaled,
)
from edgemoe_appliance.analysis.claims.evidence import Cause, Statement
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.units import GB, GIB
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.claims import (
    Operation,
    Recomputation,
    UnitCheck,
    filled_in,
)
from edgemoe_appliance.studies.paper import figure_unit

_BILLION = 1e9
_PUBLISHED = "published/"
_OPERATIONS: Mapping[Operation, Callable[..., float]] = {
    "ratio": lambda a, b: a / b,
    "fall": lambda a, b: 100 * (1 - a / b),
    "share": lambda a, b: 100 * a / (a + b),
    "sum": lambda *parts: sum(parts),
    "difference": lambda a, b: a - b,
    "product": lambda a, b: a * b,
    "same": lambda a: a,
    # Time that timing adds to a token, on one device over another: patched, unpatched of each.
    "added-time": lambda a, b, c, d: (1 / a - 1 / b) / (1 / c - 1 / d),
}
_IN_WORDS: Mapping[Operation, str] = {
    "ratio": "{0} / {1}",
    "fall": "100 (1 - {0} / {1})",
    "share": "100 {0} / ({0} + {1})",
    "difference": "{0} - {1}",
    "product": "{0} x {1}",
    "same": "the count that is published, {0},",
    "added-time": "(1 / {0} - 1 / {1}) / (1 / {2} - 1 / {3})",
}


def printed_statements(study: Study) -> Iterator[Statement]:
    """Yield every printed figure that is declared to follow from others."""
    for entry in study.recomputed:
        for name, captures in study.printed.matching(entry.said):
            yield from _recomputed(study, entry, name, captures)
    for check in study.units:
        for name, captures in study.printed.matching(check.said):
            yield from _in_like_units(study, check, name, captures)


def _recomputed(
    study: Study, entry: Recomputation, name: str, captures: tuple[str, ...]
) -> Iterator[Statement]:
    names = entry.part_names(name, captures)
    parts, texts = zip(*(_part(study, each) for each in names), strict=True)
    again = combine(_OPERATIONS[entry.by], *parts)
    yield Statement(
        id=filled_in(entry.id, captures),
        subject=_subject(study, entry.of, captures),
        where=f"section {entry.section}",
        said=_part(study, name)[0],
        said_text=study.printed_text(name),
        again=again if isinstance(again, Absent) else scaled(again, entry.factor),
        unit=figure_unit(name),
        how=_in_words(entry, texts),
        parts=_by_name(names, parts),
        cause=_cause(study, entry.cause),
        other_reading=entry.other_reading,
    )


def _cause(study: Study, name: str | None) -> Cause | None:
    if name is None:
        return None
    declared = study.causes[name]
    return Cause(id=name, title=declared.title, is_hypothesis=declared.is_hypothesis)


def _in_like_units(
    study: Study, check: UnitCheck, name: str, captures: tuple[str, ...]
) -> Iterator[Statement]:
    names = check.part_names(name, captures)
    parts, texts = zip(*(_part(study, each) for each in names), strict=True)
    like = [scaled(part, _bytes_in(each)) for each, part in zip(names, parts, strict=True)]
    again = _quotient(like)
    if check.bottom is None and isinstance(again, Estimate):
        again = scaled(again, 1 / _bytes_in(name))
    yield Statement(
        id=filled_in(check.id, captures),
        subject=_subject(study, check.of, captures),
        where=f"section {check.section}",
        said=_part(study, name)[0],
        said_text=study.printed_text(name),
        again=again,
        numerals=_quotient(parts),
        unit=figure_unit(name),
        how=" / ".join(f"{t} {figure_unit(n)}" for t, n in zip(texts, names, strict=True)),
        parts=_by_name(names, parts),
    )


def _part(study: Study, name: str) -> tuple[Estimate, str]:
    """Return a figure and its digits: a printed one, or a published count in billions."""
    if name.startswith(_PUBLISHED):
        model, kind = name.removeprefix(_PUBLISHED).split("/")
        shape = study.configs.models.models[model]
        counts = {
            "total": shape.published_parameters_total,
            "active": shape.published_parameters_active,
        }
        count = counts[kind]
        if count is None:
            raise ConfigError(f"{name}: not published", where="models.yaml", hint="add the count")
        return exact(count / _BILLION), f"{count / _BILLION:.4g}"
    # The study was read well: every name that it declares is that of a printed figure.
    figure = printed_estimate(study.printed, name)
    if isinstance(figure, Absent):
        raise KeyError(name)
    return figure, study.printed.text(name)


def _quotient(parts: Sequence[Estimate]) -> Estimate | Absent:
    return parts[0] if len(parts) == 1 else ratio(parts[0], parts[1])


def _subject(study: Study, words: str, captures: tuple[str, ...]) -> str:
    """Return a subject with the names that devices and models have in tables."""
    names: dict[str, str] = {str(key): device.label for key, device in study.devices.items()}
    names |= {model: study.model_name(model) for model in study.models}
    return filled_in(words, tuple(names.get(each, each) for each in captures))


def _in_words(entry: Recomputation, parts: Sequence[str]) -> str:
    shown = [f"({part})" if " to " in part else part for part in parts]
    words = " + ".join(shown) if entry.by == "sum" else _IN_WORDS[entry.by].format(*shown)
    return words if entry.factor == 1 else f"({words}) x {entry.factor:.4g}"


def _by_name(names: Sequence[str], parts: Sequence[Estimate]) -> tuple[tuple[str, float], ...]:
    """Return the parts by the last of their keys, by more keys where these are equal."""
    short = [name.rsplit("/", 1)[-1] for name in names]
    if len(set(short)) < len(short):
        short = [".".join(name.split("/")[-3:]) for name in names]
    return tuple((name, part.value) for name, part in zip(short, parts, strict=True))


def _bytes_in(name: str) -> float:
    return GIB if figure_unit(name) == "GiB" else GB
