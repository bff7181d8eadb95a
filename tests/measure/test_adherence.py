"""Runs held against their plans, by what engines print."""

from __future__ import annotations

import pytest

from edgemoe_appliance.engine.account import parse_account
from edgemoe_appliance.measure.adherence import Deviation, RunExpectation, check_adherence
from edgemoe_appliance.schema.configs import Arm, Assessment, Backend
from edgemoe_appliance.schema.plan import RunSpec
from tests.engine.test_account import CUDA, NO_GPU
from tests.schema.builders import a_model, a_spec, a_target

MODEL = "/m/o.gguf"
CPU = "".join(
    line
    for line in CUDA.replace("CUDA0", "CPU").splitlines(keepends=True)
    if "GPU" not in line and "using device" not in line
)


def differences(
    text: str,
    *,
    backend: Backend = Backend.CUDA,
    layers: int | None = 99,
    model: str = MODEL,
    generated: int | None = 256,
    **spec: object,
) -> tuple[Deviation, ...]:
    target = a_target().model_copy(update={"backend": backend, "n_gpu_layers": layers})
    run: RunSpec = a_spec().model_copy(update=spec)
    planned = RunExpectation(
        spec=run, target=target, model=a_model().model_copy(update={"path": model})
    )
    return check_adherence(parse_account(text), planned, generated)


def test_the_run_that_was_planned_differs_in_nothing() -> None:
    assert differences(CUDA) == ()
    assert differences(CPU, backend=Backend.CPU, layers=None) == ()
    assert differences(CUDA, generated=11) == ()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", NO_GPU, "the engine found none: 'warning: no usable GPU found"),
        ("offloaded 17/17", "offloaded 12/17", "17 layers were to lie on the GPU, 12 do: '"),
        ("offloaded 17/17", "offloaded 0/17", "17 layers were to lie on the GPU, 0 do: '"),
        ("device CUDA0", "device Vulkan0", "to be cuda, the engine uses Vulkan0: '"),
        ("n_threads = 6", "n_threads = 2", "threads: 6 wanted, 2 used: 'system_info"),
        ("n_threads_batch = 6", "n_threads_batch = 2", "batch threads: 6 wanted, 2 used"),
        ("n_ctx         = 4096", "n_ctx         = 2048", "context: 4096 tokens wanted, 2048 used"),
        ("flash_attn    = 0", "flash_attn    = 1", "flash attention was not to be used: '"),
        ("/m/o.gguf", "/m/other.gguf", "the model was to be /m/o.gguf: 'llama_model_loader"),
        ("n_predict = 256", "n_predict = 32", "256 tokens were to be generated at most: 'generate"),
    ],
)
def test_another_run_than_planned_is_told_with_its_proof(old: str, new: str, said: str) -> None:
    first = differences(CUDA.replace(old, new) if old else new + CUDA)[0]
    assert first.spoils
    assert said in str(first)
    assert first.caveat.code == "engine-differs"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("n_batch       = 2048", "n_batch       = 512", "batch: 2048 wanted, 512 used: '"),
        ("n_ubatch      = 512", "n_ubatch      = 256", "ubatch: 512 wanted, 256 used: '"),
        ("CUDA0 (Orin)", "CUDA0 (A) - 1 MiB free\nx: using device CUDA1 (B)", "over 2 devices"),
        ("system_info: n_threads", "n_threads", "did not say what it used: threads"),
        ("loaded meta data", "loaded", "did not say what it used: model file"),
    ],
)
def test_what_may_be_so_is_told_and_kept(old: str, new: str, said: str) -> None:
    (only,) = differences(CUDA.replace(old, new))
    assert not only.spoils
    assert said in str(only)
    assert only.caveat.code == "engine-setting"


def test_a_run_on_the_processor_uses_nothing_else() -> None:
    found = differences(CUDA, backend=Backend.CPU, layers=None)
    assert [each.spoils for each in found] == [True, True]
    assert "0 layers were to lie on the GPU, 17 do" in str(found[0])
    assert "the engine uses CUDA0 too" in str(found[1])
    # A build for a device sends it long prompts even where it holds no layer.
    (only,) = differences(
        CUDA.replace("offloaded 17/17", "offloaded 0/17"), backend=Backend.CPU, layers=None
    )
    assert only.spoils


def test_fewer_layers_than_there_are_may_be_asked_for() -> None:
    assert differences(CUDA.replace("offloaded 17/17", "offloaded 8/17"), layers=8) == ()


def test_silence_about_layers_is_no_agreement() -> None:
    without = "".join(x for x in CPU.splitlines(keepends=True) if "buffer size" not in x)
    (only,) = differences(without)
    assert (only.spoils, "layers on the GPU" in str(only)) == (False, True)


def test_layers_that_are_only_said_to_lie_there_do_not() -> None:
    said = CUDA.replace("CUDA0 model buffer", "CPU_Mapped model buffer")
    (only,) = differences(said)
    assert only.spoils
    assert "all weights lie in the host's memory: 'llm_load_tensors: offloaded 17/17" in str(only)


def test_chunks_that_are_judged_may_lie_beside_one_another() -> None:
    assert differences(CUDA, context=512, assesses=Assessment.DIVERGENCE) == (), "eight of them"
    other = differences(CUDA, context=600, assesses=Assessment.DIVERGENCE)
    assert [each.spoils for each in other] == [True]
    assert [each.spoils for each in differences(CUDA, context=512)] == [True]


def test_a_context_that_was_rounded_up_is_the_asked_one() -> None:
    """Newer engines make it a multiple of 256, and say so."""
    padded = CUDA.replace("n_ctx         = 4096", "n_ctx         = 2048")
    assert [each.spoils for each in differences(padded, context=1800)] == [False]
    assert [each.spoils for each in differences(padded, context=1500)] == [True]


def test_an_arm_without_mmap_maps_nothing() -> None:
    (only,) = differences(CUDA, arm=Arm.NO_MMAP)
    assert only.spoils
    assert "_Mapped model buffer" in str(only)
    assert differences(CUDA.replace("CPU_Mapped", "CPU"), arm=Arm.NO_MMAP) == ()


def test_more_tokens_than_asked_for() -> None:
    (only,) = differences(CUDA, generated=257)
    assert (only.spoils, only.line) == (True, None)
