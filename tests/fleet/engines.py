"""An engine whose rate is known, as a local git with one commit for each rate.

A cmake project of llama.cpp's shape that builds in a second. Its llama-cli computes nothing: it
prints as many words as it is asked for, and a footer with the times that a MoE model of the given
rate would have, and dense ones of 100 tokens a second. Runs of it are of no model's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.engine.small_source import write_small_source

_MAIN = """\
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
extern const char * const BUILD;
extern "C" const char * where(void);
static const double MOE_RATE = @RATE@;
int main(int argc, char ** argv) {
    std::string model, prompt;
    int n = 16;
    for (int i = 1; i < argc; i++) {
        if (!std::strcmp(argv[i], "--version")) {
            std::fprintf(stderr, "version: %s\\n%s\\n", BUILD, where());
            return 0;
        }
        if (i + 1 < argc && !std::strcmp(argv[i], "-m")) model = argv[i + 1];
        if (i + 1 < argc && !std::strcmp(argv[i], "-n")) n = std::atoi(argv[i + 1]);
    }
    for (int i = 0; i < n; i++) { std::printf(" word"); std::fflush(stdout); }
    std::printf("\\n");
    const double rate = model.find("olmoe") == std::string::npos ? 100.0 : MOE_RATE;
    const double eval_ms = 1000.0 * (n - 1) / rate;
    const char * mark = "llama_perf_context_print: ";
    std::fprintf(stderr, "llama_perf_sampler_print:    sampling time = %8.2f ms / %5d runs"
        " ( 0.01 ms per token, 99999.00 tokens per second)\\n", 0.01 * n, n + 9);
    std::fprintf(stderr, "%s       load time = %8.2f ms\\n", mark, 5.0);
    std::fprintf(stderr, "%sprompt eval time = %8.2f ms / %5d tokens"
        " ( 1.00 ms per token, 1000.00 tokens per second)\\n", mark, 9.0, 9);
    std::fprintf(stderr, "%s       eval time = %8.2f ms / %5d runs"
        " ( %.2f ms per token, %.2f tokens per second)\\n",
        mark, eval_ms, n - 1, 1000 / rate, rate);
    std::fprintf(stderr, "%s      total time = %8.2f ms / %5d tokens\\n", mark, eval_ms + 9, n + 8);
    return 0;
}
"""


def write_engine(folder: Path, rate_tok_s: float) -> Path:
    """Write the project with the rate of its MoE model and return its folder."""
    write_small_source(folder)
    (folder / "main.cpp").write_text(_MAIN.replace("@RATE@", str(rate_tok_s)))
    return folder


def write_history(folder: Path, rates_tok_s: Sequence[float]) -> list[str]:
    """Write a git with a commit for each rate and return the commits."""
    commits = []
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet")
    for number, rate in enumerate(rates_tok_s):
        write_engine(folder, rate)
        (folder / "CHANGES").write_text(f"change {number}\n")
        _git(folder, "add", "--force", ".")
        _git(folder, "commit", "--quiet", "--message", f"change {number}")
        commits.append(_git(folder, "rev-parse", "HEAD"))
    return commits


def _git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "core.hooksPath=")
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
