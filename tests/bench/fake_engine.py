"""A program in the engine's place whose load is known: `-f PROMPT_FILE` says which.

Not a simulation of readings: it is measured like any engine, and truly sleeps, computes, allocates
or prints. The first word of the prompt names the load, the second its size. It prints one word of
text when the load is in place, one more at its end, and a footer that tells its own times.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
from pathlib import Path

# A sample taken on the first text must find the process alive, as it does an engine.
TAIL_S = 0.3


def say(word: str) -> None:
    """Print a token."""
    os.write(1, word.encode())


def hold(kind: str, size_bytes: int, model: str) -> mmap.mmap | None:
    """Put a load of memory in place, touch each of its pages, and return it."""
    if kind == "file":
        with Path(model).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ)
        for offset in range(0, size_bytes, mmap.PAGESIZE):
            mapped[offset]
        return mapped
    flags = {"anonymous": mmap.MAP_PRIVATE, "shared": mmap.MAP_SHARED}.get(kind)
    if flags is None:
        return None
    memory = mmap.mmap(-1, size_bytes, flags=flags | mmap.MAP_ANONYMOUS)
    for offset in range(0, size_bytes, mmap.PAGESIZE):
        memory[offset] = 1
    return memory


def work(kind: str, size: float) -> int:
    """Do a load that takes time and return the tokens it printed."""
    if kind == "sleep":
        time.sleep(size)
    elif kind == "busy":
        end_s = time.process_time() + size
        while time.process_time() < end_s:
            pass
    elif kind == "tokens":
        start_s = time.monotonic()
        for number in range(1, 101):
            time.sleep(max(0.0, start_s + number * size - time.monotonic()))
            say(" word")
        return 100
    return 0


def footer(load_s: float, eval_s: float, runs: int) -> str:
    """Return what llama-cli prints at its end."""
    mark = "llama_perf_context_print: "
    rows = (
        f"load time = {1e3 * load_s:.2f} ms",
        "prompt eval time = 1.00 ms / 2 tokens ( 0.50 ms per token, 2000.00 tokens per second)",
        f"eval time = {1e3 * eval_s:.2f} ms / {runs} runs ( {1e3 * eval_s / runs:.2f} ms per token,"
        f" {runs / eval_s:.2f} tokens per second)",
        f"total time = {1e3 * eval_s:.2f} ms / {runs + 2} tokens",
    )
    return "".join(f"{mark}{row}\n" for row in rows)


def main(arguments: list[str]) -> None:
    """Run the program."""
    start_s = time.monotonic()
    prompt = Path(arguments[arguments.index("-f") + 1]).read_text().split()
    model = arguments[arguments.index("-m") + 1]
    kind, size = prompt[0], float(prompt[1])
    held = hold(kind, round(size), model)
    say("first")
    first_s = time.monotonic()
    runs = work(kind, size)
    if held is not None:
        time.sleep(TAIL_S)
    if not runs:
        say(" last")
        runs = 1
    end_s = time.monotonic()
    say("\n\n")
    sys.stderr.write(footer(first_s - start_s, end_s - first_s, runs))
    sys.stderr.flush()
    if held is not None:
        held.close()


if __name__ == "__main__":
    main(sys.argv)
