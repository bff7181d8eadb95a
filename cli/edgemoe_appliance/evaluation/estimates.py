"""What each step will take: seconds of the machine, bytes of disk, bytes to be fetched.

Pure: from what is there, the configuration and the study's rates. None is what cannot be told
beforehand; it is never counted as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.evaluation.config import Paces, StepId
from edgemoe_appliance.evaluation.request import Evaluation
from edgemoe_appliance.evaluation.state import ModelHere, Present
from edgemoe_appliance.schema.choices import RuntimeKind
from edgemoe_appliance.schema.configs import Arm, Assessment, Target
from edgemoe_appliance.schema.plan import RunSpec, scaled_prompt
from edgemoe_appliance.schema.units import GB, KB, MB
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a step takes; None is not known beforehand."""

    machine_s: float | None
    disk_bytes: float = 0.0
    download_bytes: float | None = 0.0


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """Everything that estimates follow from."""

    evaluation: Evaluation
    study: Study
    paces: Paces
    present: Present

    @property
    def _target(self) -> Target:
        return self.study.configs.target(self.evaluation.bench.target)

    @property
    def _device(self) -> str | None:
        return self.study.device_of(self.evaluation.bench.target)

    def cost(self, step: StepId) -> Cost:
        """Return what a step takes from where things stand."""
        if step is StepId.BUILD:
            return self._build()
        if step is StepId.MODELS:
            return self._models()
        if step is StepId.BENCH:
            return self._bench()
        return self._rest(step)

    def run_s(self, run: RunSpec) -> float | None:
        """Return the seconds of one run: pause, start, loading, prompt and generation.

        Where answers are judged, text or items go through the model as a prompt does. The
        probabilities that divergence is held against take another pass, of the 16-bit file.
        A session may hold runs of what the configuration has no more: theirs are not known.
        """
        if not self._is_configured(run):
            return None
        rate = self.rate(run)
        faster = self.paces.prompt_over_generation.get(self.evaluation.bench.target)
        if rate is None or faster is None:
            return None
        model = self._model(run.model)
        loading_s = model.file_bytes / (self.paces.load_gb_s * GB)
        prompt_s = self._prompt_tokens(run) / (faster * rate)
        work_s = prompt_s + run.n_predict / rate
        if run.assesses is Assessment.DIVERGENCE and run.model == run.reference:
            work_s *= 2
        pause_s = self._target.cooldown.seconds
        return pause_s + self.paces.start_s + loading_s + work_s * self._slowdown(run)

    def rate(self, run: RunSpec) -> float | None:
        """Return the tokens/s that a model generates, the study's where its device is the target.

        A twin of reduced size is faster by what it reads less for a token.
        """
        model = self._model(run.model)
        printed = self.study.printed_value("throughput", self._device, run.model, "mean_tok_s")
        if printed is not None:
            return printed * model.whole_bytes_per_token / model.bytes_per_token
        pace = self.paces.weights_gb_s.get(self.evaluation.bench.target)
        return pace * GB / model.bytes_per_token if pace and model.bytes_per_token else None

    def _build(self) -> Cost:
        """Return the cost of what is not in the cache yet; in an image, engines are built anew."""
        paces = self.paces
        pins = self._pins_to_build()
        fetched = [paces.source_mb.get(pin) for pin in pins if pin not in self.present.sources]
        core_s = paces.build_core_s.get(self._target.backend)
        probe_s = paces.probe_core_s if pins and self._is_probed() else 0.0
        in_image = self.evaluation.runtime is RuntimeKind.CONTAINER
        unknown = in_image or None in fetched
        return Cost(
            machine_s=None
            if core_s is None or in_image
            else (core_s * len(pins) + probe_s) / self.present.cores,
            disk_bytes=len(pins) * paces.build_mb * MB,
            download_bytes=None if unknown else sum(mb or 0 for mb in fetched) * MB,
        )

    def _pins_to_build(self) -> tuple[str, ...]:
        """Return the pins without a build; without a named one, default or fallback will do."""
        engines, request = self.study.configs.engines, self.evaluation.bench
        experiments = [self.study.experiment(name) for name in request.experiments]
        own = request.pin is None and any(not experiment.pins for experiment in experiments)
        found = self.present.builds & {engines.default, engines.fallback}
        pins = [engines.default] if own and not found else []
        named = [request.pin] if request.pin else []
        named += [pin for experiment in experiments for pin in experiment.pins]
        return tuple(dict.fromkeys([*pins, *(p for p in named if p not in self.present.builds)]))

    def _is_probed(self) -> bool:
        experiments = map(self.study.experiment, self.evaluation.bench.experiments)
        return any(arm.is_probed for experiment in experiments for arm in experiment.arms)

    def _models(self) -> Cost:
        """Return the cost of the files that are not there: fetched, made, or written as twins.

        A size that nobody can tell is 0; no time follows from it.
        """
        missing = [model for model in self.present.models if not model.is_there]
        is_fetched = self.evaluation.bench.twins is None
        fetched = sum(m.file_bytes for m in missing if is_fetched and not m.is_made)
        total = sum(model.file_bytes for model in missing)
        is_known = all(model.file_bytes for model in missing)
        download_known = all(m.file_bytes for m in missing if not m.is_made)
        seconds = fetched / (self.paces.network_mb_s * MB)
        seconds += (total - fetched) / (self.paces.twin_mb_s * MB)
        return Cost(
            machine_s=seconds if is_known else None,
            disk_bytes=total,
            download_bytes=fetched if download_known else None,
        )

    def _bench(self) -> Cost:
        """Return the cost of the runs that are left."""
        seconds = [self.run_s(run) for run in self.present.runs_left]
        return Cost(
            machine_s=None if None in seconds else sum(s for s in seconds if s is not None),
            disk_bytes=len(seconds) * self.paces.run_kb * KB,
        )

    def _rest(self, step: StepId) -> Cost:
        """Return the cost of what is made anew each time; an archive holds report and runs."""
        runs = len(self.present.runs_left) + self.present.runs_done
        report = self.paces.report_mb * MB
        disk = {StepId.REPORT: report, StepId.ARCHIVE: report + runs * self.paces.run_kb * KB}
        return Cost(machine_s=self.paces.steps_s[step], disk_bytes=disk.get(step, 0.0))

    def _is_configured(self, run: RunSpec) -> bool:
        return (
            any(model.id == run.model for model in self.present.models)
            and run.experiment in self.study.experiments
            and run.prompt in self.study.prompts
        )

    def _model(self, name: str) -> ModelHere:
        return next(model for model in self.present.models if model.id == name)

    def _prompt_tokens(self, run: RunSpec) -> float:
        experiment = self.study.experiment(run.experiment)
        prompt = self.study.prompts[run.prompt]
        words = scaled_prompt(run.prompt, prompt, experiment.prompt_scale).words
        return words * self.paces.tokens_per_word

    def _slowdown(self, run: RunSpec) -> float:
        """Return what the study found timing every node to cost on its device; 1 elsewhere."""
        if run.arm is not Arm.PROBE_PER_NODE:
            return 1.0
        model, figure = run.model, "slowdown_ratio"
        return self.study.printed_value("slowdown", self._device, model, figure) or 1.0
