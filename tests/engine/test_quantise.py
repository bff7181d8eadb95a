"""What the engine's own quantiser can make, and what is said where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.engine.quantise import (
    quantise,
    read_quantise_types,
    require_quantise_type,
)
from edgemoe_appliance.errors import ConfigError, HostError, RecordError
from edgemoe_appliance.schema.plan import QUANTISE_TOOL, EngineBuild
from tests.schema.builders import a_plan

# As the tool of b4447 prints them, which ends with 1 when asked for help.
HELP = """usage: ./llama-quantize [--help] model-f32.gguf [model-quant.gguf] type [nthreads]
Allowed quantization types:
   2  or  Q4_0    :  4.34G, +0.4685 ppl @ Llama-3-8B
  10  or  Q2_K    :  2.96G, +3.5199 ppl @ Llama-3-8B
   1  or  F16     : 14.00G, +0.0020 ppl @ Mistral-7B
          COPY    : only copy tensors, no quantizing"""


def engine_with(folder: Path, script: str) -> EngineBuild:
    """Return a build whose quantiser is a shell script."""
    tool = folder / QUANTISE_TOOL
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    (build, *_) = a_plan().engines.values()
    return build.model_copy(
        update={
            "binary": str(folder / build.program),
            "tools_sha256": {QUANTISE_TOOL: "a" * 64},
        }
    )


def telling(folder: Path) -> EngineBuild:
    return engine_with(folder, f"cat <<'END'\n{HELP}\nEND\nexit 1")


def test_the_types_are_those_that_the_tool_tells(tmp_path: Path) -> None:
    assert read_quantise_types(telling(tmp_path)) == ("Q4_0", "Q2_K", "F16", "COPY")


def test_a_type_that_the_pin_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    engine = telling(tmp_path)
    require_quantise_type(engine, "Q2_K")
    with pytest.raises(ConfigError) as caught:
        require_quantise_type(engine, "TQ2_0")
    assert str(caught.value) == (
        f"llama.cpp {engine.pin} cannot quantise to TQ2_0; name a newer --pin, or one of "
        "Q4_0, Q2_K, F16, COPY"
    )
    assert caught.value.exit_code == 2


def test_a_tool_that_tells_no_types_is_no_tool(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="names no types"):
        read_quantise_types(engine_with(tmp_path, "exit 127"))


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("echo 'write error: No space left on device' >&2; exit 1", HostError, "No space left"),
        ("echo 'found nan value at block 3' >&2; exit 1", RecordError, "weights that are no num"),
    ],
)
def test_a_quantiser_that_fails_is_told_apart_from_weights_that_are_no_numbers(
    tmp_path: Path, script: str, kind: type[Exception], words: str
) -> None:
    engine = engine_with(tmp_path, script)
    with pytest.raises(kind, match=words):
        quantise(
            engine,
            tmp_path / "source.gguf",
            tmp_path / "made.gguf",
            "Q2_K",
            imatrix=None,
            threads=1,
        )
