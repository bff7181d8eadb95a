"""Units: decimal and binary bytes are kept apart, and conversions have names."""

from __future__ import annotations

KIB = 1024
MIB = 1024**2
GIB = 1024**3
KB = 10**3
MB = 10**6
GB = 10**9
NS_PER_S = 1_000_000_000


def gib(n_bytes: float) -> float:
    """Return a number of bytes in GiB (2^30 bytes)."""
    return n_bytes / GIB


def gb(n_bytes: float) -> float:
    """Return a number of bytes in GB (10^9 bytes)."""
    return n_bytes / GB


def seconds(ns: int) -> float:
    """Return a number of nanoseconds in seconds."""
    return ns / NS_PER_S


def human_bytes(n_bytes: float) -> str:
    """Return bytes for a person, in decimal units: `4.21 GB`, `12.0 MB`."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if round(abs(value), 1) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def human_duration(duration_s: float) -> str:
    """Return a duration for a person: `0.4 s`, `3 min 20 s`, `2 h 05 min`."""
    if round(duration_s, 1) < 60:
        return f"{duration_s:.1f} s"
    minutes, rest = divmod(round(duration_s), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
