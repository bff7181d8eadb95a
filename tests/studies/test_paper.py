"""Every figure of the study's tables and text, written down here a second time."""

from __future__ import annotations

from typing import Any

import pytest

from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.studies import Study, read_study
from edgemoe_appliance.studies.paper import StudyTable

LLAMA, OLMOE, QWEN, GEMMA = "llama-3.2-1b", "olmoe-1b-7b", "qwen2.5-1.5b", "gemma-2-2b"
Rows = dict[tuple[str, str], tuple[float | None, ...]]

THROUGHPUT: Rows = {  # mean, median
    ("m2", LLAMA): (127.4, 130.7),
    ("m2", OLMOE): (114.5, 116.2),
    ("m2", QWEN): (88.0, 89.5),
    ("m2", GEMMA): (59.9, 60.4),
    ("jetson", LLAMA): (33.4, 33.0),
    ("jetson", QWEN): (24.6, 24.5),
    ("jetson", OLMOE): (22.9, 23.0),
    ("jetson", GEMMA): (15.4, 15.4),
}
MEMORY: Rows = {  # GiB, ratio to the file
    ("m2", LLAMA): (0.98, 1.21),
    ("m2", QWEN): (1.12, 1.13),
    ("m2", GEMMA): (2.09, 1.22),
    ("m2", OLMOE): (4.49, 1.07),
    ("jetson", LLAMA): (1.87, 2.31),
    ("jetson", QWEN): (2.09, 2.11),
    ("jetson", GEMMA): (3.44, 2.01),
    ("jetson", OLMOE): (8.01, 1.90),
}
PROMPT_LENGTH: Rows = {  # short, medium, long, slope
    ("m2", LLAMA): (134.4, 130.2, 107.8, 19.7),
    ("m2", OLMOE): (119.2, 115.0, 103.8, 12.9),
    ("m2", QWEN): (90.6, 89.2, 80.7, 10.9),
    ("m2", GEMMA): (60.7, 60.3, 57.4, 5.4),
    ("jetson", LLAMA): (34.3, 32.8, 32.8, 4.4),
    ("jetson", QWEN): (25.1, 24.4, 23.8, 5.2),
    ("jetson", OLMOE): (23.3, 22.9, 22.2, 4.7),
    ("jetson", GEMMA): (15.7, 15.4, 14.8, 5.4),
}
STABILITY: Rows = {  # value, at least, at most
    ("m2", LLAMA): (8.1, None, None),
    ("m2", OLMOE): (None, None, 5.2),
    ("m2", QWEN): (None, None, 5.2),
    ("m2", GEMMA): (None, None, 5.2),
    ("jetson", LLAMA): (None, 2.0, 2.4),
    ("jetson", QWEN): (None, 2.0, 2.4),
    ("jetson", OLMOE): (None, 2.0, 2.4),
    ("jetson", GEMMA): (None, 2.0, 2.4),
}
ENERGY: Rows = {  # J/token mean and median, W average and peak, C peak
    ("jetson", LLAMA): (0.45, 0.44, 11.31, 12.89, 53.2),
    ("jetson", QWEN): (0.56, 0.56, 11.32, 12.30, 53.3),
    ("jetson", GEMMA): (0.93, 0.91, 11.67, 12.74, 55.5),
    ("jetson", OLMOE): (0.96, 0.86, 8.49, 10.97, 55.1),
}
ROUTING: Rows = {  # runs, ms of routing, expert FFN and both, share
    ("m2", "decode-dominated"): (30, 2871, 5587, 8458, 33.5),
    ("m2", "prefill-heavy"): (6, 3059, 27751, 30810, 10.2),
    ("jetson", "decode-dominated"): (30, 635, 6534, 7169, 8.9),
    ("jetson", "prefill-heavy"): (6, 686, 8712, 9398, 7.3),
}
SLOWDOWN: Rows = {  # patched, unpatched, ratio
    ("m2", OLMOE): (7.7, 114.5, 14.9),
    ("jetson", OLMOE): (18.2, 22.9, 1.26),
}
MODELS = {  # active and total parameters in billions, file in GB
    OLMOE: ("OLMoE-1B-7B-0924-Instruct", "moe", 1.3, 6.9, 4.21),
    LLAMA: ("Llama-3.2-1B-Instruct", "dense-active-match", 1.0, 1.0, 0.81),
    QWEN: ("Qwen2.5-1.5B-Instruct", "dense-active-match", 1.5, 1.5, 0.99),
    GEMMA: ("Gemma-2-2B-Instruct", "dense-memory-anchor", 2.0, 2.0, 1.71),
}
STATED = {  # a value, or a range
    "olmoe_below_llama_m2_pct": 10,
    "olmoe_below_llama_jetson_pct": 31,
    "olmoe_over_gemma_file_ratio": 2.5,
    "olmoe_peak_m2_gb": 4.5,
    "olmoe_peak_jetson_gb": 8.0,
    "dense_same_active_gb": (0.8, 1.0),
    "olmoe_over_dense_same_active_ratio": (5, 10),
    "peak_over_file_m2_ratio": (1.1, 1.2),
    "peak_over_file_jetson_ratio": 2.0,
    "olmoe_long_prompt_peak_jetson_gb": 8.01,
    "cv_jetson_pct": (2.0, 2.4),
    "cv_three_models_m2_pct": 5.2,
    "cv_threshold_pct": 10,
    "llama_rate_m2_tok_s": 127,
    "llama_run_m2_s": 2,
    "llama_stall_swing_m2_pct": 5,
    "olmoe_over_llama_energy_ratio": 2.1,
    "olmoe_avg_power_w": 8.5,
    "dense_avg_power_w": (11.3, 11.7),
    "power_envelope_w": 15,
    "peak_soc_c": (53, 56),
    "peak_soc_max_c": 55.5,
    "headline_threads_below_best_pct": (0.6, 2.0),
    "slowdown_m2_ratio": 15,
    "slowdown_jetson_ratio": 1.3,
    "patched_runs": 45,
    "patched_prompts": 12,
    "patched_repetitions": 3,
    "other_over_moe_nodes_ratio": 4,
    "routing_nodes": 6240,
    "ffn_nodes": 5200,
    "routing_m2_s": (2.9, 3.1),
    "routing_jetson_s": (0.6, 0.7),
    "ffn_decode_m2_s": 5.6,
    "ffn_prefill_m2_s": 27.8,
    "ffn_decode_jetson_s": 6.5,
    "ffn_prefill_jetson_s": 8.7,
    "routing_share_caution_pp": 15,
    "routing_share_delta_pp": 24.6,
    "cuda_sync_cheaper_ratio": 12,
    "routing_share_jetson_pct": 9,
    "routing_share_prefill_jetson_pct": 8,
    "routing_share_m2_pct": 33,
    "ffn_over_routing_m2_ratio": 2,
    "total_parameters_ratio": 7,
    "olmoe_memory_tax_m2_gb": 4.5,
    "dense_peak_jetson_gb": (1.87, 3.44),
}
CLAIMS = {  # section and numbers
    "c1": ("4.1", {"slower_pct": 10}),
    "c2": ("4.1", {"slower_pct": 31}),
    "c3": ("4.1", {}),
    "c4": ("4.1", {}),
    "c5": ("4.1", {}),
    "c6a": ("4.2", {}),
    "c6b": ("4.2", {"low_gib_per_gb": 1.1, "high_gib_per_gb": 1.2}),
    "c6c": ("4.2", {"peak_gib_per_gb": 2.0}),
    "c7": ("4.2", {"peak_rss_gib": 8.01, "memory_gb": 8}),
    "c8a": ("4.3", {"variation_pct": 2.4}),
    "c8b": ("4.3", {"variation_pct": 2.4}),
    "c9": ("4.3", {}),
    "c10a": ("4.4", {"low_pct": 2.0, "high_pct": 2.4, "limit_pct": 10}),
    "c10b": ("4.4", {"high_pct": 8.1, "limit_pct": 10}),
    "c11": ("4.5", {"energy_ratio": 2.1}),
    "c12": ("4.5", {"olmoe_w": 8.5, "dense_low_w": 11.3, "dense_high_w": 11.7}),
    "c13": ("4.5", {"peak_c": 55.5, "threshold_c": 60}),
    "c14": ("4.6", {"share_pct": 8.9, "limit_pct": 9}),
    "c15": ("4.6", {}),
    "c16": ("5.3", {}),
    "c17": ("4.1", {"m2_pct": 10, "jetson_pct": 31}),
    "c18": ("4.1", {"file_ratio": 2.5}),
    "c19": ("4.2", {"low_ratio": 5, "high_ratio": 10, "dense_low_gb": 0.8, "dense_high_gb": 1.0}),
    "c20": ("4.2", {"dense_low_gb": 1.87, "dense_high_gb": 3.44, "memory_gb": 8}),
    "c21": ("5.3", {}),
    "c22": ("3.5", {"low_pct": 0.6, "high_pct": 2.0}),
    "c23": ("4.6", {"m2_ratio": 14.9, "jetson_ratio": 1.26}),
    "c24": ("4.6", {"sync_ratio": 12}),
    "c25": ("5.3", {"share_pct": 33.5, "third_pct": 33.3, "ffn_over_routing_ratio": 2}),
    "c26": ("5.3", {"share_pct": 7.3, "limit_pct": 8}),
    "c27": ("5.2", {}),
    "c28a": ("4.5", {}),
    "c28b": ("4.5", {}),
    "c29": ("5.1", {"parameters_ratio": 7}),
    "c30": ("3.5", {}),
    "c31": ("3.5", {"low_pct": 0.6, "high_pct": 2.0}),
    "c32": ("4.2", {}),
    "c33": ("4.2", {}),
    "c34": ("4.5", {}),
    "c35": ("4.5", {"envelope_w": 15}),
    "c36a": ("4.6", {"nodes_ratio": 4}),
    "c36b": ("4.6", {"nodes_ratio": 4}),
    "c37": ("5.1", {"memory_gb": 4.5}),
    "c38a": ("5.3", {}),
    "c38b": ("5.3", {}),
    "c39": ("5.3", {"long_peak_gb": 8.01}),
    "c40": ("5.4", {}),
    "c41": ("5.5", {}),
    "c42": ("7", {}),
    "c43": ("4.6", {}),
    "c44": ("4.4", {"variation_pct": 8.1}),
    "c45": ("4.1", {}),
    "c46": ("4.6", {"share_pct": 8.9}),
    "c47": ("4.3", {"variation_pct": 2.4}),
}


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


def numbers(cell: Frozen) -> tuple[float | None, ...]:
    return tuple(cell.model_dump().values())


@pytest.mark.parametrize(
    ("name", "expected", "where"),
    [
        ("throughput", THROUGHPUT, "section 4.1, Table 3, Fig. 1"),
        ("memory", MEMORY, "section 4.2, Table 4, Fig. 2"),
        ("prompt_length", PROMPT_LENGTH, "section 4.3, Table 5"),
        ("stability", STABILITY, "section 4.4"),
        ("energy", ENERGY, "section 4.5, Table 6, Fig. 3"),
        ("routing", ROUTING, "section 4.6, Table 7"),
        ("slowdown", SLOWDOWN, "section 4.6"),
    ],
)
def test_every_number_of_the_tables(study: Study, name: str, expected: Rows, where: str) -> None:
    table: StudyTable[Any] = getattr(study.tables, name)
    found = {
        (device, row): numbers(cell)
        for device, rows in table.cells.items()
        for row, cell in rows.items()
    }
    assert found == expected
    assert list(found) == list(expected)  # the study's order is kept
    assert str(table.where) == where


def test_every_number_of_the_text(study: Study) -> None:
    found = {
        name: figure.value if figure.value is not None else (figure.low, figure.high)
        for name, figure in study.stated.items()
    }
    assert found == STATED


def test_every_claim_with_its_numbers(study: Study) -> None:
    found = {name: (claim.section, claim.printed) for name, claim in study.claims.items()}
    assert {name: found[name] for name in CLAIMS} == CLAIMS
    sentences = [claim.says for claim in study.claims.values()]
    assert len(set(sentences)) == len(sentences)


def test_every_model_and_device(study: Study) -> None:
    found = {
        name: (
            model.name,
            model.role,
            model.active_parameters_billion,
            model.total_parameters_billion,
            model.file_gb,
        )
        for name, model in study.models.items()
    }
    assert {name: found[name] for name in MODELS} == MODELS
    olmoe = study.models[OLMOE]
    assert (olmoe.layers, olmoe.experts, olmoe.experts_used) == (16, 64, 8)
    assert study.models[LLAMA].experts is None
    m2, jetson = study.devices["m2"], study.devices["jetson"]
    assert (m2.memory_gb, m2.backend, m2.energy_reported, m2.power_mode_w) == (
        16,
        "Metal",
        False,
        None,
    )
    assert (jetson.memory_gb, jetson.backend, jetson.energy_reported, jetson.power_mode_w) == (
        8,
        "CUDA",
        True,
        15,
    )


def test_the_procedure(study: Study) -> None:
    assert study.procedure.model_dump() == {
        "engine": "llama.cpp",
        "engine_tag": "b4404",
        "engine_commit": "0827b2c1da299805288abbd556d869318f2b121e",
        "n_gpu_layers": 99,
        "threads": 6,
        "quantization": "Q4_K_M",
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 42,
        "max_new_tokens": 256,
        "prompts": 12,
        "prompt_categories": 6,
        "long_category": "long-context",
        "variation_limit": "cv_threshold_pct",
        "repetitions": 3,
        "repetitions_when_hot": 5,
        "thermal_threshold_c": 60,
        "cooldown_s": 30,
        "run_order": Order.BLOCKED,
        "rss_poll_s": 0.2,
        "tegrastats_hz": 10,
        "headline_runs_per_cell": 45,
        "prompt_length_words": {"short": (50, 100), "medium": (300, 500), "long": (1000, 1500)},
        "thread_sweep": {"device": "m2", "threads": (4, 6, 8, 10), "runs": 144},
        "routing_strata_tokens": {
            "decode-dominated": {"at_most": 200, "at_least": None},
            "prefill-heavy": {"at_most": None, "at_least": 500},
        },
    }


@pytest.mark.parametrize(
    "name",
    [
        ("energy", "m2", OLMOE, "mean_j_per_tok"),
        ("slowdown", "m2", LLAMA, "slowdown_ratio"),
        ("throughput", "jetson", "another-model", "mean_tok_s"),
        ("throughput", "another-device", OLMOE, "mean_tok_s"),
        ("throughput", None, OLMOE, "mean_tok_s"),
        ("stability", "m2", OLMOE, "cv_pct"),
    ],
)
def test_what_the_study_does_not_report_is_none(
    study: Study, name: tuple[str, str | None, str, str]
) -> None:
    assert study.printed_value(*name) is None


def test_every_figure_of_every_table_is_found_as_it_is_printed(study: Study) -> None:
    for table, shown in study.tables:
        for device, rows in shown.cells.items():
            for row, cell in rows.items():
                for figure, value in cell:
                    found = study.printed_value(table.replace("_", "-"), device, row, figure)
                    assert found == value, (table, device, row, figure)


SWEPT = (4, 6, 8, 10)


def test_the_appliance_runs_what_the_study_ran(study: Study) -> None:
    configs = study.configs
    assert set(configs.models.models) >= set(study.models)
    for name, model in ((name, configs.model(name)) for name in study.models):
        assert model.quantization == study.procedure.quantization
        if model.bytes is not None:
            assert model.bytes / 1e9 == pytest.approx(study.models[name].file_gb, abs=0.006)
    efficiency = study.experiment("efficiency")
    assert len(efficiency.prompts) == study.procedure.prompts
    assert efficiency.repetitions == study.procedure.repetitions
    assert efficiency.n_predict == study.procedure.max_new_tokens
    assert study.experiment("thread_sweep").threads == SWEPT
    for device in study.devices.values():
        (only,) = device.targets
        target = configs.target(only)
        assert {f"-D{key}={value}" for key, value in target.cmake.items()} >= set(device.cmake)
        assert target.n_gpu_layers == study.procedure.n_gpu_layers
        assert target.threads == study.procedure.threads
