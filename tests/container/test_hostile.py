"""A container that attacks its host from inside, on a real engine: every victim stays as it is.

What runs inside is a script of the attacker's; the host does what a bench does. Each attack ends
in one line and an exit code, and never in a traceback or a wait without end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.containers import find_containers, remove_container
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.launch import SESSION_LABEL, Exchange
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.errors import ApplianceError
from edgemoe_appliance.schema.journal import PLAN_NAME
from edgemoe_appliance.schema.plan import Plan, read_plan
from tests.container.plans import plan
from tests.hostile.folders import remove_tree

pytestmark = pytest.mark.container
MakeImage = Callable[[str], ImageIdentity]
BOUND_S = 60.0
SECRET = b"the owner's own words\n"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A session's place on the host, and what must stay as it is."""

    plan: Plan
    folder: Path
    victim: Path
    private: Path

    def state(self) -> tuple[object, ...]:
        status = self.victim.lstat()
        listed = sorted(path.name for path in self.private.iterdir())
        return (self.victim.read_bytes(), status.st_mode, status.st_uid, *listed)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    model.chmod(0o644)
    private = tmp_path / "private"
    private.mkdir()
    victim = private / "victim"
    victim.write_bytes(SECRET)
    (tmp_path / "raw").mkdir()
    yield Host(
        plan=plan(models={"m": model}),
        folder=tmp_path / "raw" / "try",
        victim=victim,
        private=private,
    )
    remove_tree(tmp_path)


@pytest.fixture(autouse=True)
def _no_containers_left(docker_engine: DockerEngine) -> Iterator[None]:
    """Remove what is left of a session that could not be brought home."""
    yield
    for state in find_containers(docker_engine, {SESSION_LABEL: "try"}):
        remove_container(docker_engine, state.container_id)
    for volume in docker_engine.api.volumes()["Volumes"] or []:
        if volume["Name"].startswith("edgemoe-try-"):
            docker_engine.api.remove_volume(volume["Name"])


def benched(
    host: Host, engine: DockerEngine, image: ImageIdentity, exchange: Exchange = Exchange.BIND
) -> ApplianceError | None:
    """Measure, and return the one line that it ended with; it must end soon."""
    launcher = ContainerLauncher(engine=engine, image=image, say=print, exchange=exchange)
    alarm = signal.signal(signal.SIGALRM, _too_late)
    signal.alarm(int(BOUND_S))
    try:
        run_bench(host.plan, host.folder, launcher, lambda _: None)
    except ApplianceError as error:
        assert "\n" not in str(error)
        return error
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, alarm)
    return None


def _too_late(*_: object) -> None:
    raise AssertionError(f"the host still waits after {BOUND_S} s")


# What the attacker does in /session, once and at once. VICTIM and PRIVATE are paths of the host.
PLANTED = {
    "log": "ln -s VICTIM measure.log; echo appended-by-the-container",
    "log-pipe": "mkfifo measure.log; echo said",
    "lock": "ln -sf PRIVATE/made .bench.lock",
    "lock-pipe": "rm -f .bench.lock; mkfifo .bench.lock",
    "plan-is-a-link": "rm -f session.json; ln -s VICTIM session.json",
    "plan-is-a-pipe": "rm -f session.json; mkfifo session.json",
    "plan-is-a-folder": "rm -f session.json; mkdir -p session.json/x",
    "plan-has-no-end": "rm -f session.json; ln -s /dev/zero session.json",
    "plan-inside-is-a-link": "ln -sf VICTIM session.container.json",
    "journal-is-a-link": "ln -s VICTIM runs.jsonl",
    "journal-is-a-pipe": "mkfifo runs.jsonl; sleep 3",
    "journal-has-no-end": "truncate -s 20G runs.jsonl; sleep 3",
    "journal-grows": "yes x | tr -d '\\n' | head -c 400M > runs.jsonl; sleep 3",
    "live-is-a-pipe": "mkfifo live.json; sleep 3",
    "live-has-no-end": "truncate -s 20G live.json; sleep 3",
    "live-is-nested": "yes [ | tr -d '\\n' | head -c 60000 > live.json; sleep 3",
    "live-temporary": "ln -s VICTIM live.partial",
    "reserve": "ln -s VICTIM .reserve",
    "samples-elsewhere": "ln -s PRIVATE samples",
    "samples-of-links": "mkdir samples; for n in 1 2 3; do ln -s VICTIM samples/$n.gz; done",
    "deep": "i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || break; i=$((i+1)); done",
    "many": "mkdir samples; cd samples; i=0; while [ $i -lt 3000 ]; do : > $i; i=$((i+1)); done",
    "guessed-names": "for p in PIDS; do ln -s VICTIM .session.json.$p.partial;"
    " ln -s VICTIM .session.container.json.$p.partial; done",
    "set-user-id": "cp /bin/sh shell; chmod 6755 shell",
    "unreadable": "mkdir samples; : > samples/x; chmod 0 samples; chmod 0 .",
    "odd-names": "touch 'a\nb'; ln -s x '\033]0;x'",
}


def script(attack: str, host: Host) -> str:
    pids = " ".join(str(pid) for pid in range(os.getpid() - 50, os.getpid() + 50))
    named = attack.replace("VICTIM", str(host.victim)).replace("PRIVATE", str(host.private))
    return f"cd /session; {named.replace('PIDS', pids)}; exit 6"


@pytest.mark.parametrize("name", PLANTED)
def test_planted_things_harm_nobody(
    docker_engine: DockerEngine, script_image: MakeImage, host: Host, name: str
) -> None:
    before = host.state()
    image = script_image(script(PLANTED[name], host))
    first = benched(host, docker_engine, image)
    assert first is not None and first.exit_code in (6, 7), first
    if name == "unreadable" and os.geteuid() != 0:
        assert "chmod -R u+rwX" in str(first)
        subprocess.run(["chmod", "-R", "u+rwX", host.folder], check=True)
    # Once more, as the next bench finds all of it from the beginning.
    again = benched(host, docker_engine, script_image("exit 6"))
    assert again is not None and again.exit_code in (6, 7), again
    assert host.state() == before
    assert "diary" not in f"{first}{again}"
    if name != "plan-is-a-folder":
        assert read_plan(host.folder / PLAN_NAME).digest == host.plan.digest
    marks = [path for path in host.folder.glob("*") if path.lstat().st_mode & 0o6000]
    assert marks == []


@pytest.mark.parametrize(
    "name", ["journal-is-a-link", "journal-has-no-end", "live-is-a-pipe", "samples-of-links"]
)
def test_volumes_are_no_way_round(
    docker_engine: DockerEngine, script_image: MakeImage, host: Host, name: str
) -> None:
    before = host.state()
    image = script_image(script(PLANTED[name], host))
    refused = benched(host, docker_engine, image, Exchange.VOLUME)
    # A live file is passing, whatever it is.
    expected = 6 if name == "live-is-a-pipe" else 7
    assert refused is not None and refused.exit_code == expected, refused
    assert host.state() == before
    left = [path.name for path in host.folder.rglob("*") if path.is_symlink() or path.is_fifo()]
    assert left == []


# Waits until the next bench writes the plan, then puts another in its place and is gone.
EXCHANGE = """
cd /session; printf '%s' "$EVIL" > evil; : > ready
perl -e 'my $was = (stat "session.json")[1]; while ((stat "session.json")[1] == $was) {}
link "evil", "new"; rename "new", "session.json"'; exit 6
"""


def evil_plan(host: Host) -> str:
    """Return the same plan with a model that lies where the container may not look."""
    (name, model), *_ = host.plan.models.items()
    evil = model.model_copy(update={"path": str(host.victim)})
    return host.plan.model_copy(update={"models": {name: evil}}).model_dump_json()


BENCH = """
import sys
from pathlib import Path
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.container.client import open_engine
from edgemoe_appliance.container.identity import read_identity
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.schema.plan import Plan, read_plan
plan, folder, reference = sys.argv[1:]
with open_engine() as engine:
    image = read_identity(engine, reference)
    launcher = ContainerLauncher(engine=engine, image=image, say=print)
    run_bench(Plan.model_validate_json(plan), Path(folder), launcher, lambda _: None)
"""


def test_an_exchanged_plan_mounts_nothing(
    docker_engine: DockerEngine, script_image: MakeImage, host: Host
) -> None:
    """A container goes on when its client dies, and has the folder when the next one comes."""
    evil = evil_plan(host).replace("'", "'\\''")
    image = script_image(f"EVIL='{evil}'; {EXCHANGE}")
    command = [sys.executable, "-c", BENCH, host.plan.model_dump_json(), str(host.folder)]
    with subprocess.Popen([*command, image.reference], stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        while not (host.folder / "ready").exists():
            time.sleep(0.05)
        client.kill()
    before = host.state()
    thief = script_image("cat /models/*/* > /session/stolen; exit 6")
    for _ in range(3):
        benched(host, docker_engine, thief)
        stolen = host.folder / "stolen"
        assert not stolen.exists() or SECRET not in stolen.read_bytes()
    assert host.state() == before
    assert read_plan(host.folder / PLAN_NAME).digest == host.plan.digest


def test_what_a_container_may_write_to(
    docker_engine: DockerEngine, script_image: MakeImage, host: Host
) -> None:
    """The places that docs/threat-model.md names, and no other."""
    image = script_image(
        "for place in $(find / -xdev -type d 2>/dev/null; echo /session /tmp /dev/shm /plan /dev);"
        ' do (: > "$place/.try") 2>/dev/null && rm "$place/.try" && echo "$place"; done'
        " | sort -u > /session/places; (echo x >> /plan/session.json) 2>/dev/null && echo plan"
        " >> /session/places; ls -a /session > /session/seen; exit 6"
    )
    benched(host, docker_engine, image)
    assert (host.folder / "places").read_text().split() == ["/dev/shm", "/session", "/tmp"]
    seen = (host.folder / "seen").read_text().split()
    assert sorted(seen) == [".", "..", "places", "seen", "session.json"]
