"""Metrics of runs that follow from other metrics, worked out again, and the counts of runs.

A journal that was edited, or a metric that is not what it says, shows here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgemoe_appliance.analysis.claims.estimates import Basis, exact, within
from edgemoe_appliance.analysis.claims.evidence import Cause, Statement
from edgemoe_appliance.analysis.claims.formatting import in_words
from edgemoe_appliance.analysis.conditions import Pool, pools
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.store import Rows
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.studies import Study

if TYPE_CHECKING:
    import pandas as pd

# Footers round times to 10 us; in a run of a few tokens that reaches the third digit.
_TOLERANCE = 0.01
_BILLION = 1e9
_MISSING_RUNS = Cause(id="missing-runs", title="runs are missing from a mean")
_OTHER_MODEL = Cause(id="other-model", title="a file is not of the published model")
_RUN_KEYS = ["experiment", "prompt", "prompt_sha256", "repetition"]


@dataclass(frozen=True, kw_only=True)
class _Quotient:
    """A metric that is `top` / `bottom` times `factor`, in words `how`.

    The first generated token comes from the prompt pass: `top_less`, `bottom_less` leave it out.
    """

    said: str
    top: str
    bottom: str
    top_less: int = 0
    bottom_less: int = 0
    factor: float = 1.0

    def again(self, runs: pd.DataFrame) -> pd.Series:
        """Return the metric of each run from its parts, missing where they do not allow it."""
        bottom = runs[self.bottom] - self.bottom_less
        top = runs[self.top] - self.top_less
        again: pd.Series = self.factor * top / bottom.where(bottom > 0)
        return again

    @property
    def how(self) -> str:
        """Return the formula."""
        top = f"({self.top} - {self.top_less})" if self.top_less else self.top
        bottom = f"({self.bottom} - {self.bottom_less})" if self.bottom_less else self.bottom
        return f"{self.factor:g} x {top} / {bottom}" if self.factor != 1 else f"{top} / {bottom}"


_QUOTIENTS = (
    _Quotient(said="gen_tok_s", top="generated_tokens", bottom="eval_s", top_less=1),
    _Quotient(said="prompt_tok_s", top="prompt_tokens", bottom="prompt_eval_s"),
    _Quotient(said="cpu_mean_pct", top="cpu_s", bottom="wall_s", factor=100),
    _Quotient(
        said="j_per_token_gross", top="energy_generate_j", bottom="generated_tokens", bottom_less=1
    ),
)


def session_statements(loaded: LoadedSessions, study: Study) -> Iterator[Statement]:
    """Yield the identities between metrics, the counts of runs and the sizes of models."""
    ok = loaded.runs.where(status="ok")
    for quotient in _QUOTIENTS:
        yield from _identity(ok, quotient)
    for pool in pools(loaded, study, Feeds.HEADLINE):
        yield from _counts(pool, study)
    yield from _parameters(loaded, study)


def _identity(ok: Rows, quotient: _Quotient) -> Iterator[Statement]:
    """Yield the run that departs most from the identity, of all that have the readings."""
    runs = ok.frame(["place", quotient.said, quotient.top, quotient.bottom])
    again = quotient.again(runs)
    departure = (runs[quotient.said] / again - 1).abs()
    compared = runs.assign(again=again, departure=departure).dropna(subset=["departure"])
    if compared.empty:
        return
    found = compared.nlargest(1, "departure").iloc[0]
    worst = ok.where(place=int(found["place"])).first()
    value = float(found["again"])
    yield Statement(
        id=f"identity.{quotient.said}",
        subject=f"{METRICS[quotient.said].title}, the worst of {len(compared)} runs "
        f"({worst['run_id']})",
        where=f"session {worst['session']}",
        said=exact(float(worst[quotient.said])),
        said_text=in_words(float(worst[quotient.said])),
        again=within(value * (1 - _TOLERANCE), value * (1 + _TOLERANCE), Basis.TOLERANCE, value),
        unit=METRICS[quotient.said].unit.value,
        how=quotient.how,
        parts=tuple((key, float(worst[key])) for key in (quotient.top, quotient.bottom)),
    )


def _counts(pool: Pool, study: Study) -> Iterator[Statement]:
    """Yield for each model how many runs its means rest on, of those that any model made."""
    made = [models.runs.stored.counts(*_RUN_KEYS)[_RUN_KEYS] for models in pool.models]
    import pandas as pd  # noqa: PLC0415  (the study alone is judged without)

    every = pd.concat(made).drop_duplicates()
    for models in pool.models:
        yield Statement(
            id=f"runs.{pool.condition.setting.id}.{models.model}.{models.sha256[:8]}",
            subject=f"runs of {study.model_name(models.model)} in {pool.condition.label}",
            where=f"sessions {', '.join(pool.condition.setting.sessions)}",
            said=exact(len(models.ok)),
            said_text=str(len(models.ok)),
            again=exact(len(every)),
            unit="runs",
            how="different prompts and repetitions that any model of the condition was given",
            parts=(("not_ok", float(models.not_ok)),),
            cause=_MISSING_RUNS,
        )


def _parameters(loaded: LoadedSessions, study: Study) -> Iterator[Statement]:
    """Yield the weights counted in each real model file, or full-scale twin, beside those known."""
    whole = [lot for lot in loaded.lots if lot.key.twin_scale in (None, "full")]
    files = {(lot.key.model, lot.key.model_sha256): lot for lot in reversed(whole)}
    for lot in reversed(files.values()):
        run = loaded.runs.where(lot=lot.number).first()
        entry = study.configs.models.models.get(lot.key.model)
        known = entry.published_parameters_total if entry is not None else None
        if known is None:
            continue
        counted = float(run["parameters_total"]) / _BILLION
        yield Statement(
            id=f"parameters.{lot.key.model}.{lot.key.model_sha256[:8]}",
            subject=f"total parameters of {study.model_name(lot.key.model)}, as counted",
            where=f"session {run['session']}",
            said=exact(counted),
            said_text=in_words(counted),
            again=within(
                known * (1 - _TOLERANCE) / _BILLION,
                known * (1 + _TOLERANCE) / _BILLION,
                Basis.TOLERANCE,
                known / _BILLION,
            ),
            unit="billion",
            how="the published count of the original model",
            cause=_OTHER_MODEL,
        )
