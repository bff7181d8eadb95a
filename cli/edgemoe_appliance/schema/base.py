"""The base of every typed document: immutable, strict about unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edgemoe_appliance.schema.text import canonical_json, digest_of

__all__ = [
    "INT64_MAX",
    "Count",
    "CountFromOne",
    "Frozen",
    "Int64",
    "NotNegative",
    "Positive",
    "canonical_json",
    "digest_of",
]

# Whole numbers of records fit 64 bits, as every reader of tables assumes.
INT64_MAX = 2**63 - 1
Int64 = Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)]
Count = Annotated[int, Field(ge=0, le=INT64_MAX)]
CountFromOne = Annotated[int, Field(ge=1, le=INT64_MAX)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class Frozen(BaseModel):
    """An immutable value whose unknown keys are errors and whose numbers are finite."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # A program reads few of the kinds of documents there are: each costs when first read.
        defer_build=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        json_schema_serialization_defaults_required=True,
    )
