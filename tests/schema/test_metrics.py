from __future__ import annotations

import re

from edgemoe_appliance.schema.metrics import METRICS, Unit

_ENDINGS = {
    Unit.SECONDS: "_s",
    Unit.MILLISECONDS: "_ms",
    Unit.BYTES: "_bytes",
    Unit.TOKENS: "_tokens",
    Unit.TOKENS_PER_S: "_tok_s",
    Unit.PERCENT: "_pct",
    Unit.JOULES: "_j",
    Unit.WATTS: "_w",
    Unit.CELSIUS: "_c",
}


def test_every_key_is_registered_once_and_names_its_unit() -> None:
    for key, metric in METRICS.items():
        assert metric.key == key
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key)
        assert key.endswith(_ENDINGS.get(metric.unit, "")), key
        assert key.startswith("j_per_token_") == (metric.unit is Unit.JOULES_PER_TOKEN), key


def test_every_metric_says_where_it_comes_from_and_what_it_does_not_see() -> None:
    for metric in METRICS.values():
        for text in (metric.title, metric.source, metric.resolution, metric.blind_spot):
            assert text.strip() == text
            assert text, metric.key
