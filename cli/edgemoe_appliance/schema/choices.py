"""What a person chooses by name on the command line, and records keep by that name.

Apart from the documents, as naming one must not load what reads them.
"""

from __future__ import annotations

from enum import Enum


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
