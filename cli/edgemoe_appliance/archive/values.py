"""Tables and documents of an archive compared value by value with those made again. Pure.

An archive outlives the appliance that made it: a caption that is worded better, a column more, a
table under a better name take nothing from what was measured. So numbers are compared as numbers,
words as words, and sentences by the numbers in them; what is only worded otherwise is counted and
not held against the archive.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from edgemoe_appliance.archive import layout
from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.text import on_one_line

# Tables hold ten digits; another order of summation may change the last of them.
_RELATIVE: Final = 1e-8
_ABSOLUTE: Final = 1e-12
_NUMBER: Final = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
# What earlier versions called the same thing.
_FORMER_FILES: Final = {"doubts": "caveats", "run-doubts": "run-caveats"}
_FORMER_NAMES: Final = {"doubts": "caveats", "doubt_count": "caveat_count"}
# In these a key that is missing is a number that is missing.
_NUMBERS: Final = frozenset({"numbers", "units"})


@dataclass(frozen=True, kw_only=True)
class ValueDifference:
    """One value that is another than in the archive; `where` says which of its file.

    `is_wording` is true of sentences that say it in other words.
    """

    file: str
    where: str
    archived: str
    recomputed: str
    is_wording: bool = False

    @property
    def what(self) -> str:
        """Return it in words."""
        archived, now = (on_one_line(t or "nothing", 60) for t in (self.archived, self.recomputed))
        return f"{self.where}: {archived} in the archive, {now} now"


def has_values(name: str) -> bool:
    """Return whether a file is compared by its values: a table, verdicts, what was run."""
    path = PurePosixPath(name)
    is_table = name.startswith(f"{layout.REPORT}tables/") and path.suffix == ".csv"
    return is_table or name == layout.CLAIMS or name.startswith(layout.AS_RUN)


def present_name(name: str) -> str:
    """Return the name that a file of an archive has today."""
    path = PurePosixPath(name)
    stem = _FORMER_FILES.get(path.stem, path.stem)
    return str(path.with_name(stem + path.suffix)) if name.startswith(layout.REPORT) else name


def compare_values(name: str, archived: bytes, recomputed: bytes) -> Iterator[ValueDifference]:
    """Yield where the values of a file differ.

    Raises RecordError where the archived file is no such table or document.
    """
    path = PurePosixPath(name)
    if path.suffix == ".csv":
        yield from _compare_tables(
            name, _parse_table(archived, name), _parse_table(recomputed, name)
        )
    elif path.suffix == ".json":
        yield from _compare_data(
            name, "", _parse_json(archived, name), _parse_json(recomputed, name)
        )
    elif archived != recomputed:
        yield ValueDifference(file=name, where="text", archived="another", recomputed="the plan's")


def _parse_table(content: bytes, name: str) -> list[dict[str, str]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError("is no table", where=name) from error
    if any(None in row or None in row.values() for row in rows):
        raise RecordError("has rows of another length than its head", where=name)
    return [{_FORMER_NAMES.get(key, key): value for key, value in row.items()} for row in rows]


def _parse_json(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RecordError("is no JSON", where=name) from error


def _compare_tables(
    name: str, archived: Sequence[Mapping[str, str]], recomputed: Sequence[Mapping[str, str]]
) -> Iterator[ValueDifference]:
    if len(archived) != len(recomputed):
        yield ValueDifference(
            file=name, where="rows", archived=str(len(archived)), recomputed=str(len(recomputed))
        )
        return
    for number, (ours, theirs) in enumerate(zip(archived, recomputed, strict=True), start=1):
        for key in ours:
            if key in theirs:
                yield from _compare_text(name, f"row {number}, {key}", ours[key], theirs[key])


def _compare_data(
    name: str, where: str, archived: Any, recomputed: Any
) -> Iterator[ValueDifference]:
    if isinstance(archived, dict) and isinstance(recomputed, dict):
        yield from _compare_objects(name, where, archived, recomputed)
    elif isinstance(archived, list) and isinstance(recomputed, list):
        yield from _compare_lists(name, where, archived, recomputed)
    elif isinstance(archived, str) and isinstance(recomputed, str):
        yield from _compare_text(name, where, archived, recomputed)
    elif archived != recomputed and not _is_same_number(archived, recomputed):
        yield ValueDifference(
            file=name, where=where, archived=_shown(archived), recomputed=_shown(recomputed)
        )


def _compare_objects(
    name: str, where: str, archived: Mapping[str, Any], recomputed: Mapping[str, Any]
) -> Iterator[ValueDifference]:
    is_numbers = where.rpartition(".")[2] in _NUMBERS
    for key in archived:
        inside = f"{where}.{key}".lstrip(".")
        if key in recomputed:
            yield from _compare_data(name, inside, archived[key], recomputed[key])
        elif is_numbers:
            yield ValueDifference(
                file=name, where=inside, archived=_shown(archived[key]), recomputed=""
            )
    for key in recomputed.keys() - archived.keys() if is_numbers else ():
        yield ValueDifference(
            file=name, where=f"{where}.{key}", archived="", recomputed=_shown(recomputed[key])
        )


def _compare_lists(
    name: str, where: str, archived: Sequence[Any], recomputed: Sequence[Any]
) -> Iterator[ValueDifference]:
    if _have_ids(archived) and _have_ids(recomputed):
        ours, theirs = ({each["id"]: each for each in side} for side in (archived, recomputed))
        yield from _compare_objects(name, where, ours, theirs)
        for missing in ours.keys() - theirs.keys():
            yield ValueDifference(file=name, where=where, archived=missing, recomputed="")
        for added in theirs.keys() - ours.keys():
            yield ValueDifference(file=name, where=where, archived="", recomputed=added)
    elif len(archived) == len(recomputed):
        for number, pair in enumerate(zip(archived, recomputed, strict=True), start=1):
            yield from _compare_data(name, f"{where} {number}".strip(), *pair)
    else:
        are_words = all(isinstance(each, str) for each in (*archived, *recomputed))
        yield ValueDifference(
            file=name,
            where=where,
            archived=f"{len(archived)} entries",
            recomputed=f"{len(recomputed)} entries",
            is_wording=are_words,
        )


def _have_ids(side: Sequence[Any]) -> bool:
    return bool(side) and all(
        isinstance(each, dict) and isinstance(each.get("id"), str) for each in side
    )


def _compare_text(
    name: str, where: str, archived: str, recomputed: str
) -> Iterator[ValueDifference]:
    if archived == recomputed or _is_same_number(_number(archived), _number(recomputed)):
        return
    is_wording = " " in archived.strip() and " " in recomputed.strip()
    if is_wording and _without_numbers(archived) == _without_numbers(recomputed):
        pairs = zip(_NUMBER.findall(archived), _NUMBER.findall(recomputed), strict=True)
        if all(_is_same_number(_number(ours), _number(theirs)) for ours, theirs in pairs):
            return
        is_wording = False
    yield ValueDifference(
        file=name, where=where, archived=archived, recomputed=recomputed, is_wording=is_wording
    )


def _without_numbers(text: str) -> str:
    return _NUMBER.sub("#", text)


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _is_same_number(archived: Any, recomputed: Any) -> bool:
    if not (_is_number(archived) and _is_number(recomputed)):
        return False
    return math.isclose(archived, recomputed, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
