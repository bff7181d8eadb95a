"""The kernel's own INA3221 driver under our reader, in an emulated machine: `make test-ina3221`.

The driver is built from Debian's `linux-source` for Debian's kernel; `i2c-stub` holds the chip's
registers, and a program plays the chip. One thing is changed in the driver: the labels that a
board's device tree gives the channels stand in its source, as this machine has none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cgroup_v2.machine import (
    CACHE,
    PACKAGE,
    SmallMachine,
    has_emulator,
    kernel_folder,
    run_check,
    unpack,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("EDGEMOE_INA3221_TEST"), reason="run: make test-ina3221"),
]
CHECK = Path(__file__).with_name("check.py")
RELEASE, KERNEL = "bookworm", "linux-image-amd64"
PREPARE = """\
insert i2c-dev
insert i2c-stub chip_addr=0x40,0x48
insert lm75
insert ina3221
"""
# What the driver does where there is no device tree, and what a board's device tree tells.
NO_TREE = "if (!np)\n\t\treturn 0;"
LABELLED = """if (!np) {
\t\tina->inputs[0].label = "VDD_IN";
\t\tina->inputs[1].label = "VDD_CPU_GPU_CV";
\t\tina->inputs[2].label = "VDD_SOC";
\t\treturn 0;
\t}"""
# The reader imports records, and they pydantic.
LIBRARIES = ("annotated_types", "psutil", "pydantic", "pydantic_core", "typing_inspection", "yaml")


def build_driver(kernel: Path, folder: Path) -> bytes:
    """Return the driver as a module for a kernel."""
    version = next((kernel / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
    module = folder / "ina3221.ko"
    if module.is_file() and (folder / "version").read_text() == version:
        return module.read_bytes()
    shutil.rmtree(folder, ignore_errors=True)
    series = ".".join(version.split(".")[:2])
    common = re.sub(r"-amd64$", "", version)
    headers = [f"linux-headers-{version}", f"linux-headers-{common}-common"]
    packages = [*headers, f"linux-kbuild-{series}", f"linux-source-{series}"]
    unpack(["apt-get", "download", *packages], folder)
    with tarfile.open(folder / f"usr/src/linux-source-{series}.tar.xz") as archive:
        member = f"linux-source-{series}/drivers/hwmon/ina3221.c"
        file = archive.extractfile(member)
        assert file is not None
        source = file.read().decode()
    (folder / f"usr/src/linux-source-{series}.tar.xz").unlink()
    assert source.count(NO_TREE) == 1
    (folder / "ina3221.c").write_text(source.replace(NO_TREE, LABELLED))
    (folder / "Kbuild").write_text("obj-m := ina3221.o\n")
    tree = folder / f"usr/src/{headers[0]}"
    makefile = tree / "Makefile"
    makefile.write_text(makefile.read_text().replace("/usr/src/", f"{folder}/usr/src/"))
    subprocess.run(
        ["make", "-s", "-C", tree, f"M={folder}", "modules"], check=True, capture_output=True
    )
    (folder / "version").write_text(version)
    return module.read_bytes()


def app_files() -> Iterator[tuple[str, bytes]]:
    """Yield the light part of the appliance and the libraries that it imports."""
    for part in ("__init__.py", "errors.py", "schema", "engine", "measure"):
        path = PACKAGE / part
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in (".py", ".yaml"):
                yield f"app/edgemoe_appliance/{file.relative_to(PACKAGE)}", file.read_bytes()
    site = Path(sysconfig.get_path("purelib"))
    yield "app/typing_extensions.py", (site / "typing_extensions.py").read_bytes()
    for name in LIBRARIES:
        for file in sorted((site / name).rglob("*")):
            if file.suffix in (".py", ".so"):
                yield f"app/{file.relative_to(site)}", file.read_bytes()


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    assert has_emulator(), "install qemu-system-x86"
    if sysconfig.get_python_version() != "3.11":
        pytest.skip("the small machine has Python 3.11, and libraries are taken from this one")
    kernel = kernel_folder(RELEASE, KERNEL)
    driver = build_driver(kernel, CACHE / RELEASE / "ina3221")
    machine = SmallMachine(
        release=RELEASE,
        kernel=KERNEL,
        modules=("i2c-dev", "i2c-stub", "lm75"),
        prepare=PREPARE,
        files={**dict(app_files()), "modules/ina3221.ko": driver},
        check=CHECK,
    )
    results = run_check(machine)
    assert "failed" not in results, results
    return results


def test_the_driver_tells_its_averaging_and_the_reader_takes_the_lag_from_it(
    found: dict[str, Any],
) -> None:
    for samples, told in found["energy"].items():
        assert told["told_samples"] == int(samples)
        assert told["rails"] == ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]
        lag_s = 0.0 if samples == "1" else int(samples) * 0.0066
        assert abs(told["lag_s"] - lag_s) <= told["lag_bound_s"] + 1e-9


@pytest.mark.parametrize("samples", ["1", "16", "64"])
@pytest.mark.parametrize("run", ["short", "long"])
def test_energy_is_the_loads_within_what_is_stated(
    found: dict[str, Any], samples: str, run: str
) -> None:
    energy = found["energy"][samples]["runs"][run]
    assert energy["absent"] is None
    assert abs(energy["error"]) <= energy["u95"]


def test_without_the_lag_a_short_run_reads_low(found: dict[str, Any]) -> None:
    energy = found["energy"]["64"]["runs"]["short"]
    assert energy["error_without_lag"] < -0.1
    assert abs(energy["error"]) < abs(energy["error_without_lag"]) / 3


def test_files_that_only_root_may_read_are_told(found: dict[str, Any]) -> None:
    assert found["permissions"]["open"] == "found"
    assert "Permission denied" in found["permissions"]["shut"]


def test_another_number_changes_nothing(found: dict[str, Any]) -> None:
    told = found["renumbered"]
    assert told["before"] != told["after"]
    assert told["gone"] == "no INA3221 is bound to its hwmon driver"
    assert told["again"] == "found"


def test_a_chip_that_disappears_gives_no_value(found: dict[str, Any]) -> None:
    assert "a value" not in found["unplugged"]
    assert "No such device" in found["unplugged"]


def test_the_errors_are_shown(found: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\nsamples  interval  lag, s          run    truth, J  error  stated  without lag")
        for samples, told in found["energy"].items():
            for run, energy in told["runs"].items():
                print(
                    f"{samples:>7}  {told['update_interval_ms']:>5} ms"
                    f"  {told['lag_s']:.3f} +- {told['lag_bound_s']:.3f}  {run:<5}"
                    f"  {energy['truth_j']:>8.2f}  {shown(energy['error'])}"
                    f"  {shown(energy['u95'])}  {shown(energy['error_without_lag'])}"
                )


def shown(share: float | None) -> str:
    return "absent" if share is None else f"{100 * share:+6.2f} %"
