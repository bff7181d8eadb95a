"""report.yaml: the words of a study's page, and its sections in their order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgemoe_appliance.schema.base import Frozen

# What a page can show, each with the tables, figures and lists of its own.
SectionId = Literal[
    "hardware",
    "models",
    "prompts",
    "metrics",
    "throughput",
    "memory",
    "prompt-length",
    "stability",
    "energy",
    "routing",
    "stated",
    "claims",
    "audit",
    "threats",
    "runs",
]


class SectionWords(Frozen):
    """The title of a section, and how to read what stands in it."""

    title: str
    text: str = ""


class ReportConfig(Frozen):
    """Heading and sections of a page; those that are not named are left out."""

    heading: str
    sections: Annotated[dict[SectionId, SectionWords], Field(min_length=1)]
