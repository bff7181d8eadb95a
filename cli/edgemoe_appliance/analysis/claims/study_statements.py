"""Printed figures that follow from other printed figures, worked out again as declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from edgemoe_appliance.analysis.claims.config import (
    CLAIMS_FILE,
    Operation,
    Recomputed,
    UnitCheck,
)
from edgemoe_appliance.analysis.claims.estimates import Estimate, combine, exact, ratio, scaled
from edgemoe_appliance.analysis.claims.evidence import Statement
from edgemoe_appliance.analysis.claims.reference import Reference
from edgemoe_appliance.analysis.statistics import Absent
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.units import GB, GIB

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
_UNITS = {
    "_parameters_billion": "billion",
    "_j_per_tok": "J/tok",
    "_tok_s": "tok/s",
    "_pct": "%",
    "_pp": "points",
    "_ratio": "ratio",
    "_gib": "GiB",
    "_gb": "GB",
    "_ms": "ms",
    "_w": "W",
    "_c": "\N{DEGREE SIGN}C",
    "_s": "s",
}


def printed_statements(reference: Reference) -> Iterator[Statement]:
    """Yield every printed figure that is declared to follow from others."""
    for entry in reference.tests.recomputed:
        for name, captures in reference.printed.matching(entry.said):
            yield from _recomputed(reference, entry, name, captures)
    for check in reference.tests.units:
        for name, captures in reference.printed.matching(check.said):
            yield from _in_like_units(reference, check, name, captures)


def _recomputed(
    reference: Reference, entry: Recomputed, name: str, captures: tuple[str, ...]
) -> Iterator[Statement]:
    names = [_part_name(part, name, captures) for part in entry.parts]
    parts, texts = zip(*(_part(reference, each) for each in names), strict=True)
    again = combine(_OPERATIONS[entry.by], *parts)
    yield Statement(
        id=_filled(entry.id, captures),
        subject=_subject(reference, entry.of, captures),
        where=f"section {entry.section}",
        said=_part(reference, name)[0],
        said_text=_said_text(reference, name),
        again=again if isinstance(again, Absent) else scaled(again, entry.factor),
        unit=_unit(name),
        how=_in_words(entry, texts),
        parts=_by_name(names, parts),
    )


def _in_like_units(
    reference: Reference, check: UnitCheck, name: str, captures: tuple[str, ...]
) -> Iterator[Statement]:
    names = [_part_name(part, name, captures) for part in (check.top, check.bottom) if part]
    parts, texts = zip(*(_part(reference, each) for each in names), strict=True)
    like = [scaled(part, _bytes_in(each)) for each, part in zip(names, parts, strict=True)]
    again = _quotient(like)
    if check.bottom is None and isinstance(again, Estimate):
        again = scaled(again, 1 / _bytes_in(name))
    yield Statement(
        id=_filled(check.id, captures),
        subject=_subject(reference, check.of, captures),
        where=f"section {check.section}",
        said=_part(reference, name)[0],
        said_text=_said_text(reference, name),
        again=again,
        numerals=_quotient(parts),
        unit=_unit(name),
        how=" / ".join(f"{t} {_unit(n)}" for t, n in zip(texts, names, strict=True)),
        parts=_by_name(names, parts),
    )


def _part(reference: Reference, name: str) -> tuple[Estimate, str]:
    """Return a figure and its digits: a printed one, or a published count in billions.

    Raises ConfigError where there is none of this name.
    """
    if name.startswith(_PUBLISHED):
        model, kind = name.removeprefix(_PUBLISHED).split("/")
        shape = reference.configs.models.models[model]
        counts = {
            "total": shape.published_parameters_total,
            "active": shape.published_parameters_active,
        }
        count = counts[kind]
        if count is None:
            raise ConfigError(f"{name}: not published", where="models.yaml", hint="add the count")
        return exact(count / _BILLION), f"{count / _BILLION:.4g}"
    figure = reference.printed.figure(name)
    if isinstance(figure, Absent):
        raise ConfigError(f"{name}: no such figure", where=CLAIMS_FILE, hint="see study.yaml")
    return figure, reference.printed.text(name)


def _said_text(reference: Reference, name: str) -> str:
    """Return a figure in its printed digits, with `about` where the text has it."""
    stated = reference.study.stated.get(name.removeprefix("stated/"))
    about = "about " if stated is not None and stated.sense == "about" else ""
    return f"{about}{reference.printed.text(name)}"


def _quotient(parts: Sequence[Estimate]) -> Estimate | Absent:
    return parts[0] if len(parts) == 1 else ratio(parts[0], parts[1])


def _part_name(part: str, said: str, captures: tuple[str, ...]) -> str:
    """Return the full name of a part that is named beside `said` or by a pattern."""
    filled = _filled(part, captures)
    return filled if "/" in filled else f"{said.rpartition('/')[0]}/{filled}"


def _filled(text: str, captures: tuple[str, ...]) -> str:
    for place, capture in enumerate(captures, start=1):
        text = text.replace(f"{{{place}}}", capture)
    return text


def _subject(reference: Reference, words: str, captures: tuple[str, ...]) -> str:
    """Return a subject with the names that devices and models have in tables."""
    study = reference.study
    names: dict[str, str] = {str(key): device.label for key, device in study.devices.items()}
    names |= {model: reference.model_name(model) for model in study.models}
    return _filled(words, tuple(names.get(each, each) for each in captures))


def _in_words(entry: Recomputed, parts: Sequence[str]) -> str:
    shown = [f"({part})" if " to " in part else part for part in parts]
    words = " + ".join(shown) if entry.by == "sum" else _IN_WORDS[entry.by].format(*shown)
    return words if entry.factor == 1 else f"({words}) x {entry.factor:.4g}"


def _by_name(names: Sequence[str], parts: Sequence[Estimate]) -> tuple[tuple[str, float], ...]:
    """Return the parts by the last of their keys, by more keys where these are equal."""
    short = [name.rsplit("/", 1)[-1] for name in names]
    if len(set(short)) < len(short):
        short = [".".join(name.split("/")[-3:]) for name in names]
    return tuple((name, part.value) for name, part in zip(short, parts, strict=True))


def _unit(name: str) -> str:
    """Return the unit that a figure's name ends in, as printed."""
    whole = name.removesuffix("/low").removesuffix("/high")
    return next((unit for ending, unit in _UNITS.items() if whole.endswith(ending)), "1")


def _bytes_in(name: str) -> float:
    return GIB if _unit(name) == "GiB" else GB
