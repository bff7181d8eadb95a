"""The error taxonomy: one root, one exit code per family, one line per error.

A message says what is wrong (with the value) and where; the hint says what to do next.
Only the command line prints errors and exits; library code raises them.
"""

from __future__ import annotations

import errno
from typing import Final

# Of a longer path the beginning and the end are told.
_LONGEST_WHERE: Final = 400


class ApplianceError(Exception):
    """Root of all errors that a user can do something about."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, hint: str = "") -> None:
        """Keep the parts apart so that the command line can print them in one form."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Return `where: what; hint` on one line, without the parts that are absent."""
        where = self.where or ""
        if len(where) > _LONGEST_WHERE:
            where = f"{where[: _LONGEST_WHERE // 2]}...{where[-_LONGEST_WHERE // 2 :]}"
        text = f"{where}: {self.what}" if where else self.what
        return f"{text}; {self.hint}" if self.hint else text


class ConfigError(ApplianceError):
    """A flag or a configuration file is wrong."""

    exit_code = 2


class HostError(ApplianceError):
    """The host lacks something: a compiler, disk space, an engine, a network."""

    exit_code = 3


class DigestError(ApplianceError):
    """A source, model, binary or image is not the one that is pinned."""

    exit_code = 4


class RunFailedError(ApplianceError):
    """At least one run of a session did not end well; the records are kept."""

    exit_code = 5


class MeasureError(ApplianceError):
    """Measuring itself failed; what had been measured is kept and marked."""

    exit_code = 6


class RecordError(ApplianceError):
    """A journal, plan or model file cannot be read, or is of a foreign format."""

    exit_code = 7


class NewerRecordError(RecordError):
    """A journal, plan or archive was written by a newer appliance than this one."""


class VerificationError(ApplianceError):
    """An archive does not say what its contents say."""

    exit_code = 8


class InterruptedByUserError(ApplianceError):
    """The user stopped the work; the journal is closed and the work can be resumed."""

    exit_code = 130


def error_class_for(exit_code: int) -> type[ApplianceError] | None:
    """Return the family of errors that an exit code of ours stands for."""
    families = {family.exit_code: family for family in ApplianceError.__subclasses__()}
    return families.get(exit_code)


_DISK: Final = "free disk space and inodes there (df, df -i)"
_IN_THE_WAY: Final = "something else has that name: move it away"
# What to do about the errors of the system that anybody can meet (errno(3)).
_ADVICE: Final = {
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.EACCES: "check its owner and permissions",
    errno.EPERM: "check its owner and permissions",
    errno.EROFS: "choose another place: that disk cannot be written to",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the system has too many open files: end other programs",
    errno.EFBIG: "raise the limit of file sizes (ulimit -f)",
    errno.ENOMEM: "end other programs: memory is short",
    errno.EAGAIN: "raise the limit of processes (ulimit -u), or end other programs",
    errno.EIO: "the disk does not work: see dmesg",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: _IN_THE_WAY,
    errno.ENOTDIR: _IN_THE_WAY,
    errno.ENOENT: "something removed it meanwhile: repeat the command",
}


def host_error(error: OSError, *, where: str | None = None) -> HostError:
    """Return what the system refused as a HostError that says where and what to do about it.

    `where` is for errors that name no file, as those of writing to one that is open do not, or
    that name it by its descriptor.
    """
    named = where if error.filename is None or isinstance(error.filename, int) else error.filename
    if isinstance(named, bytes):
        named = named.decode(errors="replace")
    return HostError(
        f"the system refuses this ({error.strerror or error or type(error).__name__})",
        where=None if named is None else str(named),
        hint=_ADVICE.get(error.errno or 0, ""),
    )
