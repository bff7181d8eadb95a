"""Names that can be given on the command line: offered to a shell, and looked at before all else.

A mistyped name is told before anything is loaded that could do something with it. What a file
means is not judged here: one that cannot be read offers nothing and refuses nothing, and whoever
reads it whole says what is wrong with it.

Shells take what is offered as it is. So only names are that need no quoting anywhere: a folder
that something in a container called `$(...)` is not among them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import typer

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.choices import IDENTIFIER_PATTERN, quantised_id, unknown_name
from edgemoe_appliance.schema.resources import (
    DEFAULT_STUDY_FILE,
    catalogue_file,
    fleets_folder,
    named_study,
    resource_folder,
    session_names,
    sessions_folder,
    study_names,
)
from edgemoe_appliance.schema.text import on_one_line

# Of a catalogue or a study; a longer file is not asked for names.
_LONGEST_BYTES: Final = 1 << 20
# What a shell is offered.
_MOST: Final = 200
_LIST: Final = "["
# The options that were given before, by name.
Given = Mapping[str, Any]
ValueT = TypeVar("ValueT", bound=str | list[str] | None)


def read_keys(file: Path, section: str) -> dict[str, list[str]]:
    """Return the keys below a section of a YAML file, each with the words of its list, if any.

    Empty for a file that cannot be read. It is read as events: nothing is built of what stands in
    it, so that an alias stands for nothing.
    """
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with suppress(OSError, ValueError, yaml.YAMLError):
        if file.stat().st_size <= _LONGEST_BYTES:
            return _keys(yaml.parse(file.read_text(encoding="utf-8"), Loader=loader), section)
    return {}


def _keys(events: Iterable[Any], wanted: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    # Of each mapping that is open the key whose value comes next, None before a key; or a list.
    place: list[str | None] = []
    for event in events:
        kind = type(event).__name__
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            place.append(_LIST if kind == "SequenceStartEvent" else None)
            continue
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            place.pop()
        elif kind not in ("ScalarEvent", "AliasEvent") or not place:
            continue
        elif place[-1] is None:
            place[-1] = str(getattr(event, "value", ""))
            if len(place) == 2 and place[0] == wanted:
                found[str(place[-1])] = []
            continue
        elif place[-1] == _LIST and len(place) == 3 and place[0] == wanted:
            found[str(place[1])].append(str(getattr(event, "value", "")))
        # A value ends here.
        if place and place[-1] != _LIST:
            place[-1] = None
    return found


def _study_file(given: Given, name: str) -> Path:
    configs = resource_folder("configs")
    study = given.get("study") or _default_study(configs)
    return named_study(study, configs) / name


def _default_study(configs: Path) -> str:
    known = study_names(configs)
    if len(known) == 1:
        return known[0]
    text = (configs / DEFAULT_STUDY_FILE).read_text(encoding="utf-8")
    found = re.search(r"^default:\s*(\S+)", text, re.MULTILINE)
    return found[1] if found else ""


def _catalogue(given: Given, kind: str) -> Iterator[Path]:
    yield resource_folder("configs") / f"{kind}.yaml"
    yield catalogue_file(kind)
    named = given.get(kind)
    if named is not None:
        yield Path(named)


def targets(given: Given) -> list[str]:
    """Return the targets of devices.yaml and of the user's own."""
    return [name for file in _catalogue(given, "devices") for name in read_keys(file, "targets")]


def models(given: Given) -> list[str]:
    """Return the models of models.yaml and of the user's own, those made here among them."""
    files = list(_catalogue(given, "models"))
    fetched = [name for file in files for name in read_keys(file, "models")]
    made = [
        quantised_id(source, kind)
        for file in files
        for source, kinds in read_keys(file, "quantised").items()
        for kind in kinds
    ]
    return [*fetched, *made]


def experiments(given: Given) -> list[str]:
    """Return the experiments of the study that is meant."""
    return list(read_keys(_study_file(given, "experiments.yaml"), "experiments"))


def claims(given: Given) -> list[str]:
    """Return the claims of the study that is meant."""
    return list(read_keys(_study_file(given, "claims.yaml"), "claims"))


def pins(given: Given) -> list[str]:
    """Return the pins of engines.yaml and of the user's own."""
    return [name for file in _catalogue(given, "engines") for name in read_keys(file, "pins")]


def studies(_given: Given) -> list[str]:
    """Return the studies of configs/studies/; a folder can be named besides."""
    return study_names(resource_folder("configs"))


def sessions(_given: Given) -> list[str]:
    """Return the sessions of this folder, the latest first."""
    return session_names(sessions_folder())


def fleets(_given: Given) -> list[str]:
    """Return the fleets of this folder."""
    return session_names(fleets_folder())


def with_names(text: str) -> str:
    """Return a help text with the names of this installation in place of `{targets}` and alike."""
    for kind in (targets, pins, studies):
        place = f"{{{kind.__name__}}}"
        if place in text:
            told = "a name"
            with suppress(Exception):
                told = ", ".join(on_one_line(name, 64) for name in kind({})) or told
            text = text.replace(place, told)
    return text


def offered(names: Callable[[Given], list[str]]) -> Callable[[typer.Context, str], list[str]]:
    """Return what gives a shell the names that begin with what was typed; none on any error."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        found = []
        with suppress(Exception):
            fitting = (name for name in names(_given(ctx)) if name.startswith(last))
            found = [name for name in fitting if re.fullmatch(IDENTIFIER_PATTERN, name)]
        return [f"{before}{comma}{name}" for name in found[:_MOST]]

    return complete


def known(
    kind: str, names: Callable[[Given], list[str]], file: str
) -> Callable[[typer.Context, ValueT], ValueT]:
    """Return what refuses a name that a file does not have.

    Raises ConfigError. Where the file cannot be read it lets everything pass.
    """

    def check(ctx: typer.Context, value: ValueT) -> ValueT:
        wanted = _each(value)
        if wanted and not ctx.resilient_parsing:
            there = names(_given(ctx))
            for name in wanted if there else ():
                if name not in there:
                    raise unknown_name(kind, name, there, file)
        return value

    return check


def known_study(ctx: typer.Context, value: str | None) -> str | None:
    """Refuse a study that there is not. Raises ConfigError."""
    if value is not None and not ctx.resilient_parsing:
        named_study(value, resource_folder("configs"))
    return value


def known_sessions(ctx: typer.Context, value: ValueT) -> ValueT:
    """Refuse sessions that there are not. Raises ConfigError, RecordError."""
    from edgemoe_appliance.bench.paths import default_folders, find_session

    for name in _each(value) if not ctx.resilient_parsing else ():
        find_session(name, default_folders())
    return value


def known_sides(ctx: typer.Context, value: str) -> str:
    """Refuse sessions that there are not, of names with commas between them, or archives."""
    from edgemoe_appliance.schema.files import is_file

    for name in value.split(","):
        if not is_file(Path(name)):
            known_sessions(ctx, name)
    return value


def known_file(ctx: typer.Context, value: Path) -> Path:
    """Refuse a file that is not there. Raises HostError."""
    if not (ctx.resilient_parsing or os.path.lexists(value)):
        raise HostError("cannot be read (No such file or directory)", where=str(value))
    return value


def _each(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else value or []


def _given(ctx: typer.Context) -> Given:
    return dict(ctx.params)
