"""One engine process: started, both pipes read as they fill, ended for certain, reaped.

Stamps every read with the monotonic clock and keeps a bounded part of what is printed. It does
not interpret the output beyond noticing that the footer has begun.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from edgemoe_appliance.engine.collect import LineCollector, StderrLine, TextChunk, TextCollector
from edgemoe_appliance.engine.guard import GroupGuard
from edgemoe_appliance.errors import HostError, MeasureError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.units import KIB, NS_PER_S

_READ_BYTES: Final = 64 * KIB
_FOOTER_MARKS: Final = ("llama_perf_", "llama_print_timings", "common_perf_print")
# How often a stop wish and the timeout are looked at; pipes and exit wake the loop by themselves.
_TICK_S: Final = 0.05
# The same where the kernel cannot wake us on exit: it bounds the error of the exit time.
_TICK_WITHOUT_PIDFD_S: Final = 0.005
# A process that the engine left behind may hold the pipes: it is killed, this is the wait for it.
_DRAIN_S: Final = 1.0
_DEBUGGERS: Final = ("gdb", "lldb")


class EventKind(str, Enum):
    """What a caller may want to react to while the engine runs."""

    SPAWNED = "spawned"
    FIRST_TEXT = "first-text"
    TEXT = "text"  # every read of text, the first too
    FOOTER = "footer"  # its first line has come; the process is still alive
    EXITED = "exited"


@dataclass(frozen=True, kw_only=True)
class EngineEvent:
    """One event; `text_bytes` counts all text up to now."""

    kind: EventKind
    t_ns: int
    pid: int
    text_bytes: int


class EndedBy(str, Enum):
    """Who ended the engine."""

    ITSELF = "itself"
    TIMEOUT = "timeout"
    STOPPED = "stopped"  # the caller, or Ctrl-C


@dataclass(frozen=True, kw_only=True)
class EngineResult:
    """What one engine process did; moments are nanoseconds of the monotonic clock.

    `text` and `stderr_lines` are bounded; `text_bytes`, `text_sha256` and `stderr_bytes` are of
    everything. Text is without the two newlines that the engine prints after it. `chunks` are
    the reads of text, `chunks_dropped` counts those past the bound. Exactly one of `exit_code`
    and `signal` is set. `max_rss_bytes` is at least the peak of the process that started the
    engine, because the kernel's mark is handed on until exec.
    """

    pid: int
    spawn_ns: int
    first_text_ns: int | None
    last_text_ns: int | None
    footer_ns: int | None
    exit_ns: int
    exit_code: int | None
    signal: int | None
    ended_by: EndedBy
    chunks: tuple[TextChunk, ...]
    chunks_dropped: int
    text: bytes
    text_bytes: int
    text_sha256: str
    stderr_lines: tuple[StderrLine, ...]
    stderr_bytes: int
    stderr_dropped_bytes: int
    user_s: float
    system_s: float
    max_rss_bytes: int

    @property
    def stderr_text(self) -> str:
        """Return the kept lines of stderr as one text."""
        return "\n".join(line.text for line in self.stderr_lines)

    @property
    def wall_s(self) -> float:
        """Return the time from just before the start until the exit was seen."""
        return (self.exit_ns - self.spawn_ns) / NS_PER_S


OnEvent = Callable[[EngineEvent], None]


def run_engine(
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    timeout_s: float,
    on_event: OnEvent = lambda _event: None,
    should_stop: Callable[[], bool] = lambda: False,
    kill_grace_s: float = 5.0,
) -> EngineResult:
    """Run the engine to its end and return what it did.

    Past `timeout_s`, or when `should_stop` says so or on Ctrl-C, its whole process group gets
    SIGTERM and after `kill_grace_s` SIGKILL; all three are told in `ended_by` and not raised.
    What `on_event` raises comes through, after the group has been killed and reaped.
    PATH is replaced, see `debugger`. Raises HostError where the engine cannot be started.
    """
    with GroupGuard() as guard, path_without_debugger() as path:
        spawn_ns = time.monotonic_ns()
        process = _spawn(argv, {**env, "PATH": path})
        guard.protect(process.pid)
        watched = _Watched(process, spawn_ns, on_event, kill_grace_s)
        try:
            watched.watch(spawn_ns + round(timeout_s * NS_PER_S), should_stop)
        finally:
            end = watched.close()
            guard.release()
        return watched.result(end)


def _spawn(argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            env=dict(env),
            # A terminal there would let llama-cli wait for typing.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(
            f"cannot be started ({error.strerror})", where=argv[0], hint="build the engine again"
        ) from error


@dataclass(frozen=True, kw_only=True)
class _End:
    """What the kernel says about the reaped process."""

    exit_code: int | None
    signal: int | None
    user_s: float
    system_s: float
    max_rss_bytes: int


class _Watched:
    """The mutable state of one running engine; owned by one `run_engine` call."""

    def __init__(
        self, process: subprocess.Popen[bytes], spawn_ns: int, on_event: OnEvent, grace_s: float
    ) -> None:
        self._process = process
        self._spawn_ns = spawn_ns
        self._on_event = on_event
        self._grace_ns = round(grace_s * NS_PER_S)
        self._text = TextCollector()
        self._stderr = LineCollector()
        self._footer_ns: int | None = None
        self._exit_ns: int | None = None
        self._ended_by = EndedBy.ITSELF
        self._kill_at_ns: int | None = None
        self._end: _End | None = None
        self._selector = selectors.DefaultSelector()
        self._pidfd = _open_pidfd(process.pid)
        self._open_pipes = 0
        self._register()

    def _register(self) -> None:
        process = self._process
        for pipe, take in ((process.stdout, self._on_text), (process.stderr, self._on_stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe.fileno(), selectors.EVENT_READ, take)
                self._open_pipes += 1
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ, None)

    def watch(self, deadline_ns: int, should_stop: Callable[[], bool]) -> None:
        """Read until the process has ended and nothing more can come."""
        self._tell(EventKind.SPAWNED, self._spawn_ns)
        while not self._is_finished():
            try:
                self._step(deadline_ns, should_stop)
            except KeyboardInterrupt:
                self._ask_to_end(EndedBy.STOPPED)

    def close(self) -> _End:
        """Kill what still runs, reap it, close everything."""
        if self._end is None:  # not reaped, so its number cannot belong to somebody else
            self._signal_group(signal.SIGKILL)
            self._end = _reap(self._process, 0)
        self._selector.close()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        if self._end is None:
            raise MeasureError("the exit of the engine was taken by another part of this process")
        return self._end

    def result(self, end: _End) -> EngineResult:
        """Return everything seen, once the process has ended."""
        exit_ns = self._exit_ns or time.monotonic_ns()
        self._stderr.finish(exit_ns)
        return EngineResult(
            pid=self._process.pid,
            spawn_ns=self._spawn_ns,
            first_text_ns=self._text.first_ns,
            last_text_ns=self._text.last_ns,
            footer_ns=self._footer_ns,
            exit_ns=exit_ns,
            exit_code=end.exit_code,
            signal=end.signal,
            ended_by=self._ended_by,
            chunks=self._text.chunks,
            chunks_dropped=self._text.chunks_dropped,
            text=self._text.text,
            text_bytes=self._text.text_bytes,
            text_sha256=self._text.text_sha256,
            stderr_lines=self._stderr.lines,
            stderr_bytes=self._stderr.total_bytes,
            stderr_dropped_bytes=self._stderr.dropped_bytes,
            user_s=end.user_s,
            system_s=end.system_s,
            max_rss_bytes=end.max_rss_bytes,
        )

    def _is_finished(self) -> bool:
        if self._exit_ns is None:
            return False
        waited_ns = time.monotonic_ns() - self._exit_ns
        return self._open_pipes == 0 or waited_ns > _DRAIN_S * NS_PER_S

    def _step(self, deadline_ns: int, should_stop: Callable[[], bool]) -> None:
        tick_s = _TICK_WITHOUT_PIDFD_S if self._pidfd is None else _TICK_S
        for key, _ in self._selector.select(tick_s):
            if key.data is None:
                self._on_exit()
            else:
                self._read(key.fd, key.data)
        if self._exit_ns is not None:
            return
        if self._pidfd is None:
            self._end = _reap(self._process, os.WNOHANG)
            if self._end is not None:
                self._on_exit()
                return
        self._check_time(deadline_ns, should_stop)

    def _read(self, descriptor: int, take: Callable[[bytes, int], None]) -> None:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        t_ns = time.monotonic_ns()
        if data:
            take(data, t_ns)
        else:
            self._selector.unregister(descriptor)
            self._open_pipes -= 1

    def _on_text(self, data: bytes, t_ns: int) -> None:
        is_first = self._text.total_bytes == 0
        self._text.feed(data, t_ns)
        if is_first:
            self._tell(EventKind.FIRST_TEXT, t_ns)
        self._tell(EventKind.TEXT, t_ns)

    def _on_stderr(self, data: bytes, t_ns: int) -> None:
        for line in self._stderr.feed(data, t_ns):
            if self._footer_ns is None and any(mark in line.text for mark in _FOOTER_MARKS):
                self._footer_ns = t_ns
                self._tell(EventKind.FOOTER, t_ns)

    def _on_exit(self) -> None:
        """Note the exit and kill what the engine left behind in its group."""
        self._exit_ns = time.monotonic_ns()
        if self._pidfd is not None:
            self._selector.unregister(self._pidfd)
        self._signal_group(signal.SIGKILL)
        self._tell(EventKind.EXITED, self._exit_ns)

    def _check_time(self, deadline_ns: int, should_stop: Callable[[], bool]) -> None:
        now_ns = time.monotonic_ns()
        if self._kill_at_ns is not None:
            if now_ns >= self._kill_at_ns:
                self._signal_group(signal.SIGKILL)
        elif now_ns >= deadline_ns:
            self._ask_to_end(EndedBy.TIMEOUT)
        elif should_stop():
            self._ask_to_end(EndedBy.STOPPED)

    def _ask_to_end(self, by: EndedBy) -> None:
        """Send SIGTERM, or SIGKILL where that has been tried already."""
        if self._exit_ns is not None:
            return
        if self._kill_at_ns is not None:
            self._signal_group(signal.SIGKILL)
            return
        self._ended_by = by
        self._kill_at_ns = time.monotonic_ns() + self._grace_ns
        self._signal_group(signal.SIGTERM)

    def _signal_group(self, number: signal.Signals) -> None:
        # macOS says "not permitted" for a group whose only members are dead.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _tell(self, kind: EventKind, t_ns: int) -> None:
        text_bytes = self._text.total_bytes
        self._on_event(
            EngineEvent(kind=kind, t_ns=t_ns, pid=self._process.pid, text_bytes=text_bytes)
        )


def _open_pidfd(pid: int) -> int | None:
    """Return a descriptor that becomes readable on exit, where the system has such."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or a container profile that forbids it
        return None


def _reap(process: subprocess.Popen[bytes], options: int) -> _End | None:
    """Reap a child with its resource usage; None where it still runs or was reaped before."""
    try:
        pid, status, usage = os.wait4(process.pid, options)
    except ChildProcessError:
        return None
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    unit_bytes = 1 if sys.platform == "darwin" else KIB
    return _End(
        exit_code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        user_s=usage.ru_utime,
        system_s=usage.ru_stime,
        max_rss_bytes=usage.ru_maxrss * unit_bytes,
    )


@contextmanager
def path_without_debugger() -> Iterator[str]:
    """Give a PATH that holds for as long as the context: on it, debuggers that do nothing.

    A failed assertion makes llama.cpp start gdb or lldb from PATH, which takes seconds of the run
    and prints into the generated text. Where it finds neither, its forked copy runs the exit
    handlers, which wait for threads that a copy does not have: the engine hangs for ever (seen
    with b4404, b4447 and b5308). With a debugger that fails at once it prints its own backtrace
    and aborts.

    Raises HostError where there is no room for temporary files.
    """
    fails = shutil.which("false", path="/bin:/usr/bin") or "/bin/false"
    with contextlib.ExitStack() as opened:
        try:
            folder = opened.enter_context(scratch_folder("edgemoe-path-"))
        except OSError as error:
            raise HostError(f"no temporary folder ({error.strerror})", hint="set TMPDIR") from error
        for debugger in _DEBUGGERS:
            # A link, as a file there could not be executed where /tmp is mounted noexec.
            (folder / debugger).symlink_to(fails)
        yield str(folder)
