"""Whether the engine made the run that was planned, from what it said of itself. Pure.

A figure of another run is no figure of this one: such a run is invalid, whatever its exit code.
What an engine may rightly do in another way, by its age or the machine, is told and kept. What it
did not say is told as that, never taken for agreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.engine.account import Account
from edgemoe_appliance.schema.configs import Arm, Backend, Target
from edgemoe_appliance.schema.plan import PlannedModel, RunSpec
from edgemoe_appliance.schema.records import BufferKind, Caveat, EngineFacts

# llama.cpp's own since 2024, which the study's call leaves as they are; a batch is never longer
# than the context. Source: common_params in common/common.h of b4404.
_BATCH: Final = 2048
_UBATCH: Final = 512
# Later engines make a context that is no multiple of it longer. Source: GGML_PAD(n_ctx, 256) in
# the constructor of llama_context.
_CONTEXT_STEP: Final = 256
# How the engine names the devices of a backend; HIP and MUSA are built from CUDA's sources.
_DEVICES: Final = {
    Backend.CPU: (),
    Backend.CUDA: ("CUDA", "ROCm", "MUSA"),
    Backend.METAL: ("Metal", "MTL"),
    Backend.VULKAN: ("Vulkan",),
    Backend.CANN: ("CANN",),
}


@dataclass(frozen=True, kw_only=True)
class RunExpectation:
    """What a run was to be: its spec, its target, its model."""

    spec: RunSpec
    target: Target
    model: PlannedModel

    @property
    def model_path(self) -> str:
        """Return the path of its model."""
        return self.model.path

    @property
    def gpu_layers(self) -> int:
        """Return how many layers were to lie on the device, at most."""
        return self.target.n_gpu_layers or 0


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """Something that the engine did otherwise; `line` is its own statement, where there is one.

    `spoils` says that the run's figures are not those that were asked for.
    """

    text: str
    line: str | None
    spoils: bool

    def __str__(self) -> str:
        """Return the difference with its proof, for a reader."""
        return self.text if self.line is None else f"{self.text}: {self.line!r}"

    @property
    def caveat(self) -> Caveat:
        """Return the same for the record."""
        return Caveat(code="engine-differs" if self.spoils else "engine-setting", text=str(self))


def check_adherence(
    account: Account, planned: RunExpectation, generated_tokens: int | None
) -> tuple[Deviation, ...]:
    """Return in what an engine did not follow its plan; what spoils the run comes first."""
    found = [
        *_check_device(account, planned),
        *_check_settings(account, planned),
        *_check_model(account, planned),
        *_check_tokens(account, planned, generated_tokens),
        *_check_unsaid(account, planned),
    ]
    return tuple(sorted(found, key=lambda difference: not difference.spoils))


def _check_device(account: Account, planned: RunExpectation) -> Iterator[Deviation]:
    facts, lines = account.facts, account.lines
    offloaded, wanted = facts.layers_offloaded, planned.gpu_layers
    possible = wanted if facts.layers is None else min(wanted, facts.layers)
    if wanted and account.no_gpu:
        text = f"{wanted} layers were to lie on the GPU, the engine found none"
        yield Deviation(text=text, line=lines["no_gpu"], spoils=True)
    elif offloaded is not None and offloaded != possible:
        text = f"{possible} layers were to lie on the GPU, {offloaded} do"
        yield Deviation(text=text, line=lines["layers"], spoils=True)
    elif wanted and _lies_on_host(facts):
        # Later engines tell the layers that were asked for, whatever became of them.
        text = f"{possible} layers were to lie on the GPU, all weights lie in the host's memory"
        yield Deviation(text=text, line=lines.get("layers"), spoils=True)
    yield from _check_device_names(account, planned)


def _lies_on_host(facts: EngineFacts) -> bool:
    weights = [buffer for buffer in facts.buffers if buffer.kind is BufferKind.MODEL]
    return bool(weights) and all(buffer.is_host for buffer in weights)


def _check_device_names(account: Account, planned: RunExpectation) -> Iterator[Deviation]:
    devices, line = account.facts.devices, account.lines.get("devices")
    backend = planned.target.backend
    ours = [name for name in devices if name.startswith(_DEVICES[backend])]
    told = ", ".join(devices)
    if backend is Backend.CPU and devices:
        # Even without layers there it computes long prompts.
        text = f"the processor was to compute alone, the engine uses {told} too"
        yield Deviation(text=text, line=line, spoils=True)
    elif devices and not ours:
        text = f"the backend was to be {backend.value}, the engine uses {told}"
        yield Deviation(text=text, line=line, spoils=True)
    elif len(devices) > 1:
        text = f"the model was spread over {len(devices)} devices: {told}"
        yield Deviation(text=text, line=line, spoils=False)


def _check_settings(account: Account, planned: RunExpectation) -> Iterator[Deviation]:
    facts, spec = account.facts, planned.spec
    rows = (
        ("threads", spec.threads, facts.threads, True),
        ("batch_threads", spec.threads, account.batch_threads, True),
        ("batch", _bounded(_BATCH, facts.context), facts.batch, False),
        ("ubatch", _bounded(_UBATCH, facts.context), facts.ubatch, False),
    )
    for name, wanted, found, spoils in rows:
        if found is not None and found != wanted:
            text = f"{name.replace('_', ' ')}: {wanted} wanted, {found} used"
            yield Deviation(text=text, line=account.lines[name], spoils=spoils)
    # Later tools lay several chunks of a text, or the answers of an item, beside one another.
    is_beside = spec.assesses is not None and (facts.context or 0) % (spec.context or 1) == 0
    if spec.context and facts.context not in (None, spec.context) and not is_beside:
        padded = -(-spec.context // _CONTEXT_STEP) * _CONTEXT_STEP
        text = f"context: {spec.context} tokens wanted, {facts.context} used"
        is_padded = facts.context == padded
        yield Deviation(text=text, line=account.lines["context"], spoils=not is_padded)
    if facts.flash_attention:
        text = "flash attention was not to be used"
        yield Deviation(text=text, line=account.lines["flash_attention"], spoils=True)


def _bounded(usual: int, context: int | None) -> int:
    return usual if context is None else min(usual, context)


def _check_model(account: Account, planned: RunExpectation) -> Iterator[Deviation]:
    if account.model_file is not None and account.model_file != planned.model_path:
        text = f"the model was to be {planned.model_path}"
        yield Deviation(text=text, line=account.lines["model_file"], spoils=True)
    if account.maps_model and planned.spec.arm is Arm.NO_MMAP:
        text = "the model was to be read whole, the engine maps it"
        yield Deviation(text=text, line=account.lines["maps_model"], spoils=True)


def _check_tokens(
    account: Account, planned: RunExpectation, generated_tokens: int | None
) -> Iterator[Deviation]:
    wanted = planned.spec.n_predict
    if account.asked_tokens is not None and account.asked_tokens != wanted:
        text = f"{wanted} tokens were to be generated at most"
        yield Deviation(text=text, line=account.lines["asked_tokens"], spoils=True)
    if generated_tokens is not None and generated_tokens > wanted:
        text = f"{wanted} tokens were to be generated at most, {generated_tokens} were"
        yield Deviation(text=text, line=None, spoils=True)


def _check_unsaid(account: Account, planned: RunExpectation) -> Iterator[Deviation]:
    """Yield one difference that names what the engine was expected to say and did not."""
    facts = account.facts
    on_device = any(not buffer.is_host for buffer in facts.buffers)
    expected = {
        "threads": facts.threads is not None,
        "context": facts.context is not None,
        "model file": account.model_file is not None,
        "layers on the GPU": not planned.gpu_layers
        or account.no_gpu
        or facts.layers_offloaded is not None
        or on_device,
    }
    unsaid = [name for name, is_said in expected.items() if not is_said]
    if unsaid:
        text = f"the engine did not say what it used: {', '.join(unsaid)}"
        yield Deviation(text=text, line=None, spoils=False)
