"""What real engines printed when they failed, and what a person is told."""

from __future__ import annotations

import signal

import pytest

from edgemoe_appliance.engine.failure import classify_failure, missing_library
from edgemoe_appliance.schema.records import Status
from tests.engine.captured_text import captured

INVALID = {
    "prompt-too-long": "exit code 1: main: prompt is too long (303 tokens, max 252)",
    "prompt-missing": "failed to open file 'nothere.txt'",
    "bad-argument": "exit code 1: error: invalid argument: -no-cnv",
    "bad-value": 'error while handling argument "-n": stoi',
    "model-missing": "failed to open GGUF file 'nothere.gguf'",
    "model-truncated": "data is not within the file bounds, model is corrupted or incomplete",
    "model-truncated-header": "failed to read key-value pairs",
    "model-wrong-magic": "invalid magic characters",
    "model-empty": "failed to read magic",
    "model-unknown-architecture": "unknown model architecture: 'olmox'",
    "model-vocabulary-only": "missing tensor 'token_embd.weight'",
}


@pytest.mark.parametrize(("name", "told"), INVALID.items(), ids=INVALID.keys())
def test_bad_input_is_told_in_one_line(name: str, told: str) -> None:
    failure = classify_failure(1, None, captured(name))
    assert failure.status is Status.INVALID
    assert told in failure.reason
    assert "\n" not in failure.reason
    assert not failure.out_of_memory


def test_an_empty_prompt() -> None:
    failure = classify_failure(255, None, captured("prompt-empty"))
    assert (failure.status, failure.reason) == (Status.INVALID, "exit code 255: input is empty")


MEMORY = {
    "memory-mmap": "mmap failed: Cannot allocate memory",
    "memory-kv": "insufficient memory (attempted to allocate 18883.50 MB)",
    "memory-compute": "insufficient memory (attempted to allocate  42.01 MB)",
    "memory-vocabulary": "std::bad_alloc",
}


@pytest.mark.parametrize(("name", "told"), MEMORY.items(), ids=MEMORY.keys())
def test_want_of_memory_is_told_apart_from_a_bad_model(name: str, told: str) -> None:
    failure = classify_failure(1, None, captured(name))
    assert failure.out_of_memory
    assert told in failure.reason


def test_an_assertion_about_memory_is_want_of_memory() -> None:
    failure = classify_failure(None, signal.SIGABRT, captured("memory-assert"))
    assert failure.out_of_memory
    assert failure.reason.startswith("ended by SIGABRT: ggml_aligned_malloc: insufficient memory")


# Printed by backends that these tests cannot run; from their sources.
DEVICES = [
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 780.00 MiB on device 0: "
    "cudaMalloc failed: out of memory",
    "CUDA error: out of memory",
    "NvMapMemAllocInternalTagged: 1075072515 error 12",
    "ggml_metal_graph_compute: command buffer 0 failed with status 5\n"
    "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
]


@pytest.mark.parametrize("text", DEVICES)
def test_want_of_device_memory(text: str) -> None:
    assert classify_failure(1, None, f"llama loading\n{text}\nmore").out_of_memory


def test_an_assertion_is_a_crash_and_is_quoted() -> None:
    failure = classify_failure(None, signal.SIGABRT, captured("abort"))
    assert failure.status is Status.CRASHED
    assert "ended by SIGABRT: llama.cpp/examples/main/main.cpp:432: GGML_ASSERT" in failure.reason


def test_an_uncaught_exception_is_a_crash() -> None:
    failure = classify_failure(None, signal.SIGABRT, captured("threads"))
    assert failure.status is Status.CRASHED
    assert "std::system_error" in failure.reason


def test_a_crash_without_words() -> None:
    failure = classify_failure(None, signal.SIGSEGV, "")
    assert failure.reason == "ended by SIGSEGV: it printed nothing"
    told = classify_failure(None, signal.SIGSEGV, "loading\nlast words\n\n")
    assert told.reason == "ended by SIGSEGV: last words"


def test_a_kill_may_be_the_kernel_s() -> None:
    failure = classify_failure(None, signal.SIGKILL, captured("interrupted"))
    assert (failure.status, failure.out_of_memory) == (Status.CRASHED, False)
    assert failure.maybe_out_of_memory


def test_an_interrupted_engine() -> None:
    assert classify_failure(130, None, captured("interrupted")).status is Status.INTERRUPTED


def test_strings_of_the_model_say_nothing_about_the_run() -> None:
    text = "llama_model_loader: - kv   3: general.description str = out of memory\nlast words"
    failure = classify_failure(1, None, text)
    assert (failure.status, failure.reason) == (Status.CRASHED, "exit code 1: last words")


def test_what_is_quoted_is_short_and_printable() -> None:
    text = "invalid argument: \x1b[31m" + "x" * 1000
    reason = classify_failure(1, None, text).reason
    assert len(reason) < 300
    assert reason.isprintable()


def test_a_signal_without_a_name() -> None:
    assert classify_failure(None, 200, "").reason.startswith("ended by signal 200")


def test_an_instruction_that_the_processor_does_not_run() -> None:
    failure = classify_failure(None, signal.SIGILL, "llama_model_loader: loaded meta data\n")
    assert failure.status is Status.CRASHED
    assert "SIGILL" in failure.reason
    assert "does not run an instruction" in failure.reason


@pytest.mark.parametrize(
    ("told", "library"),
    [
        ("x: error while loading shared libraries: libcuda.so.1: cannot open", "libcuda.so.1"),
        ("Error loading shared library libgomp.so.1: No such file (needed by x)", "libgomp.so.1"),
        ("dyld[7]: Library not loaded: @rpath/libllama.dylib", "libllama.dylib"),
        ("error loading model: libcuda.so.1", None),
        ("", None),
    ],
)
def test_a_library_that_the_loader_misses(told: str, library: str | None) -> None:
    assert missing_library(told) == library
