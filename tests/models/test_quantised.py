"""Files of fewer bits: how they are keyed, what their tensors hold, and when one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.errors import ConfigError, DigestError, HostError, RecordError
from edgemoe_appliance.models.fetch import fetch_model
from edgemoe_appliance.models.ggml_types import TYPE_BY_NAME
from edgemoe_appliance.models.gguf import read_header
from edgemoe_appliance.models.inventory import FileState, list_models, verify_models
from edgemoe_appliance.models.quantised import (
    Derivation,
    describe_tensors,
    is_fallback,
    keep_quantised,
    quantised_path,
    read_quantised,
    usual_type,
)
from edgemoe_appliance.models.store import planned_model, read_model_file
from edgemoe_appliance.schema.configs import ModelEntry, ModelsConfig
from edgemoe_appliance.schema.plan import QuantisedFile
from tests.models.files import gguf_bytes, tensor

SOURCE = ModelEntry(
    name="Small",
    architecture="llama",
    quantization="Q4_1",
    licence="CC0",
    path="/there/small.gguf",
    file="small.gguf",
)
MODELS = ModelsConfig(models={"small": SOURCE}, quantised={"small": ("F16", "Q2_K")})
DERIVATION = Derivation(
    source_sha256="a" * 64, type="Q2_K", pin_sha256="b" * 64, calibration_sha256=None, context=None
)
# Rows of 256 fit a block of 256 elements, rows of 288 do not.
TENSORS = (
    tensor("token_embd.weight", (256, 4), kind=TYPE_BY_NAME["Q2_K"]),
    tensor("blk.0.attn_norm.weight", (8,), offset=352),
    tensor("blk.0.ffn_up.weight", (288, 2), offset=384, kind=TYPE_BY_NAME["IQ4_NL"]),
)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = quantised_path("small-q2_k", DERIVATION, tmp_path)
    path.write_bytes(gguf_bytes(tensors=TENSORS))
    found = describe_tensors(read_header(path), "Q2_K")
    facts = QuantisedFile(
        of="small-f16",
        of_sha256="a" * 64,
        origin="Q4_1",
        type="Q2_K",
        pin="b4447",
        tool_sha256="c" * 64,
        imatrix_sha256=None,
        bits_per_weight=found.bits_per_weight,
        tensors=found.tensors,
        fallbacks=found.fallbacks,
    )
    keep_quantised(path, DERIVATION, facts)
    return path


def test_types_of_a_model_are_models_of_their_own() -> None:
    assert list(MODELS.models) == ["small", "small-f16", "small-q2_k"]
    widened, two = MODELS.models["small-f16"], MODELS.models["small-q2_k"]
    assert widened.quantised and two.quantised
    assert (widened.quantised.of, two.quantised.of) == ("small", "small-f16")
    assert two.name == "Small Q2_K from Q4_1"
    assert MODELS.fetched_for("small-q2_k") == "small"
    assert MODELS.widest_of("small-q2_k") == "small-f16"
    assert MODELS.widest_of("small") is None


def test_a_source_of_16_bits_is_its_own_measure() -> None:
    whole = SOURCE.model_copy(update={"quantization": "F16"})
    models = ModelsConfig(models={"big": whole}, quantised={"big": ("Q8_0",)})
    made = models.models["big-q8_0"]
    assert made.quantised is not None
    assert made.quantised.of == models.widest_of("big-q8_0") == models.widest_of("big") == "big"
    assert made.name == "Small Q8_0"


@pytest.mark.parametrize(
    "change",
    [
        {"source_sha256": "f" * 64},
        {"type": "Q3_K_M"},
        {"pin_sha256": "f" * 64},
        {"calibration_sha256": "f" * 64, "context": 512},
    ],
)
def test_another_derivation_has_another_file(change: dict[str, str], tmp_path: Path) -> None:
    other = DERIVATION.model_copy(update=change)
    assert quantised_path("m", other, tmp_path) != quantised_path("m", DERIVATION, tmp_path)


def test_tensors_are_counted_as_the_file_holds_them(made: Path) -> None:
    record = read_quantised(made)
    assert record.facts.tensors == {"F32": 1, "IQ4_NL": 1, "Q2_K": 1}
    assert record.facts.fallbacks == {"IQ4_NL": 1}
    bits = 8 * (4 * 84 + 8 * 4 + 18 * 18)
    assert record.facts.bits_per_weight == pytest.approx(bits / (1024 + 8 + 576))


@pytest.mark.parametrize(
    ("kind", "usual"),
    [("Q4_K_M", "Q4_K"), ("Q8_0", "Q8_0"), ("TQ2_0", "TQ2_0"), ("IQ1_S", "IQ1_S"), ("COPY", None)],
)
def test_a_file_type_has_a_usual_type_of_tensors(kind: str, usual: str | None) -> None:
    found = usual_type(kind)
    assert (found.name if found else None) == usual


def test_a_norm_is_no_fallback() -> None:
    assert not is_fallback(TENSORS[1], "Q2_K")
    assert not is_fallback(TENSORS[0], "Q2_K")
    assert is_fallback(TENSORS[2], "Q2_K")
    assert not is_fallback(TENSORS[2], "Q4_0")


def test_a_plan_names_how_its_file_was_made(made: Path) -> None:
    entry = MODELS.models["small-q2_k"]
    planned = planned_model("small-q2_k", entry, read_model_file(made))
    assert planned.quantised is not None
    assert planned.quantised.origin == "Q4_1"
    assert planned.vocabulary == 4


def test_a_corrupted_file_is_refused(made: Path) -> None:
    content = bytearray(made.read_bytes())
    content[-1] ^= 1
    made.write_bytes(content)
    with pytest.raises(DigestError, match="when it was made"):
        read_quantised(made)
    with pytest.raises(DigestError):
        planned_model("small-q2_k", MODELS.models["small-q2_k"], read_model_file(made))
    (finding,) = (f for f in verify_models(MODELS, made.parent) if f.model_id == "small-q2_k")
    assert finding.verdict is FileState.DIFFERENT


@pytest.mark.parametrize("place", [-300, -700, -1])
def test_a_bit_that_flipped_among_the_weights_is_found_where_everything_is_read(
    made: Path, place: int
) -> None:
    content = bytearray(made.read_bytes())
    content[place] ^= 1
    made.write_bytes(content)
    with pytest.raises(DigestError, match="when it was made"):
        read_quantised(made, anew=True)


def test_a_file_that_was_cut_off_is_refused(made: Path) -> None:
    made.write_bytes(made.read_bytes()[:-64])
    with pytest.raises(DigestError, match="when it was made"):
        read_quantised(made)
    with pytest.raises(RecordError):
        read_model_file(made)


def test_what_lies_there_is_listed_and_verified(made: Path) -> None:
    sizes = {each.model_id: each.file_bytes for each in list_models(MODELS, made.parent)}
    assert sizes["small-q2_k"] == made.stat().st_size
    assert sizes["small-f16"] is None
    findings = {each.model_id: each.verdict for each in verify_models(MODELS, made.parent)}
    assert findings == {"small": FileState.MISSING, "small-q2_k": FileState.OK}


def test_a_file_without_its_record_is_refused(made: Path) -> None:
    made.with_name(f"{made.name}.quantised.json").unlink()
    with pytest.raises(DigestError, match="nothing says how"):
        read_quantised(made)
    made.unlink()
    with pytest.raises(HostError, match="not been made yet"):
        read_quantised(made)


def test_what_is_made_here_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="made here"):
        fetch_model(MODELS.models["small-q2_k"], tmp_path)


def test_a_type_may_be_weighed_though_it_does_without() -> None:
    models = ModelsConfig(models={"small": SOURCE}, quantised={"small": ("F16", "Q4_K_M+imatrix")})
    weighed = models.models["small-q4_k_m-imatrix"]
    assert weighed.quantised is not None
    assert (weighed.quantised.type, weighed.quantised.is_weighed) == ("Q4_K_M", True)
    assert (weighed.quantization, weighed.quantised.of) == ("Q4_K_M", "small-f16")
    assert not MODELS.models["small-q2_k"].quantised.is_weighed  # type: ignore[union-attr]
