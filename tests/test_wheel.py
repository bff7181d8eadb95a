import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CARRIED = (
    "configs/engines.yaml",
    "configs/studies/moe-edge/study.yaml",
    "report_templates/report.html.j2",
)


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
    for name in CARRIED:
        assert f"edgemoe_appliance/_resources/{name}" in names
    code = "import sys; sys.path.insert(0, sys.argv[1]); from edgemoe_appliance.app import main;"
    code += "sys.argv[1:] = ['report', '--out', 'out']; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(installed)], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out/report.html").exists()
