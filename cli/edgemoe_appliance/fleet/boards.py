"""boards.yaml: the user's boards, how each is reached and what it is.

A file looks like this; without one the fleet is this machine alone:

    boards:
      orin-1:
        transport: ssh
        host: jetson@orin-1
        target: jetson
        work: edgemoe
        arguments: [--runtime, container]
        labels: {room: b12}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from pydantic import Field, field_validator, model_validator

from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.configs import Identifier
from edgemoe_appliance.schema.resources import work_root
from edgemoe_appliance.schema.yamlfile import read_yaml, validate

BOARDS_FILE: Final = "boards.yaml"
# Neither an option for ssh nor a second command for the shell there.
_HOST: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.@:\[\]-]*$"
_PATH: Final = r"^[A-Za-z0-9_./][A-Za-z0-9_./+ -]*$"


class Transport(str, Enum):
    """How a command reaches a board."""

    LOCAL = "local"  # this machine
    SSH = "ssh"  # the appliance is installed on the board
    DOCKER = "docker"  # a container engine of the board, reached from here
    SRUN = "srun"  # a node of a Slurm cluster, with a file system in common


class Board(Frozen):
    """One board.

    `host` is what ssh or srun is given, for `docker` the address of its engine (ssh://...).
    `work` is the folder on the board below which everything is written (from the home folder on, if
    it is no absolute path; here, that of this machine), `command` the appliance there, `arguments`
    are added to each of its evaluations.
    """

    transport: Transport = Transport.LOCAL
    host: str | None = Field(default=None, pattern=r"^(ssh://)?" + _HOST.removeprefix("^"))
    target: Identifier = "host"
    work: str | None = Field(default=None, pattern=_PATH)
    command: str = Field(default="edgemoe-appliance", pattern=_PATH)
    arguments: tuple[str, ...] = ()
    labels: dict[Identifier, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _reachable(self) -> Board:
        if (self.host is None) != (self.transport is Transport.LOCAL):
            needs = "no host" if self.host else "a host"
            raise ValueError(f"transport {self.transport.value} takes {needs}")
        if self.work is None and self.transport in (Transport.SSH, Transport.SRUN):
            raise ValueError(f"transport {self.transport.value} takes work, a folder on the board")
        is_engine = (self.host or "").startswith("ssh://")
        if is_engine != (self.transport is Transport.DOCKER):
            raise ValueError("an address ssh://... goes with transport docker, and with no other")
        return self

    @property
    def folder(self) -> str:
        """Return the folder on the board below which everything is written."""
        return self.work or str(work_root())

    @property
    def runs_here(self) -> bool:
        """Return whether its evaluations run on this machine, whatever they measure."""
        return self.transport in (Transport.LOCAL, Transport.DOCKER)

    @property
    def machine(self) -> str:
        """Return what tells machines apart, as far as the way to them does."""
        if self.host is None:
            return "this machine"
        return self.host.removeprefix("ssh://").rpartition("@")[2].lower()

    def has(self, wanted: Mapping[str, str]) -> bool:
        """Return whether it has some labels; its target and transport count among them."""
        own = {"target": self.target, "transport": self.transport.value, **self.labels}
        return all(own.get(name) == value for name, value in wanted.items())


class BoardsConfig(Frozen):
    """All of boards.yaml."""

    boards: dict[Identifier, Board] = Field(min_length=1)

    @field_validator("boards")
    @classmethod
    def _are_boards_of_their_own(cls, value: dict[str, Board]) -> dict[str, Board]:
        """Refuse what would measure twice at once on one machine, or count one board as two.

        The lock of a board lies in its work folder, where its transport leads to.
        """
        seen: dict[str, list[tuple[str, Board]]] = {}
        for name, board in value.items():
            for other, known in seen.setdefault(board.machine, []):
                both = f"{other} and {name} are both {board.machine}"
                if (known.transport, known.folder) != (board.transport, board.folder):
                    raise ValueError(
                        f"{both}: give them one `transport` and one `work`, so that they take turns"
                    )
                if known.target == board.target:
                    raise ValueError(f"{both} with target {board.target}: one board, named twice")
            seen[board.machine].append((name, board))
        return value


THIS_MACHINE: Final = BoardsConfig(boards={"this-machine": Board()})


def find_boards(path: Path | None = None) -> Path | None:
    """Return the file of boards: the one named, else that of the present folder, if any."""
    own = work_root() / BOARDS_FILE
    return path or (own if own.is_file() else None)


def read_boards(path: Path | None) -> BoardsConfig:
    """Read the boards, or this machine alone without a file.

    Raises ConfigError with file, line, key and what is allowed.
    """
    return THIS_MACHINE if path is None else validate(read_yaml(path), BoardsConfig)


def choose_boards(config: BoardsConfig, where: Sequence[str]) -> dict[str, Board]:
    """Return the boards that have all labels `name=value`, in the order of the file.

    Raises ConfigError where none has, or for what is no label.
    """
    wanted: dict[str, str] = {}
    for each in where:
        name, is_given, value = each.partition("=")
        if not (name and is_given):
            raise ConfigError(f"--where {each}: is no label", hint="give NAME=VALUE")
        wanted[name] = value
    found = {name: board for name, board in config.boards.items() if board.has(wanted)}
    if not found:
        raise ConfigError(
            f"no board has {', '.join(where)}", hint=f"boards: {', '.join(config.boards)}"
        )
    return found
