"""JSON documents of an archive: equal bytes for equal values. Pure."""

from __future__ import annotations

import json
from datetime import datetime

from edgemoe_appliance.errors import RecordError


def json_bytes(value: object) -> bytes:
    """Return a document as indented JSON with sorted keys."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode(errors="replace")


def parse_moment(utc: str, where: str) -> datetime:
    """Return a moment that a record tells. Raises RecordError where it is none."""
    try:
        return datetime.fromisoformat(utc.replace("Z", "+00:00"))
    except ValueError as error:
        raise RecordError(f"{utc!r} is no moment", where=where) from error
