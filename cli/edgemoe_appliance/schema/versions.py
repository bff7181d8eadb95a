"""Versions of documents on disk: older ones brought to the present form, newer ones told apart.

The only place that knows what journals, plans and archives looked like before. An upgrade is a pure
function of the document's data and runs before it is validated, so that everything behind the
validation knows one form alone.

- Version 1 of a record called a measuring period a `sitting`, and caveats `doubts`.
- Version 1 of a plan had no `study`.
- Version 1 of an archive told neither `study` nor `semantics`: the number 1 stands for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from edgemoe_appliance.errors import NewerRecordError, RecordError
from edgemoe_appliance.schema.text import on_one_line

Data = dict[str, Any]
# The type of a validation error that stands for a name that a newer appliance may know.
UNKNOWN_NAME: Final = "unknown_name"
_UNKNOWN_VALUE: Final = frozenset({UNKNOWN_NAME, "enum", "literal_error", "union_tag_invalid"})
_VERSION: Final = "schema_version"
# Old and new change places: a name of the new form is as unknown in an old record as ever.
_RECORD_KEYS: Final = {"doubts": "caveats", "caveats": "doubts"}
_RECORD_KINDS: Final = {"sitting": "period", "period": "sitting"}
_NEWER: Final = "use a newer edgemoe-appliance"


def upgrade_record(data: Mapping[str, Any]) -> Data:
    """Return a record of version 1 in the form of version 2."""
    upgraded = {_RECORD_KEYS.get(key, key): value for key, value in data.items()}
    kind = data.get("kind")
    if isinstance(kind, str):
        upgraded["kind"] = _RECORD_KINDS.get(kind, kind)
    return {**upgraded, _VERSION: 2}


def upgrade_plan(data: Mapping[str, Any]) -> Data:
    """Return a plan of version 1 in the form of version 2."""
    return {**data, _VERSION: 2}


def upgrade_about(data: Mapping[str, Any]) -> Data:
    """Return what an archive of version 1 says of itself in the form of version 2."""
    return {**data, "semantics": 1, "study": None, _VERSION: 2}


def upgraded_json(content: bytes, upgrade: Callable[[Mapping[str, Any]], Data]) -> bytes | None:
    """Return a document of version 1 after its upgrade; None where it is not of version 1."""
    data = _parse(content)
    return json.dumps(upgrade(data)).encode() if data and _version(data) == 1 else None


def require_unique_keys(content: bytes, where: str) -> None:
    """Raise RecordError where a document names a key twice: readers differ in which one counts."""
    try:
        _UNIQUE.decode(content.decode())
    except _TwiceError as error:
        raise RecordError(
            f"the key {on_one_line(error.args[0], 64)} is named twice",
            where=where,
            hint="edited? the appliance writes each once",
        ) from error
    except (ValueError, RecursionError):  # what is no JSON is told by whoever parses it
        return


class _TwiceError(Exception):
    """A key that stands twice in one object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _TwiceError(key)
            seen.add(key)
    return found


_UNIQUE: Final = json.JSONDecoder(object_pairs_hook=_unique)


def as_record_error(
    error: ValidationError,
    content: bytes,
    where: str | None,
    *,
    kind: str,
    newest: int,
    hint: str = "",
) -> RecordError:
    """Return the first thing that is wrong with a document as an error of one line.

    `kind` is what it should have been (`record`, `plan`). A version above `newest`, and a value
    that is missing in an enumeration of ours, say that the document is newer than the appliance.
    """
    first = error.errors(include_url=False)[0]
    data = _parse(content) or {}
    version = _version(data)
    if version is not None and version > newest:
        return NewerRecordError(
            f"{kind} of schema {on_one_line(version, 20)}, newest known: {newest}",
            where=where,
            hint=_NEWER,
        )
    key = ".".join(map(str, first["loc"])) or kind
    what = on_one_line(f"{key}: {first['msg']}", 300)
    if _is_newer(first["type"], first["loc"]) and version is not None:
        return NewerRecordError(f"{what}; the {kind} is newer", where=where, hint=_NEWER)
    return RecordError(what, where=where, hint=hint)


def _is_newer(error_type: str, location: tuple[int | str, ...]) -> bool:
    return error_type in _UNKNOWN_VALUE and _VERSION not in location


def _version(data: Mapping[str, Any]) -> int | None:
    version = data.get(_VERSION)
    return version if type(version) is int else None


def _parse(content: bytes) -> Data | None:
    try:
        # Bytes would be taken for UTF-16 where they look like it; records are UTF-8.
        data = json.loads(content.decode())
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
