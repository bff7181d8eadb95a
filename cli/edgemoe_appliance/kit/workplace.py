"""What the steps of a visit share: its folders and facts, its clock, its lock, its parcel.

Paths, user and host of a borrowed machine stay there: logs and facts name roots, as records do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, TypeVar

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.kit.contents import KitFacts, read_kit
from edgemoe_appliance.kit.parcel import (
    LOGS,
    SESSIONS,
    VisitFacts,
    WrittenParcel,
    cut_log,
    write_parcel,
)
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Target, find_catalogue
from edgemoe_appliance.schema.files import try_lock, write_atomically
from edgemoe_appliance.schema.journal import LOG_NAME
from edgemoe_appliance.schema.roots import Roots, read_roots
from edgemoe_appliance.schema.sessionfolder import host_folder
from edgemoe_appliance.schema.streams import Say
from edgemoe_appliance.studies.study import Study, read_study

ResultT = TypeVar("ResultT")

FACTS_NAME: Final = "visit.json"
_TIMELINE: Final = "timeline.jsonl"
_LOCK: Final = ".visit.lock"
_POLL_S: Final = 0.2
_LOCK_WAIT_S: Final = 3.0
# Packing and the table; a journal being closed.
_END_S: Final = 6.0


@dataclass(frozen=True, kw_only=True)
class VisitRequest:
    """Where the kit lies, where things go, and how long it may take.

    `environment` is where the large wheels are unpacked; None where this Python has them.
    `elapsed_s` has passed since run.sh was started. `target` and `scale` overrule the kit's and
    what the disk allows; `devices` is a file of targets and outside meters of the owner's.
    """

    kit: Path
    out: Path
    work: Path
    minutes: float
    environment: Path | None = None
    elapsed_s: float = 0.0
    target: str | None = None
    scale: TwinScale | None = None
    devices: Path | None = None


class VisitLog:
    """Says what happens and keeps it; times count from the start of run.sh."""

    def __init__(self, say: Say, path: Path, *, start_s: float, roots: Roots) -> None:
        """Begin; `start_s` is the start by the monotonic clock."""
        self._say, self._path, self._start_s, self._roots = say, path, start_s, roots
        self._lock = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start_s

    def tell(self, text: str) -> None:
        """Say something and keep it."""
        at_s = self.elapsed_s
        kept = {"at_s": round(at_s, 1), "text": self._roots.hide(text)}
        with self._lock:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(kept, ensure_ascii=False) + "\n")
            self._say(f"{clock(at_s)} {text}")


def clock(duration_s: float) -> str:
    """Return seconds as `m:ss`."""
    return f"{int(duration_s) // 60:2d}:{int(duration_s) % 60:02d}"


class TimeUpError(Exception):
    """The time of a visit is over, or stopping was asked for."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Everything that the steps of one visit share; `deadline_s` counts as the timeline does."""

    request: VisitRequest
    kit: KitFacts
    facts: VisitFacts
    study: Study
    target: Target
    timeline: VisitLog
    interruption: Interruption
    folders: Folders
    roots: Roots
    deadline_s: float

    @property
    def left_s(self) -> float:
        """Return the seconds that are left for work."""
        return self.deadline_s - self.timeline.elapsed_s

    @property
    def is_over(self) -> bool:
        """Return whether the visit has to end now."""
        return self.left_s <= 0 or self.interruption.requested()

    def tell(self, text: str) -> None:
        """Say something and keep it in the timeline."""
        self.timeline.tell(text)

    def is_built(self, pin: str) -> bool:
        """Return whether a build of a pin lies in the cache, with these flags or others."""
        return any((self.folders.cache / "builds").glob(f"{pin}-*/build.json"))

    def wait(self, *futures: Future[ResultT]) -> None:
        """Wait for background work. Raises TimeUpError when the visit has to end before."""
        while not all(future.done() for future in futures):
            if self.is_over:
                raise TimeUpError
            time.sleep(_POLL_S)

    def with_facts(self, **facts: object) -> Visit:
        """Return the visit with more facts, which are kept."""
        visit = dataclasses.replace(self, facts=self.facts.model_copy(update=facts))
        _write_facts(visit.facts, self.request.out, self.roots)
        return visit

    def pack(self) -> WrittenParcel:
        """Write the parcel of what there is by now; a later one takes its place."""
        out, builds = self.request.out, self.folders.cache / "builds"
        for pin in (carried.pin for carried in self.kit.pins):
            # Beside the build while it is made, inside it afterwards.
            for log in (*builds.glob(f"{pin}-*.log"), *builds.glob(f"{pin}-*/build.log")):
                _keep_log(log, out / LOGS / f"build-{pin}.log", self.roots)
        for session in visit_sessions(out):
            log = host_folder(session) / LOG_NAME
            if log.exists():
                _keep_log(log, out / LOGS / f"measure-{session.name}.log", self.roots)
        return _write(out)


@contextlib.contextmanager
def open_visit(request: VisitRequest, say: Say, interruption: Interruption) -> Iterator[Visit]:
    """Give a visit, begun or gone on with, for as long as the context is open.

    Raises RecordError where there is no kit, ConfigError for a target that is not known or another
    than that of the visit that was begun in the folder, HostError where another is at work there.
    """
    start_s = time.monotonic() - request.elapsed_s
    kit = read_kit(request.kit)
    study = read_study(kit.study, catalogue=find_catalogue(devices=request.devices))
    target_id = request.target or kit.target
    target = study.configs.target(target_id)
    for folder in (request.work, request.out / SESSIONS, request.out / LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    folders = _folders(request)
    roots = read_roots(request.out).having(
        OUT=request.out, KIT=request.kit, WORK=request.work, CACHE=folders.cache
    )
    with _locked(request.out):
        yield Visit(
            request=request,
            kit=kit,
            facts=_begun_facts(request.out, kit, target_id),
            study=study,
            target=target,
            timeline=VisitLog(say, request.out / _TIMELINE, start_s=start_s, roots=roots),
            interruption=interruption,
            folders=folders,
            roots=roots,
            deadline_s=60 * request.minutes - _END_S,
        )


def pack_visit(out: Path) -> WrittenParcel:
    """Pack what an earlier visit left in its folder. Raises ConfigError where there was none."""
    _require_folder(out)
    # A folder of anything else is left without a trace.
    _visit_facts(out)
    with _locked(out):
        return _write(out)


def begin(work: Callable[[], ResultT]) -> Future[ResultT]:
    """Begin work in the background; the program ends without waiting for it."""
    future: Future[ResultT] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  (handed over to who asks for the result)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _folders(request: VisitRequest) -> Folders:
    named = os.environ.get("EDGEMOE_CACHE")
    return Folders(
        cache=Path(named) if named else request.work / "cache",
        models=request.work / "models",
        sessions=request.out / SESSIONS,
        results=request.out,
        images=request.work / "images",
    )


def _begun_facts(out: Path, kit: KitFacts, target_id: str) -> VisitFacts:
    facts = _read_facts(out)
    if facts is None:
        now = datetime.now(timezone.utc)
        facts = VisitFacts(
            name=f"kit-{target_id}-{now:%Y%m%d-%H%M%S}",
            target=target_id,
            appliance=kit.appliance,
            started_utc=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        )
        _write_facts(facts, out, Roots())
    if facts.target != target_id:
        raise ConfigError(
            f"a visit for target {facts.target} was begun there",
            where=str(out),
            hint="name another --out",
        )
    return facts


def _read_facts(out: Path) -> VisitFacts | None:
    path = out / FACTS_NAME
    if not path.exists():
        return None
    try:
        return VisitFacts.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise ConfigError("not the folder of a visit", where=str(path)) from error


def _write_facts(facts: VisitFacts, out: Path, roots: Roots) -> None:
    document = roots.hide(facts.model_dump(mode="json"))
    text = json.dumps(document, indent=1, ensure_ascii=False)
    write_atomically(out / FACTS_NAME, text.encode(errors="replace") + b"\n")


def _visit_facts(out: Path) -> VisitFacts:
    facts = _read_facts(out)
    if facts is None:
        raise ConfigError("no visit was made there", where=str(out), hint="name its --out")
    return facts


def _write(out: Path) -> WrittenParcel:
    facts = _visit_facts(out)
    return write_parcel(facts, out, out / f"{facts.name}.tar")


def visit_sessions(out: Path) -> list[Path]:
    """Return the folders of the sessions of a visit, in their order."""
    return sorted(path for path in (out / SESSIONS).iterdir() if not path.name.startswith("."))


def _keep_log(log: Path, target: Path, roots: Roots) -> None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    write_atomically(target, cut_log("\n".join(map(roots.hide, lines)) + "\n"))


def _require_folder(out: Path) -> None:
    if not out.is_dir():
        raise ConfigError("is no folder", where=str(out), hint="name the --out of a visit")


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    _require_folder(out)
    descriptor = os.open(out / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    end_s = time.monotonic() + _LOCK_WAIT_S
    while not try_lock(descriptor):
        # What a killed visit was about to start has its files for a moment more.
        if time.monotonic() > end_s:
            os.close(descriptor)
            raise HostError("another visit works there", where=str(out), hint="wait for it")
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)
