"""How a bootstrap draws: how many resamples, how many at a time, and from what seed.

`RESAMPLES` belongs to this module and is read from it at each use, so setting it here is enough.
"""

from __future__ import annotations

import hashlib

import numpy as np

from edgemoe_appliance.analysis.statistics.samples import Sample

RESAMPLES = 10_000
# Below five units a resampled tail holds only a handful of different values.
MIN_RESAMPLED = 5
# Resampling holds one float per resample and run; this bounds it to about 100 MB.
_CHUNK_DRAWS = 4_000_000


def generator_of(*samples: Sample) -> np.random.Generator:
    """Return a generator seeded by the data, so that equal data give equal intervals."""
    seed = hashlib.sha256(b"".join(sample.digest() for sample in samples)).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed[:16], "big")))


def chunks(draws_per_resample: int) -> list[int]:
    """Return how many resamples to make at a time, which together are all of them."""
    size = max(1, min(RESAMPLES, _CHUNK_DRAWS // max(1, draws_per_resample)))
    whole, rest = divmod(RESAMPLES, size)
    return [size] * whole + ([rest] if rest else [])
