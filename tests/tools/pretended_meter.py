"""A program that plays a power meter: no instrument is there. For trials alone.

    python pretended_meter.py TRUTH

It draws 4 W, 3 W more for each busy loop of the appliance that is let go and 6 W more while an
engine runs, among the processes that its own parent started: so it follows a load on a machine
that is busy otherwise. Lines come every 50 ms, 0.3 s after they were made, with a clock that is a
million seconds off. TRUTH gets each change of the power with the moment of the machine's own clock.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

PERIOD_S, LATE_S, OFF_S = 0.05, 0.3, 1e6
IDLE_W, LOOP_W, ENGINE_W = 4.0, 3.0, 6.0
PROC = Path("/proc")


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and those that these started."""
    found: list[int] = []
    with suppress(OSError):
        for listed in (PROC / str(pid) / "task").glob("*/children"):
            for child in map(int, listed.read_text().split()):
                found += [child, *descendants(child)]
    return found


def power_w(parent: int) -> float:
    """Return what the parent's other processes would draw now."""
    watts = IDLE_W
    for pid in descendants(parent):
        try:
            name = (PROC / str(pid) / "comm").read_text().strip()
            state = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if name == "sh" and state in "RS":  # a loop that is held is in T
            watts += LOOP_W
        elif name.startswith("llama-") and state != "Z":
            watts += ENGINE_W
    return watts


def main(truth: Path) -> None:
    """Print readings until nobody reads them."""
    parent = int((PROC / "self/stat").read_text().rpartition(")")[2].split()[1])
    made: deque[tuple[float, str]] = deque()
    before = -1.0
    with truth.open("a", buffering=1) as log:
        print("time_s,power_w", flush=True)
        while True:
            now_s = time.monotonic()
            watts = power_w(parent)
            if watts != before:
                log.write(f"{now_s:.6f},{watts}\n")
                before = watts
            made.append((now_s, f"{now_s + OFF_S:.4f},{watts:.3f}"))
            while made and made[0][0] <= now_s - LATE_S:
                print(made.popleft()[1], flush=True)
            time.sleep(PERIOD_S)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
