"""The base of every typed document: immutable, strict about unknown keys."""

from __future__ import annotations

import hashlib
import json

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable value whose unknown keys are errors and whose numbers are finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=()
    )


def canonical_json(value: object) -> str:
    """Return JSON with sorted keys and no spaces, equal for equal values."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest_of(value: object) -> str:
    """Return the sha256 (hex) of the canonical JSON of a JSON-like value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
