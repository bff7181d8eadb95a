"""A board's own files as its measurement container sees them, with a tegrastats that replays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgemoe_appliance.bench.launcher import log_tail
from edgemoe_appliance.container.client import DockerEngine
from edgemoe_appliance.container.identity import ImageIdentity
from edgemoe_appliance.container.launch import BoardFiles
from edgemoe_appliance.container.launcher import ContainerLauncher
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.journal import PLAN_NAME
from tests.container.images import build_script_image
from tests.container.plans import HOST_PROFILE, plan
from tests.container.test_containers import follow, read
from tests.measure.boards import JETSON
from tests.measure.power.test_tegraline import JETPACK6_ROOT

pytestmark = pytest.mark.container
RELEASE = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"
MODEL = "NVIDIA Jetson Orin Nano Developer Kit\0"
# What the measuring process does with them: find the meter, read it for a second.
LOOK = """
import json, time
from pathlib import Path
from edgemoe_appliance.measure.hardware import read_hardware
from edgemoe_appliance.measure.power.tegrastats import find_tegrastats
from edgemoe_appliance.measure.sysfs import SystemRoots
meter = find_tegrastats(SystemRoots())
with meter:
    begin = time.monotonic_ns()
    time.sleep(2)
    readings = [r for r in meter.read() if r.rail == "VDD_IN"]
Path("/session/seen.json").write_text(json.dumps({
    "powers_w": [r.power_w for r in readings],
    "times_s": [(r.t_mono_ns - begin) / 1e9 for r in readings],
    "release": Path("/etc/nv_tegra_release").read_text(),
    "hardware": read_hardware(SystemRoots(), {}).model_dump(),
}))
"""


@pytest.fixture
def board(tmp_path: Path) -> BoardFiles:
    """Return the files of a board, whose tegrastats prints a captured line ten times a second."""
    program = tmp_path / "tegrastats"
    program.write_text(f"#!/bin/sh\nwhile :; do echo '{JETPACK6_ROOT}'; sleep 0.1; done\n")
    program.chmod(0o755)
    (tmp_path / "release").write_text(RELEASE)
    (tmp_path / "model").write_text(MODEL)
    (tmp_path / "mode").write_text(JETSON["var/lib/nvpmodel/status"])
    (tmp_path / "modes").write_text(JETSON["etc/nvpmodel.conf"])
    return BoardFiles(
        tegrastats=str(program),
        release=str(tmp_path / "release"),
        device_tree_model=str(tmp_path / "model"),
        power_mode=str(tmp_path / "mode"),
        power_modes=str(tmp_path / "modes"),
    )


def board_session(folder: Path) -> Path:
    weights = folder / "m.gguf"
    weights.write_bytes(b"GGUF")
    session = folder / "board"
    session.mkdir()
    given = plan(
        profile=HOST_PROFILE,
        power_sources=(PowerSource.TEGRASTATS,),
        models={"m": weights},
        session="board",
    )
    (session / PLAN_NAME).write_text(given.model_dump_json())
    (session / "look.py").write_text(LOOK)
    return session


def test_tegrastats_release_and_model_are_read_inside(
    docker_engine: DockerEngine, measurement_image: ImageIdentity, board: BoardFiles, tmp_path: Path
) -> None:
    session = board_session(tmp_path)
    image = build_script_image(
        docker_engine, measurement_image.reference, "exec python3 /session/look.py"
    )
    launcher = ContainerLauncher(engine=docker_engine, image=image, say=print, board=board)
    assert follow(launcher.launch(read(session), session)) == 0, log_tail(session)
    seen = json.loads((session / "seen.json").read_text())
    assert seen["release"] == RELEASE
    hardware = seen["hardware"]
    assert hardware["device"] == MODEL.rstrip("\0")
    assert (hardware["release"], hardware["jetpack"]) == ("R36.4.3", "6.2")
    assert hardware["power_mode"] == {"id": 0, "name": "15W"}
    assert set(seen["powers_w"]) == {6.426}
    assert 10 <= len(seen["powers_w"]) <= 21
    gaps = [b - a for a, b in zip(seen["times_s"], seen["times_s"][1:], strict=False)]
    assert min(gaps) > 0.05, "lines are stamped as they come, not in one lump"


def test_board_without_tegrastats_is_told_what_is_missing(
    docker_engine: DockerEngine, base_image: str, board: BoardFiles, tmp_path: Path
) -> None:
    Path(board.tegrastats).unlink()
    session = board_session(tmp_path)
    image = build_script_image(docker_engine, base_image, "true")
    launcher = ContainerLauncher(engine=docker_engine, image=image, say=print, board=board)
    with pytest.raises(HostError, match="tegrastats") as caught:
        launcher.launch(read(session), session)
    assert caught.value.exit_code == 3
