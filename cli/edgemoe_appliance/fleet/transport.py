"""How a command reaches a board: as words before it. Nothing stays on the board."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.fleet.boards import Board, Transport
from edgemoe_appliance.schema.units import human_bytes

# flock(1) ends with this where another holds the lock; no program here ends so otherwise.
IN_USE: Final = 75
# ssh(1): its own failures; the command's codes pass through.
UNREACHABLE: Final = 255
LOCK_NAME: Final = ".edgemoe-board.lock"
_WORK_VARIABLE: Final = "EDGEMOE_WORK"
_SSH: Final = ("ssh", "-o", "BatchMode=yes")
_BLOCK_BYTES: Final = 1 << 20


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


def fetch_archive(board: Board, session: str, out: Path, most_bytes: int) -> None:
    """Copy the archive of a session from a board.

    Raises HostError where it cannot be had, or is larger than `most_bytes`.
    """
    source = f"{board.folder}/results/{session}.tar"
    command = wrapped(board, ["cat", "--", source])
    with (
        out.open("xb") as file,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
    ):
        copied = _copy(process, file, most_bytes)
        if copied > most_bytes:
            process.kill()
        _, said = process.communicate()
        file.flush()
        os.fsync(file.fileno())
    if copied > most_bytes:
        raise HostError(f"the archive is larger than {human_bytes(most_bytes)}", where=source)
    if process.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise HostError(f"the archive cannot be copied ({last[0]})", where=source)


def _copy(process: subprocess.Popen[bytes], file: BinaryIO, most_bytes: int) -> int:
    """Copy what a process writes; stops behind `most_bytes`."""
    assert process.stdout is not None  # noqa: S101  it is a pipe
    copied = 0
    while copied <= most_bytes and (block := process.stdout.read(_BLOCK_BYTES)):
        copied += len(block)
        file.write(block)
    return copied
