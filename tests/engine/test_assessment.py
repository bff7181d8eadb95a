"""How the engine's own tool is asked about answers, and what is read of what it prints."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import pytest

from edgemoe_appliance.engine.assessment import (
    AssessmentFiles,
    BaseHeader,
    base_bytes_at_most,
    build_assessment_argv,
    build_base_argv,
    parse_choices,
    parse_divergence,
    read_base_header,
)
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.configs import Assessment
from edgemoe_appliance.schema.plan import EngineBuild, RunSpec
from tests.schema.builders import a_model, a_spec, a_target
from tests.schema.builders import an_engine as a_build

HEAD = (
    "chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence"
    "              \N{GREEK CAPITAL LETTER DELTA}p RMS            Same top p\n"
)
# Of b4447 and a model of 135 million weights at Q2_K, chunks of 128 tokens.
CHUNKS = f"""
{HEAD}   1      68.4125 ±   25.6373       0.33240 ±    0.17165       0.36968 ±    0.04747    10.333 ±  1.576 %    57.143 ±  6.285 %

{HEAD}   2      65.7277 ±   16.8516       0.20039 ±    0.10547       0.33924 ±    0.02586    10.530 ±  1.118 %    61.111 ±  4.360 %

====== Perplexity statistics ======
Mean PPL(Q)                   :  65.727714 ±  16.851600
Mean PPL(base)                :  53.791960 ±  13.444910
"""  # noqa: E501  as it is printed
# What the same tool prints of a model with a weight that is no number.
NOT_FINITE = (
    CHUNKS.replace("65.7277", "    nan").replace("0.20039", "    nan").replace("0.33924", "    nan")
)


def an_engine() -> EngineBuild:
    return a_build().model_copy(update={"tools_sha256": {"llama-perplexity": "a" * 64}})


def a_run(assesses: Assessment) -> RunSpec:
    return a_spec().model_copy(
        update={"assesses": assesses, "reference": "big", "n_predict": 0, "context": 256}
    )


FILES = AssessmentFiles(prompt=Path("/p.txt"), base=Path("/b.base"))


def test_chunks_are_what_each_adds_to_the_running_means() -> None:
    found = parse_divergence(CHUNKS)
    assert found is not None
    assert found.kl_nat == pytest.approx((0.36968, 2 * 0.33924 - 0.36968))
    assert found.ln_ratio == pytest.approx((0.33240, 2 * 0.20039 - 0.33240))
    assert found.same_top_pct == pytest.approx((57.143, 2 * 61.111 - 57.143))
    assert found.perplexity == 65.7277
    assert found.reference_perplexity == 53.79196


def test_what_is_no_finite_number_is_told_from_where_it_begins() -> None:
    found = parse_divergence(NOT_FINITE)
    assert found is not None
    assert found.kl_nat[0] == pytest.approx(0.36968)
    assert math.isnan(found.kl_nat[1])
    assert math.isnan(found.same_top_pct[1]), "the likeliest of what are no numbers is none"
    assert math.isnan(found.perplexity)


def test_a_file_whose_answers_are_no_numbers_is_not_like_itself() -> None:
    """The tool tells of no divergence then, and of a perplexity that is no number."""
    against_itself = NOT_FINITE.replace("    nan ±    0.02586", "0.00000 ±    0.00000")
    assert "0.00000 ±" in against_itself
    found = parse_divergence(against_itself)
    assert found is not None
    assert math.isnan(found.kl_nat[1])
    assert math.isnan(found.same_top_pct[1])


@pytest.mark.parametrize("text", ["", HEAD, "   1      68.4125 ±", "main: error"])
def test_without_a_whole_line_there_is_no_divergence(text: str) -> None:
    assert parse_divergence(text) is None


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (
            "\ntask\tacc_norm\n1\t0.00000000\n2\t50.00000000\n3\t66.66666667\n",
            (False, True, True),
        ),
        ("1\t100.00000000%\t[20.6543%, 100.0000%]\n", (True,)),
        ("1\t100.00000000\n3\t66.66666667\n", None),
        ("1\t50.00000000\n2\t150.00000000\n", None),
        ("", None),
    ],
)
def test_answers_are_read_item_by_item(text: str, right: tuple[bool, ...] | None) -> None:
    assert parse_choices(text) == right


def test_the_commands_ask_for_the_tool_of_the_same_build() -> None:
    engine, model, target = an_engine(), a_model(), a_target()
    divergence = build_assessment_argv(
        a_run(Assessment.DIVERGENCE),
        engine=engine,
        model=model,
        target=target,
        files=FILES,
        items=None,
    )
    assert Path(divergence[0]) == Path(engine.binary).parent / "llama-perplexity"
    assert divergence[-3:] == ("--kl-divergence-base", "/b.base", "--kl-divergence")
    choice = build_assessment_argv(
        a_run(Assessment.CHOICE), engine=engine, model=model, target=target, files=FILES, items=40
    )
    assert choice[-5:] == ("-f", "/p.txt", "--hellaswag", "--hellaswag-tasks", "40")
    base = build_base_argv(
        a_run(Assessment.DIVERGENCE), engine=engine, reference=model, target=target, files=FILES
    )
    assert base[-4:] == ("-f", "/p.txt", "--kl-divergence-base", "/b.base")
    assert "--kl-divergence" not in base


def test_what_only_the_generating_program_knows_is_left_out() -> None:
    engine = an_engine().model_copy(update={"extra_args": ("-no-cnv", "-fa", "off")})
    command = build_base_argv(
        a_run(Assessment.DIVERGENCE),
        engine=engine,
        reference=a_model(),
        target=a_target(),
        files=FILES,
    )
    assert "-no-cnv" not in command
    assert "-fa" in command


def test_a_build_without_tools_says_so() -> None:
    with pytest.raises(ConfigError, match="built without llama-perplexity"):
        a_build().tool("llama-perplexity")


def test_probabilities_are_whole_or_none(tmp_path: Path) -> None:
    path, header = tmp_path / "x.base", BaseHeader(context=8, vocabulary=10, chunks=2)
    content = struct.pack("<8sIii", b"_logits_", 8, 10, 2)
    path.write_bytes(content.ljust(header.file_bytes, b"\0"))
    assert read_base_header(path) == header
    path.write_bytes(path.read_bytes()[:-1])
    assert read_base_header(path) is None
    path.write_bytes(b"not so")
    assert read_base_header(path) is None
    assert read_base_header(tmp_path / "absent") is None


def test_the_bound_of_probabilities_is_one_that_b4447_keeps() -> None:
    # 5,000 bytes of English, 49,152 tokens in the vocabulary: 49,553,364 bytes with chunks of 128.
    assert BaseHeader(context=128, vocabulary=49152, chunks=8).file_bytes == 49_553_364
    assert base_bytes_at_most("x" * 5000, 128, 49152) >= 49_553_364


# As b11312 printed them, of the same model at Q2_K over another text, and of six sums at Q8_0.
NEWEST_CHUNKS = """
chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            Same top p
   1      98.2490 ±   32.2216       0.63909 ±    0.09278       0.41671 ±    0.02476     8.855 ±  1.252 %    47.619 ±  6.343 %
   2     160.3049 ±   37.4949       0.50100 ±    0.07809       0.43205 ±    0.01656     9.260 ±  1.022 %    45.238 ±  4.452 %

====== Perplexity statistics ======
Mean PPL(Q)                   : 160.304900 ±  37.494900
Mean PPL(base)                :  76.908264 ±  12.515994
"""  # noqa: E501  as it is printed
NEWEST_ITEMS = """
task\tacc_norm\t95% confidence interval
1\t100.00000000%\t[20.6549%, 100.0000%]
2\t100.00000000%\t[34.2380%, 100.0000%]
3\t100.00000000%\t[43.8503%, 100.0000%]
4\t75.00000000%\t[30.0642%, 95.4413%]
5\t80.00000000%\t[37.5535%, 96.3776%]
6\t83.33333333%\t[43.6497%, 96.9947%]
"""


def test_what_the_newest_pin_prints_is_read_alike() -> None:
    found = parse_divergence(NEWEST_CHUNKS)
    assert found is not None
    assert found.kl_nat == pytest.approx((0.41671, 2 * 0.43205 - 0.41671))
    assert found.same_top_pct == pytest.approx((47.619, 2 * 45.238 - 47.619))
    assert found.reference_perplexity == pytest.approx(76.908264)
    assert parse_choices(NEWEST_ITEMS) == (True, True, True, False, True, True)


@pytest.mark.parametrize(
    "changed",
    [
        NEWEST_CHUNKS.replace(" ± ", " sigma "),
        NEWEST_CHUNKS.replace("   1  ", "#1 ").replace("   2  ", "#2 "),
    ],
)
def test_another_way_of_printing_is_not_guessed_at(changed: str) -> None:
    assert parse_divergence(changed) is None
