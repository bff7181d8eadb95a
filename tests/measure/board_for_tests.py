"""A Jetson Orin Nano as its files show it, replayed below a folder that stands for `/`."""

from __future__ import annotations

from pathlib import Path

from tests.measure.power.test_ina3221 import ORIN_NANO, write_chip
from tests.measure.power.test_tegraline import JETPACK6_ROOT
from tests.measure.power.test_tegrastats import write_program
from tests.measure.test_heat import HWMON, THERMAL, write

_ZONES_MILLI_C = {
    "cpu-thermal": 50_500,
    "gpu-thermal": 49_250,
    "cv0-thermal": 48_000,
    "cv1-thermal": 48_100,
    "cv2-thermal": 48_200,
    "soc0-thermal": 49_600,
    "soc1-thermal": 50_100,
    "soc2-thermal": 49_300,
    "tj-thermal": 51_781,
}
_COOLING = ("cpu-throttle-alert", "gpu-throttle-alert", "devfreq-gpu", "cpufreq-cpu0")
# A line every 0.1 s without starting a process for each pause, as the real one does not either.
_TEGRASTATS = f"""
exec {{never}}<> <(:)
while true; do
  echo '{JETPACK6_ROOT}'
  read -r -t 0.1 -u $never
done
"""


def write_board(root: Path) -> None:
    """Write sensors and a stand-in for tegrastats; /proc and the cgroup are this machine's."""
    (root / "proc").symlink_to("/proc")
    (root / "sys").mkdir()
    (root / "sys/fs").symlink_to("/sys/fs")
    write_chip(root, ORIN_NANO)
    for index, (name, milli_c) in enumerate(_ZONES_MILLI_C.items()):
        write(root, f"{THERMAL}/thermal_zone{index}/type", name)
        write(root, f"{THERMAL}/thermal_zone{index}/temp", str(milli_c))
    for index, name in enumerate(_COOLING):
        write(root, f"{THERMAL}/cooling_device{index}/type", name)
        write(root, f"{THERMAL}/cooling_device{index}/cur_state", "0")
    write(root, f"{HWMON}/hwmon1/name", "soctherm_oc")
    for number in (1, 2, 3):
        write(root, f"{HWMON}/hwmon1/oc{number}_event_cnt", "0")
    program = write_program(root, _TEGRASTATS)
    program.write_text(program.read_text().replace("#!/bin/sh", "#!/bin/bash", 1))
