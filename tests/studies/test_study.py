"""A study's folder: which one is read, and how a mistake in it is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.studies import read_study

SHIPPED = "moe-edge"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(shutil.copytree(resource_folder("configs"), tmp_path / "configs"))


def message_of(read: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        read()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_the_only_study_needs_no_name(root: Path) -> None:
    (root / "studies.yaml").unlink()
    for other in (root / "studies").glob("*/"):
        if other.name != SHIPPED:
            shutil.rmtree(other)
    assert read_study(None, root).id == SHIPPED


def test_of_several_studies_one_is_the_default(root: Path) -> None:
    shutil.copytree(root / "studies" / SHIPPED, root / "studies" / "another")
    assert read_study(None, root).id == SHIPPED
    assert read_study("another", root).id == "another"


def test_a_folder_of_the_user_s_own_is_named_by_its_path(root: Path, tmp_path: Path) -> None:
    own = shutil.copytree(root / "studies" / SHIPPED, tmp_path / "mine")
    study = read_study(str(own))
    assert study.id == "mine"
    assert study.sha256 == read_study(None, root).sha256


def test_the_digest_is_that_of_every_file(root: Path) -> None:
    before = read_study(None, root).sha256
    with (root / "studies" / SHIPPED / "prompts.yaml").open("a") as file:
        file.write("# a remark\n")
    assert read_study(None, root).sha256 != before


def test_an_unknown_study_is_answered_with_the_known_ones(root: Path) -> None:
    message = message_of(lambda: read_study("moe-egde", root))
    assert "unknown study 'moe-egde'" in message
    assert f"did you mean {SHIPPED}?" in message


@pytest.mark.parametrize("name", ["study", "claims", "experiments", "prompts"])
def test_each_file_must_be_there(root: Path, name: str) -> None:
    path = root / "studies" / SHIPPED / f"{name}.yaml"
    path.unlink()
    own = str(path.parent)
    assert (
        message_of(lambda: read_study(own, root))
        == f"{path}: no such file; check its name, or restore it"
    )


def test_a_file_that_is_none_of_a_study_is_named(root: Path) -> None:
    path = root / "studies" / SHIPPED / "claim.yaml"
    path.write_text("")
    message = message_of(lambda: read_study(None, root))
    assert message.startswith(f"{path}: no file of a study; did you mean claims.yaml?")


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (
            "study",
            "mean_tok_s: 127.4",
            "mean_tok_ms: 127.4",
            "tables.throughput.cells.m2.llama-3.2-1b.mean_tok_ms: unknown key; "
            "did you mean mean_tok_s? allowed: mean_tok_s, median_tok_s",
        ),
        (
            "study",
            "mean_tok_s: 127.4",
            "mean_tok_s: -1",
            "tables.throughput.cells.m2.llama-3.2-1b.mean_tok_s: "
            "Input should be greater than 0 (got -1)",
        ),
        (
            "study",
            "olmoe-1b-7b: {mean_tok_s: 114.5",
            "olmo-1b-7b: {mean_tok_s: 114.5",
            "tables.throughput.cells.m2.olmo-1b-7b: there is no row 'olmo-1b-7b'; "
            "did you mean olmoe-1b-7b?",
        ),
        ("study", "targets: [jetson]", "targets: [jetsn]", "did you mean jetson?"),
        ("study", "baseline: llama-3.2-1b", "baseline: llama", "there is no model 'llama'"),
        (
            "study",
            "value: 2.5, of",
            "value: 2.5, low: 1, high: 2, of",
            "stated.olmoe_over_gemma_file_ratio: needs either value, or low and high",
        ),
        (
            "study",
            "low: 0.6, high: 2.0",
            "low: 2.0, high: 0.6",
            "stated.headline_threads_below_best_pct: low must be below high",
        ),
        ("study", "  peak_soc_c:\n", "  peak_soc:\n", "stated.peak_soc: String should match"),
        (
            "claims",
            "bottom: {of: generation-rate, model: llama-3.2-1b}",
            "bottom: {of: generation-rate, model: llama-3.2}",
            "claims.c1.checks.0: there is no model 'llama-3.2'; did you mean llama-3.2-1b?",
        ),
        (
            "claims",
            "devices: [jetson]",
            "devices: [jetsn]",
            "did you mean jetson?",
        ),
        ("claims", "length: long", "length: tall", "there is no length 'tall'"),
        ("claims", "stratum: prefill-heavy", "stratum: heavy", "there is no stratum 'heavy'"),
        (
            "claims",
            "asked: {about: slower_pct, tolerance: 5, complement: true}",
            "asked: {about: slower_pct, complement: true}",
            "claims.c1: checks.0: about and tolerance go together",
        ),
        (
            "claims",
            "about: slower_pct",
            "about: faster_pct",
            "claims.c1: checks.0: faster_pct is not among the printed numbers: slower_pct",
        ),
        (
            "claims",
            "asked: {below: envelope_w, share_pct: 90}",
            "asked: {below: peak_gb, share_pct: 90}",
            "peak_gb is not among the printed numbers",
        ),
        (
            "claims",
            "printed: {envelope_w: 15}",
            "printed: {envelope_c: 15}",
            "envelope_w is not among the printed numbers: envelope_c",
        ),
        ("claims", "of: generation-rate", "of: happiness", "generation-rate"),
        ("claims", "kind: ratio", "kind: guess", "kind"),
        ("claims", "audit: energy-ratio", "audit: energy-rate", "'energy-ratio'"),
        (
            "claims",
            "over: dense_same_active_gb",
            "over: dense_same_gb",
            "there is no stated figure 'dense_same_gb'",
        ),
        (
            "claims",
            "file_type: Q4_K_S",
            "file_type: Q4_K_X",
            "there is no type of file 'Q4_K_X'",
        ),
        (
            "claims",
            "highest_of: [llama-3.2-1b",
            "highest_of: [llama-3",
            "there is no model 'llama-3'",
        ),
        ("claims", "between: [m2, jetson]", "between: [m2, jets]", "there is no device 'jets'"),
        (
            "claims",
            "said: stated/olmoe_below_llama_m2_pct",
            "said: stated/nothing",
            "recomputed.0.said: there is no printed figure 'stated/nothing'",
        ),
        (
            "claims",
            "parts: [long_tok_s, short_tok_s]",
            "parts: [long_tok_s, tall_tok_s]",
            "there is no printed figure",
        ),
        ("experiments", "models: [olmoe-1b-7b]", "models: [olmo]", "there is no model 'olmo'"),
        (
            "experiments",
            "prompts: [qa-tides]",
            "prompts: [qa-tide]",
            "experiments.smoke.prompts.0: there is no prompt 'qa-tide'; did you mean qa-tides?",
        ),
        ("experiments", "pins: [b4447, b5763]", "pins: [b9]", "there is no pin 'b9'"),
        (
            "experiments",
            "prompts: [qa-tides]",
            "prompts: [qa-tides, qa-tides]",
            "experiments.smoke.prompts: names something twice",
        ),
        (
            "experiments",
            "n_predict: 32",
            "n_predict: 4096",
            "experiments.smoke: n_predict must be below context (4096)",
        ),
        ("experiments", "threads: [1, 2]", "threads: [1, 0]", "greater than or equal to 1 (got 0)"),
        ("experiments", "feeds: [memory]", "feeds: [memories]", "'divergence' or 'choice'"),
        ("experiments", "models: [olmoe-1b-7b]", "models: []", "needs at least 1"),
        (
            "experiments",
            "bench: [smoke]",
            "bench: [smok]",
            "suites.bench.0: there is no experiment 'smok'; did you mean smoke?",
        ),
        ("experiments", "    cuda: [", "    cuba: [", "did you mean cuda?"),
        ("prompts", "category: general-qa", "categories: x", "did you mean category?"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    root: Path, name: str, old: str, new: str, words: str
) -> None:
    path = root / "studies" / SHIPPED / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    message = message_of(lambda: read_study(None, root))
    assert words in message
    assert message.startswith(f"{path}:")
