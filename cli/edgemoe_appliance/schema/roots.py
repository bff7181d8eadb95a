"""Roots: names that stand in records for the folders of this machine.

A journal, a page and an archive must not tell who measured, where: a path holds the user's name and
the names of their folders. So records say `$MODELS/olmoe.gguf`, and which folder `$MODELS` is stays
on this machine, beside the plan that the bench keeps for itself. This is the one place where paths
become names and names become paths again: a bench measures by its own plan and puts one that names
roots into the session, what measures hides the folders in every record that it writes, and a plan
out of a session folder is resolved where it is measured again.

>>> roots = Roots(folders={"MODELS": "/home/ada/models"})
>>> roots.hide("cannot read /home/ada/models/olmoe.gguf")
'cannot read $MODELS/olmoe.gguf'
>>> roots.resolve("$MODELS/olmoe.gguf")
'/home/ada/models/olmoe.gguf'
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

from edgemoe_appliance.errors import HostError, RecordError
from edgemoe_appliance.schema.configs import DirectorySource
from edgemoe_appliance.schema.plan import EngineBuild, Plan
from edgemoe_appliance.schema.sessionfolder import SessionFolder, host_folder

# Where the roots of a session lie on this machine: a file beside the plan that the bench keeps.
LOCAL_NAME: Final = "paths.local.json"
HOME: Final = "HOME"
SCRATCH: Final = "SCRATCH"
SESSION: Final = "SESSION"
_OTHER: Final = "OTHER"
_AGAIN: Final = "remove it and repeat the bench"
_NAMED: Final = re.compile(r"\$([A-Z][A-Z0-9]*)(?=/|$)")
# Homes of anybody, as Linux and macOS place them.
_HOMES: Final = r"/(?:var/)?(?:home|Users)/[^/\s'\":;,]+|/root(?=/)"
# An engine of another machine: who and which machine it is stays out, how it is reached stays in.
_ADDRESS: Final = re.compile(r"\b(ssh|tcp)://[^/\s'\",;]+")
# Machines called so tell nothing of whose they are, and the words stand in texts of ours.
_COMMON_HOSTS: Final = frozenset(
    {"debian", "host", "jetson", "linux", "localhost", "nvidia", "orin", "tegra", "ubuntu"}
)
_COMMON_USERS: Final = frozenset({"", "nobody", "root", "pi", "user", "ubuntu", "jetson", "nvidia"})
_SHORTEST_HOST: Final = 4
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, kw_only=True)
class Roots:
    """Folders of this machine by the names that records have for them.

    `user` and `host` are names that are hidden too; empty where there is nothing to hide.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    host: str = ""

    def having(self, **folders: Path | str) -> Roots:
        """Return these roots and some more."""
        more = {name: str(folder) for name, folder in folders.items()}
        return Roots(folders={**self.folders, **more}, user=self.user, host=self.host)

    def resolve(self, named: str) -> str:
        """Return the path that a name stands for; a path stays as it is.

        Raises HostError for a root that this machine does not have.
        """
        found = _NAMED.match(named)
        if found is None:
            return named
        folder = self.folders.get(found[1])
        if folder is None:
            raise HostError(
                f"{named}: nothing tells where ${found[1]} lies on this machine",
                hint=f"repeat the bench, or give --root {found[1]}=FOLDER",
            )
        return folder + named[found.end() :]

    @property
    def document(self) -> bytes:
        """Return the folders as they stand in a file."""
        text = json.dumps(dict(self.folders), indent=1, ensure_ascii=False)
        return text.encode(errors="surrogateescape") + b"\n"

    def holds(self, path: str) -> bool:
        """Return whether a path lies below a folder that is named for what it holds."""
        found = _NAMED.match(self.hide(path))
        return found is not None and found[1] in self.folders and found[1] != HOME

    def hide(self, value: ValueT) -> ValueT:
        """Return a text, or a document with all its texts, without folders, users and hosts.

        Only texts with a slash or a space are looked into: identifiers stay what they are.
        """
        if isinstance(value, str):
            return self._hide_text(value)  # type: ignore[return-value]
        if isinstance(value, Mapping):
            return {key: self.hide(each) for key, each in value.items()}  # type: ignore[return-value]
        if isinstance(value, list | tuple):
            return type(value)(map(self.hide, value))
        return value

    def _hide_text(self, text: str) -> str:
        if "/" in text:
            text = self._paths.sub(lambda found: f"${self._names.get(found[0], HOME)}", text)
            text = _ADDRESS.sub(r"\1://$HOST", text)
            if self.user not in _COMMON_USERS:
                text = self._users.sub("$USER", text)
        if self._is_host_hidden and ("/" in text or " " in text):
            text = self._hosts.sub("$HOST", text)
        return text

    @cached_property
    def _names(self) -> dict[str, str]:
        """The name of each root by its path, as given and without links; the first name wins."""
        names: dict[str, str] = {}
        for name, folder in self.folders.items():
            for path in (folder.rstrip("/"), str(Path(folder).resolve())):
                if path not in ("", "/"):
                    names.setdefault(path, name)
        return names

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        longest_first = sorted(self._names, key=len, reverse=True)
        known = [rf"{re.escape(path)}(?![\w.-])" for path in longest_first]
        return re.compile(rf"(?<![\w.$-])(?:{'|'.join([*known, _HOMES])})")

    @cached_property
    def _users(self) -> re.Pattern[str]:
        """A folder that is named for the user, wherever it lies: `/media/ada`."""
        return re.compile(rf"(?<=/){re.escape(self.user)}(?=[/\s'\":;,)]|$)")

    @property
    def _is_host_hidden(self) -> bool:
        return len(self.host) >= _SHORTEST_HOST and self.host.lower() not in _COMMON_HOSTS

    @cached_property
    def _hosts(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w.-]){re.escape(self.host)}(?![\w-])")


def read_roots(folder: Path) -> Roots:
    """Return the roots that a bench keeps in a folder, with who is here to be hidden.

    Raises RecordError where the file that tells them is not one of ours.
    """
    try:
        with SessionFolder(folder) as opened:
            known = json.loads(opened.read_bytes(LOCAL_NAME))
    except FileNotFoundError:
        known = {}
    except ValueError as error:
        raise RecordError("is no JSON", where=str(folder / LOCAL_NAME), hint=_AGAIN) from error
    if not isinstance(known, dict) or not all(isinstance(each, str) for each in known.values()):
        raise RecordError("is no list of folders", where=str(folder / LOCAL_NAME), hint=_AGAIN)
    home = os.environ.get("HOME", "").rstrip("/")
    at_home = {HOME: home} if home.count("/") > 1 or home == "/root" else {}
    return Roots(folders={**at_home, **known}, user=_user_name(), host=platform.node())


def plan_roots(plan: Plan, session: Path, known: Mapping[str, Path]) -> Roots:
    """Return the roots of a plan on this machine.

    `known` are the folders that have names; a path below none of them gets a root of its own.
    """
    here = {name: folder.absolute() for name, folder in known.items()}
    roots = read_roots(host_folder(session)).having(SESSION=session.absolute(), **here)
    for parent in dict.fromkeys(str(Path(path).parent) for path in paths_of(plan)):
        if not roots.holds(parent):
            taken = sum(name.startswith(_OTHER) for name in roots.folders)
            roots = roots.having(**{f"{_OTHER}{taken + 1}": parent})
    return roots


def discreet_plan(plan: Plan, roots: Roots) -> Plan:
    """Return a plan whose texts tell nothing of this machine; what is run lies where it lay."""
    findings = [
        each.model_copy(update={"seen": roots.hide(each.seen), "hint": roots.hide(each.hint)})
        for each in plan.findings
    ]
    engines = {pin: _with_hidden_source(build, roots) for pin, build in plan.engines.items()}
    return plan.model_copy(update={"findings": tuple(findings), "engines": engines})


def named_plan(plan: Plan, roots: Roots) -> Plan:
    """Return a plan whose paths name roots, for the session folder."""
    return _with_paths(plan, roots.hide)


def resolved_plan(plan: Plan, roots: Roots) -> Plan:
    """Return a plan whose paths are those of this machine. Raises HostError for an unknown root."""
    return _with_paths(plan, roots.resolve)


def _with_paths(plan: Plan, change: Callable[[str], str]) -> Plan:
    models = {
        key: model.model_copy(update={"path": change(model.path)})
        for key, model in plan.models.items()
    }
    engines = {pin: _engine_with_paths(build, change) for pin, build in plan.engines.items()}
    return plan.model_copy(update={"models": models, "engines": engines})


def _engine_with_paths(build: EngineBuild, change: Callable[[str], str]) -> EngineBuild:
    probe = build.probe
    if probe is not None:
        probe = probe.model_copy(update={"path": change(probe.path)})
    return build.model_copy(update={"binary": change(build.binary), "probe": probe})


def _with_hidden_source(build: EngineBuild, roots: Roots) -> EngineBuild:
    """Return a build without the folder it was made from, which nobody looks up again."""
    source = build.source
    if isinstance(source, DirectorySource):
        source = source.model_copy(update={"path": roots.hide(source.path)})
    return build.model_copy(update={"source": source, "why": roots.hide(build.why)})


def paths_of(plan: Plan) -> Iterator[str]:
    """Yield the files that a plan names: programs, probes, models."""
    for build in plan.engines.values():
        yield build.binary
        if build.probe is not None:
            yield build.probe.path
    for model in plan.models.values():
        yield model.path


def tells_folders(path: str) -> bool:
    """Return whether a path is one of a machine, and not below a root."""
    return path.startswith("/")


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
