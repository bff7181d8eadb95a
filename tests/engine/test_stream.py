"""Processes that misbehave in every way an engine might; scripts stand in for it here."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest

from edgemoe_appliance.engine import stream
from edgemoe_appliance.engine.footer import parse_footer
from edgemoe_appliance.engine.stream import (
    EndedBy,
    EngineEvent,
    EngineResult,
    EventKind,
    run_engine,
)
from edgemoe_appliance.errors import HostError
from tests.engine.processes import is_running, survives_its_parent, wait_until

FOOTER = "llama_perf_context_print:        load time =      61.65 ms"


def sh(script: str, **options: object) -> EngineResult:
    return run(["/bin/sh", "-c", f"PATH=/usr/bin:/bin; {script}"], **options)


def python(script: str, **options: object) -> EngineResult:
    return run([sys.executable, "-I", "-c", textwrap.dedent(script)], **options)


def run(argv: list[str], **options: object) -> EngineResult:
    settings: dict[str, object] = {"timeout_s": 20.0, "kill_grace_s": 0.2, **options}
    return run_engine(argv, {}, **settings)  # type: ignore[arg-type]


def test_a_good_run_has_its_moments_in_order() -> None:
    result = sh(
        "echo loading >&2; printf one; sleep 0.05; printf two; printf '\\n\\n';"
        f"echo '{FOOTER}' >&2; sleep 0.05"
    )
    assert (result.exit_code, result.signal, result.ended_by) == (0, None, EndedBy.ITSELF)
    assert result.text == b"onetwo"
    assert result.text_sha256 == hashlib.sha256(b"onetwo").hexdigest()
    assert [line.text for line in result.stderr_lines] == ["loading", FOOTER]
    assert result.first_text_ns is not None
    assert result.last_text_ns is not None
    assert result.footer_ns is not None
    moments = [
        result.spawn_ns,
        result.first_text_ns,
        result.last_text_ns,
        result.footer_ns,
        result.exit_ns,
    ]
    assert moments == sorted(moments)
    assert 0.04e9 < result.last_text_ns - result.first_text_ns < 5e9
    assert 0.04e9 < result.exit_ns - result.footer_ns < 5e9
    assert 0.1 < result.wall_s < 10


def test_events_come_as_things_happen_and_the_process_lives_at_its_footer() -> None:
    seen: list[EngineEvent] = []
    alive: list[bool] = []

    def on_event(event: EngineEvent) -> None:
        seen.append(event)
        if event.kind is EventKind.FOOTER:
            alive.append(is_running(event.pid))

    sh(f"printf a; sleep 0.05; printf b; echo '{FOOTER}' >&2; sleep 0.1", on_event=on_event)
    assert [event.kind for event in seen] == [
        EventKind.SPAWNED,
        EventKind.FIRST_TEXT,
        EventKind.TEXT,
        EventKind.TEXT,
        EventKind.FOOTER,
        EventKind.EXITED,
    ]
    assert [event.text_bytes for event in seen] == [0, 1, 1, 2, 2, 2]
    assert alive == [True]


@pytest.mark.parametrize(
    ("ending", "exit_code", "signal_number"),
    [
        ("exit 1", 1, None),
        ("exit 255", 255, None),
        ("kill -SEGV $$", None, signal.SIGSEGV),
        ("kill -ABRT $$", None, signal.SIGABRT),
        ("kill -KILL $$", None, signal.SIGKILL),
    ],
)
def test_a_crash_keeps_what_was_printed(
    ending: str, exit_code: int | None, signal_number: int | None
) -> None:
    result = sh(f"printf text; echo message >&2; {ending}")
    assert (result.exit_code, result.signal) == (exit_code, signal_number)
    assert (result.text, result.stderr_text) == (b"text", "message")
    assert result.ended_by is EndedBy.ITSELF


def test_an_engine_that_hangs_is_ended_at_the_timeout() -> None:
    result = sh("printf begun; exec sleep 600", timeout_s=2)
    assert (result.ended_by, result.signal) == (EndedBy.TIMEOUT, signal.SIGTERM)
    assert result.text == b"begun"
    assert result.wall_s < 60


def test_one_that_ignores_sigterm_is_killed() -> None:
    result = sh("trap '' TERM; echo deaf; sleep 600", timeout_s=2)
    assert (result.ended_by, result.signal) == (EndedBy.TIMEOUT, signal.SIGKILL)
    assert result.text == b"deaf\n"


def test_a_caller_can_stop_it() -> None:
    stop = threading.Event()
    result = sh(
        "printf text; exec sleep 60",
        should_stop=stop.is_set,
        on_event=lambda event: stop.set() if event.kind is EventKind.TEXT else None,
    )
    assert (result.ended_by, result.signal) == (EndedBy.STOPPED, signal.SIGTERM)


def test_ctrl_c_ends_it_and_is_told() -> None:
    def press(event: EngineEvent) -> None:
        if event.kind is EventKind.FIRST_TEXT:
            os.kill(os.getpid(), signal.SIGINT)

    result = sh("printf text; exec sleep 60", on_event=press)
    assert (result.ended_by, result.signal) == (EndedBy.STOPPED, signal.SIGTERM)


def test_an_error_of_the_caller_comes_through_after_the_process_is_gone() -> None:
    pids: list[int] = []

    def fail(event: EngineEvent) -> None:
        pids.append(event.pid)
        raise RuntimeError("sampler broke")

    with pytest.raises(RuntimeError, match="sampler broke"):
        sh("exec sleep 60", on_event=fail)
    assert not is_running(pids[0])


def test_invalid_utf8_is_kept_as_bytes() -> None:
    result = sh(r"printf 'ok \377\376 \303'; printf 'bad \377\n' >&2")
    assert result.text == b"ok \xff\xfe \xc3"
    assert result.stderr_text == "bad �"


def test_a_hundred_megabytes_are_counted_and_not_kept() -> None:
    result = sh("head -c 100000000 /dev/zero")
    assert result.text_bytes == 100_000_000
    assert len(result.text) == 1024**2
    digest = hashlib.sha256()
    for _ in range(100):
        digest.update(bytes(1_000_000))
    assert result.text_sha256 == digest.hexdigest()


def test_both_pipes_full_at_once_do_not_block() -> None:
    result = python(
        """
        import sys, threading
        def write(stream, line):
            for _ in range(20000):
                stream.write(line)
            stream.flush()
        writers = [threading.Thread(target=write, args=(sys.stdout, "t" * 99 + "\\n")),
                   threading.Thread(target=write, args=(sys.stderr, "e" * 99 + "\\n"))]
        for writer in writers: writer.start()
        for writer in writers: writer.join()
        """
    )
    assert (result.text_bytes, result.stderr_bytes) == (2_000_000, 2_000_000)
    assert len(result.stderr_lines) < 20_000
    assert result.stderr_dropped_bytes > 1_500_000


def test_one_that_closes_its_pipes_and_goes_on_is_waited_for() -> None:
    result = sh("printf text; exec >&- 2>&-; sleep 0.3; exit 3")
    assert (result.exit_code, result.text) == (3, b"text")
    assert result.wall_s > 0.25


def test_what_it_leaves_behind_is_killed_and_holds_nothing_up() -> None:
    result = sh("sleep 600 & echo $! >&2; printf text")
    left_behind = int(result.stderr_text)
    assert result.exit_code == 0
    assert result.wall_s < 60
    assert wait_until(lambda: not is_running(left_behind))


def test_one_that_left_the_group_and_keeps_the_pipes_does_not_hold_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "_DRAIN_S", 0.2)
    begin_s = time.monotonic()
    result = python(
        """
        import os, time
        left = os.fork()
        if left == 0:
            os.setsid()
            time.sleep(600)
            os._exit(0)
        print(left, flush=True)
        """
    )
    os.kill(int(result.text), signal.SIGKILL)
    assert time.monotonic() - begin_s < 60


def test_it_gets_no_terminal_and_its_own_session() -> None:
    result = python("import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))")
    assert result.text == b"True ''\n"


def test_a_debugger_that_it_starts_fails_at_once() -> None:
    """llama.cpp waits for the debugger it starts after a failed assertion."""
    told = ["/bin/sh", "-c", "gdb --batch; echo gdb $?; lldb; echo lldb $?; ls || echo none"]
    result = run(told)
    assert result.text.split(b"\n") == [b"gdb 1", b"lldb 1", b"none", b""]


def test_without_pidfd_it_works_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_open_pidfd", lambda _pid: None)
    assert sh("printf text; exit 7").exit_code == 7
    hung = sh("exec sleep 60", timeout_s=0.2)
    assert (hung.ended_by, hung.signal) == (EndedBy.TIMEOUT, signal.SIGTERM)


def test_processor_time_is_its_own() -> None:
    result = python("sum(range(3_000_000))")
    assert 0 < result.user_s < 10
    assert result.max_rss_bytes > 1_000_000


def test_an_engine_that_is_not_there_or_no_program(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="No such file"):
        run([str(tmp_path / "llama-cli")])
    text = tmp_path / "text"
    text.write_text("not a program")
    with pytest.raises(HostError, match="Permission denied"):
        run([str(text)])
    text.chmod(0o755)
    with pytest.raises(HostError, match="Exec format error"):
        run([str(text)])


def test_an_odd_footer_or_none_gives_no_figures() -> None:
    odd = sh("printf text; echo 'llama_perf_context_print: eval time = 12' >&2")
    assert odd.footer_ns is not None
    assert parse_footer(odd.stderr_text) is None
    none = sh("printf text; echo done >&2")
    assert none.footer_ns is None


def test_no_descriptor_and_no_child_is_left() -> None:
    own = psutil.Process()
    before = (own.num_fds(), own.children())
    for _ in range(5):
        sh("printf x")
    assert (own.num_fds(), own.children()) == before


def test_a_killed_measuring_process_takes_its_engine_along(tmp_path: Path) -> None:
    """The engine here ignores everything that can be ignored, a closed pipe too.

    The measuring process tells its pid with its first text: by then the guard knows of it.
    """
    engine = tmp_path / "engine.py"
    engine.write_text(
        "import signal, time\n"
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "print('on', flush=True)\n"
        "time.sleep(600)\n"
    )
    measure = (
        "import sys; from edgemoe_appliance.engine.stream import run_engine\n"
        "def tell(event):\n"
        "    if event.kind == 'first-text':\n"
        "        open(sys.argv[1], 'w').write(str(event.pid))\n"
        "run_engine(sys.argv[2:], {}, timeout_s=600, on_event=tell)"
    )
    pid_file = tmp_path / "pid"
    command: list[str | Path] = [pid_file, sys.executable, "-I", engine]
    assert not survives_its_parent(measure, command, pid_file)
