import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CARRIED = ("configs", "docker", "images", "report_templates")


@pytest.mark.slow
def test_the_wheel_carries_configs_and_templates_and_works_outside_a_checkout(
    tmp_path: Path,
) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [
            *pip,
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(tmp_path),
            str(ROOT),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(installed)
    listed = subprocess.run(
        ["git", "ls-files", *CARRIED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    for name in listed.stdout.splitlines() or ["configs/engines.yaml", "docker/host/Dockerfile"]:
        assert f"edgemoe_appliance/_resources/{name}" in names
    work = tmp_path / "work"
    work.mkdir()
    before = set(installed.rglob("*"))
    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); sys.dont_write_bytecode = True;"
    code += "from edgemoe_appliance.app import main; main()"
    variables = ("EDGEMOE_WORK", "EDGEMOE_CACHE", "PYTHONPATH")
    for arguments, told in (
        (("report", "--out", "out"), "out/report.html"),
        (("evaluate", "--kick-the-tires", "--dry-run"), f"Written below {work}"),
        (("doctor", "--help"), "ascend"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, str(installed), *arguments],
            cwd=work,
            env={key: value for key, value in os.environ.items() if key not in variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert told.split()[-1] in "".join(done.stdout.split())
    assert {path.name for path in work.iterdir()} == {"out"}
    assert set(installed.rglob("*")) == before
