"""Files of fewer bits for a plan: found where they were made, else made by the pin's own tool."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.progress import Steps
from edgemoe_appliance.engine.quantise import (
    IMATRIX_NAME,
    count_importance,
    quantise,
    require_quantise_type,
)
from edgemoe_appliance.measure.host import usable_cores
from edgemoe_appliance.models.ggml_types import GGML_TYPES
from edgemoe_appliance.models.gguf import read_header
from edgemoe_appliance.models.quantised import (
    NEEDS_IMATRIX,
    Derivation,
    describe_tensors,
    keep_quantised,
    quantised_path,
    read_quantised,
)
from edgemoe_appliance.models.store import check_room_for_model
from edgemoe_appliance.schema.configs import Quantisation
from edgemoe_appliance.schema.files import file_sha256, scratch_folder, sync_folder
from edgemoe_appliance.schema.plan import QUANTISE_TOOL, EngineBuild, PlannedModel, QuantisedFile
from edgemoe_appliance.schema.resources import resource_folder

# Importance is counted over chunks of so many tokens: the tool's own context.
_CONTEXT: Final = 512
_CALIBRATION: Final = "calibration.txt"
# The file itself, and the matrix with room for what a matrix takes: far below a file of two bits.
_MATRIX_SHARE: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What makes files of fewer bits: a pin, known before it is built, and its build on this host.

    `build` gives the engine with its tools and is called where a file is not there yet. Models that
    were `obtained` are read once, however many files are made of them.
    """

    pin: str
    pin_sha256: str
    build: Callable[[], EngineBuild]
    folders: Folders
    steps: Steps
    obtained: dict[str, PlannedModel] = field(default_factory=dict)
    _built: list[EngineBuild] = field(default_factory=list)
    # Of what was weighed already, by source and text: one matrix serves every type.
    _matrices: dict[tuple[str, str], bytes] = field(default_factory=dict)

    @property
    def engine(self) -> EngineBuild:
        """Return the engine with its tools, built when it is first asked for."""
        if not self._built:
            self._built.append(self.build())
        return self._built[0]

    def obtain(self, model_id: str, wanted: Quantisation, source: PlannedModel) -> Path:
        """Return a file of fewer bits of a source, made where it is not there yet.

        Raises ConfigError for a type that the pin cannot make, HostError where its tool fails or
        the disk has no room, DigestError where the file that is there is not the one that was made.
        """
        derivation = self._derivation(wanted, source)
        path = quantised_path(model_id, derivation, self.folders.models)
        if not path.is_file():
            require_quantise_type(self.engine, wanted.type)
            with self.steps.step(f"quantise {model_id}"):
                self._make(model_id, wanted, source, derivation, path)
        read_quantised(path)
        return path

    def _derivation(self, wanted: Quantisation, source: PlannedModel) -> Derivation:
        is_weighted = wanted.is_weighed or wanted.type in NEEDS_IMATRIX
        return Derivation(
            source_sha256=source.sha256,
            type=wanted.type,
            pin_sha256=self.pin_sha256,
            calibration_sha256=_sha256(_calibration()) if is_weighted else None,
            context=_CONTEXT if is_weighted else None,
        )

    def _make(
        self,
        model_id: str,
        wanted: Quantisation,
        source: PlannedModel,
        derivation: Derivation,
        path: Path,
    ) -> None:
        """Make a file under another name, read what it holds, and give it its name."""
        # A file that is widened grows to 16 bits for each weight; any other one shrinks.
        largest = max(source.file_bytes, 2 * source.parameters_total)
        check_room_for_model(path.parent, round(largest * (1 + _MATRIX_SHARE)))
        with scratch_folder(".quantise-", path.parent) as scratch:
            made, threads = scratch / path.name, max(1, usable_cores())
            matrix = None
            if derivation.context is not None:
                matrix = self._matrix(model_id, source, scratch, derivation.context)
            quantise(
                self.engine,
                Path(source.path),
                made,
                wanted.type,
                imatrix=matrix,
                threads=threads,
            )
            tensors = describe_tensors(read_header(made, GGML_TYPES), wanted.type)
            facts = QuantisedFile(
                of=wanted.of,
                of_sha256=source.sha256,
                origin=wanted.origin,
                type=wanted.type,
                pin=self.pin,
                tool_sha256=self.engine.tools_sha256[QUANTISE_TOOL],
                imatrix_sha256=None if matrix is None else file_sha256(matrix),
                calibration_sha256=derivation.calibration_sha256,
                bits_per_weight=tensors.bits_per_weight,
                tensors=tensors.tensors,
                fallbacks=tensors.fallbacks,
            )
            made.replace(path)
        sync_folder(path.parent)
        keep_quantised(path, derivation, facts)

    def _matrix(self, model_id: str, source: PlannedModel, scratch: Path, context: int) -> Path:
        """Return the importance matrix of a source in a folder, counted once for all its types."""
        text = _calibration()
        key = (source.sha256, _sha256(text))
        path = scratch / IMATRIX_NAME
        if key in self._matrices:
            path.write_bytes(self._matrices[key])
            return path
        with self.steps.step(f"weights of importance for {model_id}"):
            count_importance(
                self.engine,
                Path(source.path),
                text,
                path,
                context=context,
                threads=max(1, usable_cores()),
            )
        self._matrices[key] = path.read_bytes()
        return path


def _calibration() -> str:
    return (resource_folder("configs") / _CALIBRATION).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
