"""A PATH on which llama.cpp finds a debugger that does nothing.

A failed assertion makes llama.cpp start gdb or lldb from PATH, which takes seconds of the run and
prints into the generated text. Where it finds neither, its forked copy runs the exit handlers,
which wait for threads that a copy does not have: the engine hangs for ever (seen with b4404, b4447
and b5308). With a debugger that fails at once it prints its own backtrace and aborts.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import scratch_folder

_DEBUGGERS: Final = ("gdb", "lldb")


@contextmanager
def path_without_debugger() -> Iterator[str]:
    """Give a PATH that holds for as long as the context; nothing but the debuggers is on it.

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
