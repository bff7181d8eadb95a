"""How a command reaches a board: as words before it. Nothing stays on the board."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Final

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.fleet.boards import Board, Transport
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import human_bytes

# flock(1) ends with this where another holds the lock; no program here ends so otherwise.
IN_USE: Final = 75
# ssh(1): its own failures; the command's codes pass through.
UNREACHABLE: Final = 255
LOCK_NAME: Final = ".edgemoe-board.lock"
_WORK_VARIABLE: Final = "EDGEMOE_WORK"
# Never asks; notices within a minute that a board is gone; lends it neither the agent of the hub's
# keys nor its screen or ports; what greets a person who logs in is not shown.
_SSH_OPTIONS: Final = (
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "LogLevel=ERROR",
)
_SSH: Final = ("ssh", *(word for option in _SSH_OPTIONS for word in ("-o", option)))
_BLOCK_BYTES: Final = 1 << 20
_MOST_LINE_BYTES: Final = 4096
_LAST_LINES: Final = 3
_SEND_S: Final = 60


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command on a board ended, and the last lines that it wrote."""

    code: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        """Return code and lines in words."""
        said = " / ".join(line.strip() for line in self.lines)
        return f"code {self.code}: {said or 'it said nothing'}"


def wrapped(board: Board, command: Sequence[str]) -> list[str]:
    """Return a command as it is started on the hub to run on a board, with its work folder."""
    inside = ["env", f"{_WORK_VARIABLE}={board.folder}", *command]
    if board.transport is Transport.SSH:
        return [*_SSH, "--", str(board.host), shlex.join(inside)]
    if board.transport is Transport.SRUN:
        return ["srun", "--exclusive", f"--nodelist={board.host}", "--", *inside]
    return inside


def locked(board: Board, command: Sequence[str]) -> list[str]:
    """Return a command that holds the board's lock as long as it lives, or ends with `IN_USE`.

    The kernel of the board gives the lock back on any death, and keeps it where only the hub died.
    A board that is reached by its container engine has its lock on the hub.
    """
    lock = f"{board.folder}/{LOCK_NAME}"
    if board.transport is Transport.DOCKER:
        lock += f".{str(board.host).removeprefix('ssh://')}"
    take = ["flock", "--nonblock", "--conflict-exit-code", str(IN_USE), lock]
    with_folder = 'mkdir -p "$0" && exec "$@"'
    return wrapped(board, ["sh", "-c", with_folder, board.folder, *take, *command])


def evaluation(board: Board, session: str, arguments: Sequence[str]) -> list[str]:
    """Return the command of one session on a board."""
    own = ["--runtime", "container", "--docker-host", str(board.host)]
    return [
        board.command,
        *("evaluate", "--target", board.target, "--session", session),
        *(own if board.transport is Transport.DOCKER else []),
        *board.arguments,
        *arguments,
    ]


def send_file(board: Board, content: bytes, name: str) -> str:
    """Write a file into the folder of a board; return its path there. Raises HostError."""
    path = f"{board.folder}/{name}"
    write = 'mkdir -p "$0" && cat > "$1.part" && mv "$1.part" "$1"'
    ended = subprocess.run(
        wrapped(board, ["sh", "-c", write, board.folder, path]),
        check=False,
        input=content,
        capture_output=True,
        timeout=_SEND_S,
    )
    if ended.returncode != 0:
        said = on_one_line(ended.stderr.decode(errors="replace").strip())
        raise HostError(f"cannot be written on the board ({said})", where=path)
    return path


def fetched_archive(
    board: Board, session: str, out: Path, most_bytes: int, timeout_s: float | None = None
) -> Ended:
    """Copy the archive of a session from a board over what `out` holds; return how that ended.

    Raises HostError where it is larger than `most_bytes`.
    """
    source = f"{board.folder}/results/{session}.tar"
    with (
        out.open("wb") as file,
        _started(wrapped(board, ["cat", "--", source]), subprocess.PIPE, timeout_s) as process,
    ):
        assert process.stderr is not None  # noqa: S101  it is a pipe
        # Read beside the copy: a board that only complains would else wait for us, and we for it.
        said = _LastLines(process.stderr)
        said.start()
        copied = _copy(process, file, most_bytes)
        if copied > most_bytes:
            process.kill()
        said.join()
        file.flush()
        os.fsync(file.fileno())
    if copied > most_bytes:
        raise HostError(f"the archive is larger than {human_bytes(most_bytes)}", where=source)
    return Ended(code=process.returncode, lines=tuple(said.lines))


def follow(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    most_lines: int | None = None,
    timeout_s: float | None = None,
) -> Ended:
    """Run a command and give each of its lines, cut and made printable, to `on_line`.

    It is killed where it writes more than `most_lines` or takes longer than `timeout_s`.
    """
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with _started(command, subprocess.STDOUT, timeout_s) as process:
        assert process.stdout is not None  # noqa: S101  it is a pipe
        for number, line in enumerate(_lines(process.stdout), 1):
            if most_lines is not None and number > most_lines:
                process.kill()
                break
            last.append(line)
            on_line(line)
    return Ended(code=process.returncode, lines=tuple(last))


class _LastLines(threading.Thread):
    """Reads a stream to its end and keeps its last lines."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)

    def run(self) -> None:
        self.lines.extend(_lines(self._stream))


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield lines that are not empty; one without an end comes in pieces, so memory is bounded."""
    while raw := stream.readline(_MOST_LINE_BYTES):
        line = on_one_line(raw.decode(errors="replace").rstrip())
        if line.strip():
            yield line


@contextmanager
def _started(
    command: Sequence[str], stderr: int, timeout_s: float | None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a group of its own: what ends the driver does not end a session."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    ) as process:
        timer = threading.Timer(timeout_s or 0, _end_group, [process])
        if timeout_s is not None:
            timer.start()
        try:
            yield process
        finally:
            timer.cancel()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _copy(process: subprocess.Popen[bytes], file: BinaryIO, most_bytes: int) -> int:
    """Copy what a process writes; stops behind `most_bytes`."""
    assert process.stdout is not None  # noqa: S101  it is a pipe
    copied = 0
    while copied <= most_bytes and (block := process.stdout.read(_BLOCK_BYTES)):
        copied += len(block)
        file.write(block)
    return copied
