# ruff: noqa: E501  lines of real logs
"""What engines of several ages said of themselves, captured or as their sources print it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.engine.account import Account, parse_account
from edgemoe_appliance.schema.records import BufferFacts, BufferKind
from edgemoe_appliance.schema.units import MIB
from tests.engine.captured_text import captured

# A Jetson with b4404, shortened; numbers as in its log.
CUDA = """\
ggml_cuda_init: found 1 CUDA devices:
  Device 0: Orin, compute capability 8.7, VMM: yes
llama_load_model_from_file: using device CUDA0 (Orin) - 5000 MiB free
llama_model_loader: loaded meta data with 35 key-value pairs and 195 tensors from /m/o.gguf (version GGUF V3 (latest))
llama_model_loader: - kv   2:  general.name str  = no usable GPU found
llm_load_print_meta: general.name     = offloaded 0/17 layers to GPU
llm_load_tensors: offloading 16 repeating layers to GPU
llm_load_tensors: offloading output layer to GPU
llm_load_tensors: offloaded 17/17 layers to GPU
llm_load_tensors:   CPU_Mapped model buffer size =    66.00 MiB
llm_load_tensors:        CUDA0 model buffer size =  3953.00 MiB
llama_new_context_with_model: n_ctx         = 4096
llama_new_context_with_model: n_batch       = 2048
llama_new_context_with_model: n_ubatch      = 512
llama_new_context_with_model: flash_attn    = 0
llama_kv_cache_init:      CUDA0 KV buffer size =   512.00 MiB
llama_new_context_with_model:  CUDA_Host  output buffer size =     0.19 MiB
llama_new_context_with_model:      CUDA0 compute buffer size =   280.00 MiB
llama_new_context_with_model:      CUDA0 compute buffer size =   288.00 MiB
llama_new_context_with_model:  CUDA_Host compute buffer size =    12.01 MiB
system_info: n_threads = 6 (n_threads_batch = 6) / 6 | CUDA : ARCHS = 870 | USE_GRAPHS = 1 | CPU : NEON = 1 |
generate: n_ctx = 4096, n_batch = 2048, n_predict = 256, n_keep = 0
"""
NO_GPU = "warning: no usable GPU found, --gpu-layers option will be ignored\n"
SLIDING = """\
llama_kv_cache:        CPU KV buffer size =     8.00 MiB
llama_kv_cache:        CPU KV buffer size =     4.50 MiB
"""
BEFORE_KINDS = "llm_load_tensors:      CUDA0 buffer size =  4685.30 MiB\n"
ODD = "llama_kv_cache_dsv4:      CUDA0 DSV4 index state buffer size =     1.50 MiB\n"
BREAKDOWN = """\
common_memory_breakdown_print: | memory breakdown [MiB]  | total   free     self   model   context   compute    unaccounted |
common_memory_breakdown_print: |   - CUDA0 (Orin)        |  7620 = 2100 + ( 4500 =  4213 +     128 +     159) +        1020 |
common_memory_breakdown_print: |   - Host                |                   124 =   116 +       0 +       8                |
"""


def sizes(text: str) -> dict[str, float]:
    return {f"{b.device} {b.kind.value}": b.bytes / MIB for b in parse_account(text).facts.buffers}


@pytest.mark.parametrize("name", ["ok", "ok-b4404", "ok-b5763", "ok-b11312"])
def test_each_age_says_what_it_used(name: str) -> None:
    account = parse_account(captured(name))
    facts = account.facts
    assert (facts.threads, account.batch_threads, account.asked_tokens) == (1, 1, 16)
    assert (facts.context, facts.batch, facts.ubatch) == (256, 256, 256)
    assert facts.flash_attention is False
    assert Path(account.model_file or "").name == "twin-tiny-olmoe-1b-7b.gguf"
    assert (account.no_gpu, account.maps_model, facts.devices) == (False, True, ())
    kinds = {buffer.kind for buffer in facts.buffers}
    assert kinds == {BufferKind.MODEL, BufferKind.KV, BufferKind.COMPUTE, BufferKind.OUTPUT}
    assert all(buffer.is_host for buffer in facts.buffers)


def test_a_device_its_layers_and_its_memory() -> None:
    account = parse_account(CUDA)
    facts = account.facts
    assert facts.devices == ("CUDA0",)
    assert (facts.layers_offloaded, facts.layers) == (17, 17)
    assert account.cuda_graphs
    assert account.model_file == "/m/o.gguf"
    assert sizes(CUDA) == pytest.approx(
        {
            "CPU_Mapped model": 66,
            "CUDA0 model": 3953,
            "CUDA0 kv": 512,
            "CUDA_Host output": 0.19,
            "CUDA0 compute": 288,  # allocated anew: the last counts
            "CUDA_Host compute": 12.01,
        },
        rel=1e-5,
    )
    on_device = [buffer.bytes for buffer in facts.buffers if not buffer.is_host]
    assert sum(on_device) == (3953 + 512 + 288) * MIB


def test_a_model_s_own_strings_are_not_what_the_engine_says() -> None:
    assert not parse_account(CUDA).no_gpu
    assert parse_account(CUDA + NO_GPU).no_gpu
    assert parse_account(CUDA + NO_GPU).lines["no_gpu"] == NO_GPU.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SLIDING, {"CPU kv": 12.5}),
        (BEFORE_KINDS, {"CUDA0 model": 4685.3}),
        (ODD, {"CUDA0 other": 1.5}),
        (
            BREAKDOWN,
            {
                "CUDA0 model": 4213,
                "CUDA0 kv": 128,
                "CUDA0 compute": 159,
                "Host model": 116,
                "Host kv": 0,
                "Host compute": 8,
            },
        ),
        ("llm_load_tensors: CUDA0 model buffer size = nan MiB\n", {}),
        ("", {}),
    ],
)
def test_lines_of_buffers(text: str, expected: dict[str, float]) -> None:
    assert sizes(text) == pytest.approx(expected, rel=1e-6)


def test_a_table_at_the_end_is_read_only_where_no_line_told_of_a_buffer() -> None:
    assert set(sizes(SLIDING + BREAKDOWN)) == {"CPU kv"}


@pytest.mark.parametrize(
    ("name", "is_host"),
    [
        *((name, True) for name in ("CPU", "CPU_Mapped", "CPU_REPACK", "CUDA_Host", "AMX", "Host")),
        *((name, False) for name in ("CUDA0", "CUDA_Split", "Metal_Mapped", "MTL0", "Vulkan1")),
    ],
)
def test_what_lies_on_a_device(name: str, is_host: bool) -> None:
    assert BufferFacts(device=name, kind=BufferKind.MODEL, bytes=1).is_host is is_host


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("llama_context: flash_attn    = 1\n", True),
        ("llama_context: flash_attn            = enabled\n", True),
        ("llama_context: flash_attn            = disabled\n", False),
        ("llama_context: flash_attn            = auto\n", None),
        ("llama_context: flash_attn = auto\nsched_reserve: Flash Attention enabled\n", True),
        (
            "llama_context: flash_attn = auto\n"
            "llama_context: Flash Attention was auto, set to disabled\n",
            False,
        ),
        ("", None),
    ],
)
def test_flash_attention(text: str, used: bool | None) -> None:
    assert parse_account(text).facts.flash_attention is used


def test_nothing_said_is_nothing_known() -> None:
    account = parse_account("")
    assert account == Account(
        facts=account.facts,
        batch_threads=None,
        asked_tokens=None,
        model_file=None,
        no_gpu=False,
        maps_model=None,
        cuda_graphs=False,
        lines={},
    )
    numbers = (account.facts.context, account.facts.threads, account.facts.layers_offloaded)
    assert numbers == (None, None, None)


@pytest.mark.parametrize("digits", [16, 300])
def test_a_number_past_all_sense_is_not_read(digits: int) -> None:
    text = f"llama_context: n_ctx = {'9' * digits}\nx: CPU KV buffer size = {'9' * digits}.00 MiB\n"
    account = parse_account(text)
    assert (account.facts.context, account.facts.buffers) == (None, ())
