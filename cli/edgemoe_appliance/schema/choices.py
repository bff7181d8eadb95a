"""What a person chooses by name on the command line, and records keep by that name.

Apart from the documents, as naming one must not load what reads them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import Enum
from typing import Final

from edgemoe_appliance.errors import ConfigError

# Ids become file names, container labels and HTML anchors: keep them harmless in all three. Shells
# take them as they are, too.
IDENTIFIER_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"

# Names that are told where one is unknown.
_MOST_TOLD: Final = 12


def quantised_id(source: str, kind: str) -> str:
    """Return the id of a model that is made of another as a type."""
    return f"{source}-{kind.lower().replace('+', '-')}"


def guessed_name(name: str, known: Iterable[str]) -> str:
    """Return a question that leads a hint, ending in a space; empty where no name is near."""
    known = list(known)
    begins = [each for each in known if name and each.startswith(name)]
    near = difflib.get_close_matches(name, known, n=1) or begins
    return f"did you mean {near[0]}? " if near else ""


def unknown_name(kind: str, name: str, known: Iterable[str], file: str) -> ConfigError:
    """Return the error for a name that a file of configs does not have."""
    known = list(known)
    more = f" and {len(known) - _MOST_TOLD} more" if len(known) > _MOST_TOLD else ""
    has = f"{file} has: {', '.join(known[:_MOST_TOLD])}{more}"
    return ConfigError(f"unknown {kind} {name!r}", hint=f"{guessed_name(name, known)}{has}")


class RuntimeKind(str, Enum):
    """The two ways of measuring."""

    NATIVE = "native"
    CONTAINER = "container"


class ImageArchitecture(str, Enum):
    """The processor that an image is for, as images name it (Go's GOARCH)."""

    AMD64 = "amd64"
    ARM64 = "arm64"


class TwinScale(str, Enum):
    """How large a twin is beside its model."""

    TINY = "tiny"  # a few MB, for tests
    THIN = "thin"  # true widths, an eighth of the layers and of the vocabulary
    FULL = "full"


class TwinRouting(str, Enum):
    """How a twin's routers spread tokens over the experts: bounds for what a trained one does."""

    UNIFORM = "uniform"  # no expert of a layer is favoured
    SKEWED = "skewed"  # a few of each layer get most tokens


class Order(str, Enum):
    """How the runs of a plan follow one another."""

    # Models, arms and pins alternate inside each prompt and repetition, each of them as often in
    # each place and after each other one; `interleaved` keeps one order throughout.
    COUNTERBALANCED = "counterbalanced"
    INTERLEAVED = "interleaved"
    RANDOMISED = "randomised"  # shuffled with the recorded seed
    BLOCKED = "blocked"  # the study: all runs of a model together
